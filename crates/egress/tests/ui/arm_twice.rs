//! One decision arms one call.
use cloakroom_egress::Arm;
use cloakroom_egress::custody::Custody;
use cloakroom_model::Ledger;
use cloakroom_policy::Authorized;

async fn twice(authorized: Authorized, custody: &Custody, ledger: &impl Ledger) {
    let _ = authorized.arm(custody, ledger).await;
    let _ = authorized.arm(custody, ledger).await;
}

fn main() {}
