//! Any bytes as a sealed secret.
#![no_main]

use cloakroom_egress::custody::SealedParts;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(parts) = SealedParts::parse(bytes) {
        let head = if bytes[0] == 1 { 3 } else { 7 };
        assert_eq!(parts.wrapped.len() + parts.ciphertext.len() + head, bytes.len());
    }
});
