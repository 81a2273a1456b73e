//! Any bytes as a journal segment.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (_, bad) = cloakroom_store::journal::parse(bytes);
    assert!(bad.is_none_or(|offset| offset <= bytes.len() as u64));
});
