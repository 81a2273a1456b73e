//! The plaintext of one secret: readable in this crate only, wiped on drop.

use zeroize::Zeroizing;

/// A secret.
pub(crate) struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over the plaintext.
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The plaintext.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}
