//! Only the stage before makes a stage.
use cloakroom_egress::{Armed, Returned, ScrubbedBody};

fn main() {
    let _ = Armed {};
    let _ = Returned {};
    let _ = ScrubbedBody {};
}
