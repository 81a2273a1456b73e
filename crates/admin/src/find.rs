//! Finds a row by name or id, and says what was nearly meant when there is none.

use crate::{Problem, ProblemCode};
use cloakroom_model::{
    ApiTokenRecord, ApprovalId, ApprovalRecord, CredentialId, CredentialRecord, MemberRecord, Name,
    PlaceholderId, PlaceholderRecord, Rows, WorkloadId, WorkloadRecord,
};
use std::str::FromStr;

/// The known text nearest to `text`, when it is near enough to be what was meant.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = text.to_ascii_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + text.len().max(candidate.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn missing<'a>(what: &str, text: &str, known: impl IntoIterator<Item = &'a str>) -> Problem {
    let problem = Problem::new(ProblemCode::NotFound, format!("there is no {what} {text:?}"));
    match nearest(text, known) {
        Some(near) => problem.hinting(format!("did you mean {near:?}?")),
        None => problem.hinting(format!("list what there is: cloakroom {what} list")),
    }
}

/// A credential that was not removed.
pub(crate) fn credential<'a>(rows: &'a Rows, text: &str) -> Result<&'a CredentialRecord, Problem> {
    let live = || rows.credentials.iter().filter(|row| row.removed.is_none());
    live()
        .find(|row| row.name.as_str() == text)
        .or_else(|| live().find(|row| row.id.to_string() == text))
        .ok_or_else(|| missing("credential", text, live().map(|row| row.name.as_str())))
}

/// A workload that was not removed.
pub(crate) fn workload<'a>(rows: &'a Rows, text: &str) -> Result<&'a WorkloadRecord, Problem> {
    let live = || rows.workloads.iter().filter(|row| row.removed.is_none());
    live()
        .find(|row| row.name.as_str() == text)
        .or_else(|| live().find(|row| row.id.to_string() == text))
        .ok_or_else(|| missing("workload", text, live().map(|row| row.name.as_str())))
}

/// A member who was not removed.
pub(crate) fn member<'a>(rows: &'a [MemberRecord], text: &str) -> Result<&'a MemberRecord, Problem> {
    let live = || rows.iter().filter(|row| row.removed.is_none());
    live()
        .find(|row| row.name.as_str() == text || row.id.to_string() == text)
        .ok_or_else(|| missing("member", text, live().map(|row| row.name.as_str())))
}

/// An API token that was not revoked, by name or id. Never by its text.
pub(crate) fn api_token<'a>(rows: &'a [ApiTokenRecord], text: &str) -> Result<&'a ApiTokenRecord, Problem> {
    let live = || rows.iter().filter(|row| row.revoked.is_none());
    // SECURITY: what was written is not repeated; it could be the API token itself.
    live().find(|row| row.name.as_str() == text || row.id.to_string() == text).ok_or_else(|| {
        Problem::new(ProblemCode::NotFound, "no API token has this name or id")
            .hinting("list what there is: cloakroom token list")
    })
}

/// SECURITY: whoever names a row by its id must not get another one that is called so.
///
/// # Errors
/// Where the name is written as the ids of credentials and workloads are.
pub(crate) fn require_no_id(name: &Name) -> Result<(), Problem> {
    let text = name.as_str();
    if CredentialId::from_str(text).is_err() && WorkloadId::from_str(text).is_err() {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::MalformedRequest, "the name is written as an id is")
        .hinting("choose a name that tells what it is for"))
}

/// A placeholder by its id. Never by its text: that belongs to the workload alone.
pub(crate) fn placeholder<'a>(rows: &'a Rows, text: &str) -> Result<&'a PlaceholderRecord, Problem> {
    let id = PlaceholderId::from_str(text).map_err(|error| not_an_id("placeholder", &error))?;
    let found = rows.placeholders.iter().find(|row| row.id == id);
    found.ok_or_else(|| missing("placeholder", text, []))
}

/// An approval by its id, or by the id of its placeholder.
pub(crate) fn approval<'a>(rows: &'a Rows, text: &str) -> Result<&'a ApprovalRecord, Problem> {
    if let Ok(id) = PlaceholderId::from_str(text) {
        let found = rows.approvals.iter().rev().find(|row| row.placeholder == id);
        return found.ok_or_else(|| missing("approval", text, []));
    }
    let id = ApprovalId::from_str(text).map_err(|error| not_an_id("approval", &error))?;
    let found = rows.approvals.iter().find(|row| row.id == id);
    found.ok_or_else(|| missing("approval", text, []))
}

/// SECURITY: what was written is not repeated; it could be a placeholder, pasted in the wrong field.
fn not_an_id(what: &str, error: &cloakroom_model::IdError) -> Problem {
    Problem::new(ProblemCode::NotFound, format!("not the id of {what}s: {error}"))
        .hinting(format!("list what there is: cloakroom {what} list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let known = ["stripe-live", "github", "openai"];
        assert_eq!(nearest("stripe-lvie", known), Some("stripe-live"));
        assert_eq!(nearest("githbu", known), Some("github"));
        assert_eq!(nearest("OpenAI", known), Some("openai"));
        assert_eq!(nearest("slack", known), None);
    }

    #[test]
    fn nothing_is_called_as_ids_are_written() {
        let ids = [CredentialId::fresh().unwrap().to_string(), WorkloadId::fresh().unwrap().to_string()];
        for id in &ids {
            assert!(require_no_id(&Name::parse(id).unwrap()).is_err(), "{id}");
            assert!(require_no_id(&Name::parse(&id[..id.len() - 1]).unwrap()).is_ok(), "{id}");
        }
    }

    #[test]
    fn a_text_that_is_no_id_is_not_repeated() {
        let problem = placeholder(&Rows::default(), "sk_live_pasted").unwrap_err();
        assert_eq!(problem.code(), ProblemCode::NotFound);
        assert!(!problem.detail().contains("pasted"));
    }
}
