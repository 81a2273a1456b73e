//! One form of a secret to look for. How it is looked for is in `bundle.rs` and `walk.rs`.

use super::form::Form;
use zeroize::Zeroizing;

/// Which bytes count as equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// Each only to itself.
    Exact,
    /// Letters in either case.
    Case,
    /// `-` and `+`, `_` and `/`: the two alphabets of RFC 4648.
    Base64,
    /// Both of the above, for what was lower-cased after it was encoded: header names.
    CaseBase64,
}

impl Fold {
    pub(super) fn apply(self, byte: u8) -> u8 {
        match (self, byte) {
            (Self::Base64 | Self::CaseBase64, b'-') => b'+',
            (Self::Base64 | Self::CaseBase64, b'_') => b'/',
            (Self::Case | Self::CaseBase64, _) => byte.to_ascii_lowercase(),
            _ => byte,
        }
    }

    /// Whether line breaks may stand between symbols.
    pub(super) fn wraps(self) -> bool {
        matches!(self, Self::Base64 | Self::CaseBase64)
    }
}

/// One form of one secret.
pub(super) struct Needle {
    pub(super) form: Form,
    pub(super) pattern: Zeroizing<Vec<u8>>,
    pub(super) fold: Fold,
}

impl Needle {
    pub(super) fn new(form: Form, mut pattern: Zeroizing<Vec<u8>>, fold: Fold) -> Self {
        pattern.iter_mut().for_each(|byte| *byte = fold.apply(*byte));
        Self { form, pattern, fold }
    }
}
