//! Any bytes as a sealed secret.
#![no_main]

use cloakroom_egress::custody::SealedParts;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(parts) = SealedParts::parse(bytes) {
        assert_eq!(parts.wrapped.len() + parts.ciphertext.len() + 3, bytes.len());
    }
});
