//! Any bytes as a request head and as a chunked body. The body of the target is in the crate it tests.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = cloakroom_proxy::fuzz::request_head(bytes);
    cloakroom_proxy::fuzz::chunked_body(bytes, 3);
});
