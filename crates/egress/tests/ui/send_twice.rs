//! An armed call is sent once.
use cloakroom_egress::{Armed, Upstream};

async fn twice(armed: Armed, upstream: &Upstream) {
    let _ = armed.send(upstream).await;
    let _ = armed.send(upstream).await;
}

fn main() {}
