//! Any text around pieces of the secret, in any cut; and any bytes as a coded body. The bodies are in the crate they test.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    cloakroom_egress::fuzz::scrubbing_equals_the_reference(bytes);
    cloakroom_egress::fuzz::decoding_ends(bytes);
});
