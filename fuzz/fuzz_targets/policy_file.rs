//! Any bytes as a policy file, and as a body that a policy reads: JSON, GraphQL, multipart, mail. The bodies are in the crate they test.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    cloakroom_policy::fuzz::policy_file(bytes);
    cloakroom_policy::fuzz::json_body(bytes);
    cloakroom_policy::fuzz::call_body(bytes);
});
