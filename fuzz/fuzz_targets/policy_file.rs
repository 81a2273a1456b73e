//! Any text as a policy file: it is refused with a position, or it survives being stored and read again.
#![no_main]

use cloakroom_policy::Policy;

libfuzzer_sys::fuzz_target!(|text: &str| {
    match Policy::parse("fuzz.toml", text) {
        Ok(policy) => {
            let again = Policy::from_stored(&policy.to_stored()).expect("a stored policy reads again");
            assert_eq!(policy, again);
            assert_eq!(policy.canonical_text(), again.canonical_text());
        }
        Err(complaints) => assert!(!complaints.is_empty()),
    }
});
