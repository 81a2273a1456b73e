//! A reply is scrubbed once.
use cloakroom_egress::Returned;

fn twice(returned: Returned) {
    let _ = returned.scrub();
    let _ = returned.scrub();
}

fn main() {}
