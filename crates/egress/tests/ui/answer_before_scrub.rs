//! A reply goes to the workload unscrubbed.
use cloakroom_egress::Returned;

fn skip(returned: Returned) {
    returned.into_response();
}

fn main() {}
