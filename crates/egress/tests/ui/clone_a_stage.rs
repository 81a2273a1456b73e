//! A copy of a stage would be a second call.
use cloakroom_egress::{Answer, Armed, Returned};

fn copy(armed: &Armed, returned: &Returned, answer: &Answer) -> (Armed, Returned, Answer) {
    (armed.clone(), returned.clone(), answer.clone())
}

fn main() {}
