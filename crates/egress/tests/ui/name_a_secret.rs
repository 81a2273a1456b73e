//! The type of a secret has no name outside.
use cloakroom_egress::secret::Secret;

fn main() {}
