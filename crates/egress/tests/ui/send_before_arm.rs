//! A call is sent before anything was recorded, opened or substituted.
use cloakroom_egress::Upstream;
use cloakroom_policy::Authorized;

async fn skip(authorized: Authorized, upstream: &Upstream) {
    authorized.send(upstream, &mut |_| {}).await;
}

fn main() {}
