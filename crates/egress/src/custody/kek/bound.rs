//! A root key together with what it is for, as one text: where a provider authenticates no context of its own.
//!
//! ```text
//! SHA-256 of the context 32 | root key 32
//! ```

use crate::custody::aead::KEY;
use crate::secret::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const DIGEST: usize = 32;

/// The two in one.
pub(super) fn bound(context: &[u8], root: &Secret) -> Zeroizing<Vec<u8>> {
    // Reserved whole: growing would leave a copy of the key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(DIGEST + root.expose().len()));
    bytes.extend_from_slice(digest(&SHA256, context).as_ref());
    bytes.extend_from_slice(root.expose());
    bytes
}

/// The root key of this context; `None` for any other text.
pub(super) fn unbound(context: &[u8], bytes: &[u8]) -> Option<Secret> {
    let (of, root) = bytes.split_at_checked(DIGEST)?;
    let is_of_context: bool = of.ct_eq(digest(&SHA256, context).as_ref()).into();
    (is_of_context && root.len() == KEY).then(|| Secret::new(Zeroizing::new(root.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_key_comes_back_for_its_own_context_only() {
        let root = Secret::new(Zeroizing::new(vec![7; KEY]));
        let bytes = bound(b"one", &root);
        assert_eq!(unbound(b"one", &bytes).unwrap().expose(), root.expose());
        for (context, bytes) in [
            (&b"two"[..], &bytes[..]),
            (b"one", &bytes[..bytes.len() - 1]),
            (b"one", &bytes[..DIGEST]),
            (b"one", &bytes[1..]),
            (b"one", b""),
        ] {
            assert!(unbound(context, bytes).is_none());
        }
    }
}
