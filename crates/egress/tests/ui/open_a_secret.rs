//! Custody opens secrets for this crate only.
use cloakroom_egress::custody::Custody;
use cloakroom_model::CredentialId;

fn peek(custody: &Custody, id: CredentialId) {
    let _ = custody.open(id);
}

fn main() {}
