//! An armed call is sent once.
use cloakroom_egress::{Armed, Upstream};

async fn twice(armed: Armed, upstream: &Upstream) {
    let _ = armed.send(upstream, &mut |_| {}).await;
    let _ = armed.send(upstream, &mut |_| {}).await;
}

fn main() {}
