//! Drop-offs: parcels that were sealed elsewhere, and the keys that they are sealed to.

use super::credentials::{Fresh, sorted, store_new, unless_taken};
use super::input::Body;
use super::precondition::{IfMatch, Tag, Tagged};
use crate::act::{Act, to_the_end};
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{
    CredentialView, DropKeyView, DropOffRotation, DropOffView, Evidence, EvidenceQuestion, ParcelDocument,
};
use crate::{Problem, ProblemCode};
use axum::extract::State;
use axum::{Extension, Json};
use cloakroom_egress::custody::{CustodyError, DropOffError, LONGEST_PARCEL, Parcel};
use cloakroom_model::{CredentialId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn show(State(admin): State<Arc<Admin>>) -> Result<Tagged<DropOffView>, Problem> {
    let shown = view(&admin)?;
    Ok(Tagged(Tag::of(&shown), shown))
}

pub(crate) async fn rotate(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    expected: IfMatch,
    Body(rotation): Body<DropOffRotation>,
) -> Result<Json<DropOffView>, Problem> {
    let overlap = Duration::from_secs(rotation.overlap);
    if overlap > LONGEST_PARCEL {
        return Err(Problem::new(ProblemCode::MalformedRequest, "the overlap is longer than 90 days"));
    }
    to_the_end(async move {
        let act = Act::begin(&admin, by).await?;
        expected.require(&view(&admin)?)?;
        act.note("drop-off key replaced", "drop-off", None).await?;
        if let Err(error) = admin.drop_box.rotate(overlap, Timestamp::now()) {
            act.note("drop-off key replaced: failed", "drop-off", None).await?;
            return Err(problem(error));
        }
        view(&admin)
    })
    .await
}

/// Has the machine's hardware vouch for the current key.
pub(crate) async fn evidence(
    State(admin): State<Arc<Admin>>,
    Body(question): Body<EvidenceQuestion>,
) -> Result<Json<Evidence>, Problem> {
    let none = || {
        Problem::new(ProblemCode::NotFound, "this broker's machine has no TPM to vouch with")
            .hinting("name it in the settings: [attestation] tpm = \"/dev/tpmrm0\"")
    };
    let attestor = Arc::clone(admin.attestor.as_ref().ok_or_else(none)?);
    let nonce = nonce(&question.nonce)
        .ok_or_else(|| Problem::new(ProblemCode::MalformedRequest, "a nonce has 64 hexadecimal digits"))?;
    let keys = admin.drop_box.keys(Timestamp::now()).map_err(problem)?;
    let current =
        keys.first().ok_or_else(|| Problem::new(ProblemCode::InternalFault, "there is no key"))?.key;
    // A TPM takes its time.
    let asked = tokio::task::spawn_blocking(move || attestor.attest(&current, &nonce)).await;
    let silent = || Problem::new(ProblemCode::InternalFault, "the TPM was not asked");
    let evidence = asked.map_err(|_| silent())?;
    evidence
        .map(Json)
        .map_err(|why| Problem::new(ProblemCode::Conflict, format!("the TPM vouches for nothing: {why}")))
}

/// 32 bytes in hexadecimal.
fn nonce(text: &str) -> Option<[u8; 32]> {
    let mut nonce = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in nonce.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(nonce)
}

/// Takes a parcel: once, and as its label says.
pub(crate) async fn take(
    State(admin): State<Arc<Admin>>,
    Extension(by): Extension<Peer>,
    Body(ParcelDocument(parcel)): Body<ParcelDocument>,
) -> Result<Json<CredentialView>, Problem> {
    to_the_end(async move { deposit(&admin, by, &parcel).await }).await
}

async fn deposit(admin: &Admin, by: Peer, parcel: &Parcel) -> Result<CredentialView, Problem> {
    let act = Act::begin(admin, by).await?;
    let label = &parcel.label;
    unless_taken(&act.rows, &label.name)?;
    let destinations = sorted(label.destinations.clone())?;
    let id = CredentialId::fresh()?;
    let accepted = match admin.custody.accept_parcel(&admin.drop_box, parcel, id, &destinations) {
        Ok(accepted) => accepted,
        Err(error) => {
            let problem = problem(error);
            // What was carried here may have been meddled with: that goes on record. Its id and name are anybody's word.
            act.note(&format!("drop-off refused: {}", problem.code()), "drop-off", Some(&label.name)).await?;
            return Err(problem);
        }
    };
    // Recorded, then remembered, then stored: a crash in between costs a parcel, and never lets one in twice.
    act.note("drop-off taken", &id.to_string(), Some(&label.name)).await?;
    if let Err(error) = admin.drop_box.take(parcel, Timestamp::now()) {
        act.note("drop-off taken: failed", &id.to_string(), Some(&label.name)).await?;
        return Err(problem(error));
    }
    let fresh = Fresh { id, name: label.name.clone(), kind: label.kind, destinations };
    store_new(admin, act, fresh, accepted).await
}

fn view(admin: &Admin) -> Result<DropOffView, Problem> {
    let keys = admin.drop_box.keys(Timestamp::now()).map_err(problem)?;
    let keys = keys.into_iter().map(|known| DropKeyView {
        id: known.key.id(),
        key: known.key,
        made: known.made.to_string(),
        ends: known.ends.map(|end| end.to_string()),
    });
    Ok(DropOffView { keys: keys.collect() })
}

fn problem(error: DropOffError) -> Problem {
    let (code, hint) = match &error {
        DropOffError::Custody(CustodyError::Sealed) => (ProblemCode::BrokerSealed, None),
        DropOffError::Version => (ProblemCode::MalformedRequest, None),
        DropOffError::UnknownKey => (ProblemCode::DropOffKeyUnknown, None),
        DropOffError::Expired | DropOffError::TooLong => (ProblemCode::DropOffExpired, None),
        DropOffError::Taken => (ProblemCode::DropOffTaken, None),
        DropOffError::Closed => (ProblemCode::DropOffNotOpened, None),
        DropOffError::Full => (
            ProblemCode::Conflict,
            Some("parcels of former keys need not be remembered: cloakroom drop-off rotate --overlap now"),
        ),
        DropOffError::TooManyKeys => {
            (ProblemCode::Conflict, Some("wait until one ends, or add --overlap now"))
        }
        DropOffError::Custody(_) => (ProblemCode::SecretNotAccepted, None),
    };
    Problem::new(code, error.to_string()).hinting(hint.unwrap_or_else(|| code.hint()))
}
