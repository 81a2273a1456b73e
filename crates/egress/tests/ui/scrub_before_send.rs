//! There is no reply yet.
use cloakroom_egress::Armed;

fn skip(armed: Armed) {
    armed.scrub();
}

fn main() {}
