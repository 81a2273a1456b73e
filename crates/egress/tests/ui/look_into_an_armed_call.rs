//! The head of an armed call holds the secret.
use cloakroom_egress::{Armed, Returned};

fn peek(armed: Armed, returned: Returned) {
    let _ = armed.outgoing;
    let _ = returned.body;
}

fn main() {}
