//! What the call does: whether it may, and whether a human is asked first.

use super::body::BodyView;
use super::{Mismatch, Stage};
use crate::class::{Class, Refuse, classify};
use crate::permit::{Approve, Permit};
use cloakroom_model::Call;

/// Whether a human has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    No,
    Yes,
}

/// Classifies the call, where that matters to the permit.
pub(super) fn check(permit: &Permit, call: &Call, body: &BodyView<'_>) -> Result<Waits, Mismatch> {
    let asked = |class| match (permit.approve, class) {
        (Approve::EachCall, _) | (Approve::Writes, Class::Write) => Waits::Yes,
        (Approve::Once, _) | (Approve::Writes, Class::Read) => Waits::No,
    };
    if !permit.is_classified() {
        return Ok(asked(Class::Write));
    }
    let found = classify(call, body, &permit.terms)
        .map_err(|disagreement| Mismatch::new(Stage::Class, disagreement.0).rule("reads and writes"))?;
    if found.class == Class::Write && permit.terms.refuse == Some(Refuse::Writes) {
        let refused = Mismatch::new(Stage::Class, "the permit allows only calls that are known to read");
        return Err(refused.rule(format!("refuse: writes ({})", found.because)));
    }
    Ok(asked(found.class))
}
