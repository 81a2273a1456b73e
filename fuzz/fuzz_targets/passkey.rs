//! Any bytes as what a browser gives for a new passkey. The body is in the crate that it tests.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloakroom_policy::fuzz::passkey(bytes));
