//! The way out takes armed calls only.
use cloakroom_egress::Upstream;

fn bypass(upstream: &Upstream) {
    let _ = upstream.send();
}

fn main() {}
