//! Approvals of single calls: they wait in memory, and are shown, signed and denied like the others.

use super::approvals::{require_next_count, text_of};
use crate::act::Act;
use crate::admin::Admin;
use crate::peer::Peer;
use crate::wire::{ApprovalText, ApprovalView};
use crate::{Problem, ProblemCode};
use cloakroom_model::{ApprovalId, CallApproval, Signature, Timestamp};
use cloakroom_policy::Approvers;
use cloakroom_store::{Gone, Parked, Verdict};
use std::str::FromStr;

/// The call that waits under this id, if one does.
pub(super) fn find(admin: &Admin, id: &str) -> Option<Parked> {
    ApprovalId::from_str(id).ok().and_then(|id| admin.parking.find(id))
}

/// Every call that waits, or was decided and not repeated yet.
pub(super) fn views(admin: &Admin) -> Vec<ApprovalView> {
    admin.parking.list().iter().filter_map(|call| view(admin, call)).collect()
}

pub(super) fn text(admin: &Admin, call: &Parked) -> Result<ApprovalText, Problem> {
    // What there is to say of a call is in its text, which nobody keeps: it need not be the same in the next release.
    Ok(text_of(view(admin, call).ok_or_else(gone)?, call.question.text(call.id)))
}

pub(super) async fn grant(
    admin: &Admin,
    by: Peer,
    call: &Parked,
    signature: Signature,
) -> Result<ApprovalView, Problem> {
    // The turn is held: of two who sign at once, the second counts the first.
    let act = Act::begin(admin, by).await?;
    let signature = Approvers::stamped_after(signature, &act.rows, Timestamp::now());
    let call =
        admin.parking.find(call.id).filter(|call| call.verdict == Verdict::Waiting).ok_or_else(gone)?;
    let signatures = || call.signatures.iter().cloned().chain([signature.clone()]).collect();
    let before = tally(admin, &call, call.signatures.clone());
    let after = tally(admin, &call, signatures());
    if tally(admin, &call, vec![signature.clone()]).signed.is_empty() {
        let detail = "no enrolled approver signed this call's text";
        return Err(Problem::new(ProblemCode::SignatureNotValid, detail));
    }
    if after.signed == before.signed {
        return Err(Problem::new(ProblemCode::Conflict, "this approver has signed this call already")
            .hinting(format!("{} different approvers have to sign it", before.needed)));
    }
    require_next_count(admin, &act.rows, &signature)?;
    let (verdict, done) = if after.is_complete() {
        (Verdict::Granted, "call granted")
    } else {
        (Verdict::Waiting, "call signed")
    };
    act.note(done, &call.id.to_string(), Some(&call.question.credential)).await?;
    let decided = admin.parking.sign(call.id, signature, verdict).map_err(|Gone| gone())?;
    view(admin, &decided).ok_or_else(gone)
}

pub(super) async fn deny(admin: &Admin, by: Peer, call: &Parked) -> Result<ApprovalView, Problem> {
    let act = Act::begin(admin, by).await?;
    let decided = admin.parking.deny(call.id).map_err(|Gone| gone())?;
    act.note("call denied", &call.id.to_string(), Some(&call.question.credential)).await?;
    view(admin, &decided).ok_or_else(gone)
}

fn tally(admin: &Admin, call: &Parked, signatures: Vec<Signature>) -> cloakroom_policy::Tally {
    admin.approvers().tally_call(&call.question, &CallApproval { id: call.id, signatures })
}

fn view(admin: &Admin, call: &Parked) -> Option<ApprovalView> {
    let tally = tally(admin, call, call.signatures.clone());
    let state = match call.verdict {
        Verdict::Waiting => "pending",
        Verdict::Granted => "granted",
        Verdict::Denied => "denied",
    };
    Some(ApprovalView {
        id: call.id,
        kind: "call".into(),
        state: state.into(),
        placeholder: Some(*call.question.placeholders.first()?),
        credential: Some(call.question.credential.clone()),
        workload: Some(call.question.workload.clone()),
        created: call.created.to_string(),
        decided: None,
        requester: Some(format!("workload {}", call.question.workload)),
        signed: tally.signed.into_iter().collect(),
        needed: tally.needed,
        expires: None,
    })
}

fn gone() -> Problem {
    Problem::new(ProblemCode::Conflict, "the call does not wait any more")
        .hinting("it was decided, made, or waited too long; the workload has to make it again")
}
