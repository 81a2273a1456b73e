//! What stands in the form of the editor: what it begins with, and what it asks the broker to issue.

use super::board::Board;
use crate::admin::Admin;
use crate::api::proposals;
use crate::api::view;
use crate::identity::Form;
use crate::wire::NewPlaceholder;
use crate::{Problem, ProblemCode, find};
use cloakroom_model::OnMisuse;
use serde::Deserialize;

/// What the address asks to begin with.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    placeholder: String,
    proposal: String,
    credential: String,
    workload: String,
    ready: String,
}

/// What stands in the form.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) policy: String,
    pub(super) credential: String,
    pub(super) workload: String,
    /// The placeholder that it is compared with.
    pub(super) beside: String,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) expires: String,
    pub(super) uses: String,
    pub(super) misuse: String,
    /// The proposal that it answers.
    pub(super) proposal: String,
}

impl Draft {
    /// As it was sent.
    pub(super) fn of(form: &Form) -> Self {
        let field = |name: &str| form.field(name).unwrap_or_default().trim().to_owned();
        // A text area's line breaks are CRLF (HTML, 4.10.21.4).
        let policy = form.field("policy").unwrap_or_default().replace("\r\n", "\n");
        Self {
            policy,
            credential: field("credential"),
            workload: field("workload"),
            beside: field("beside"),
            method: field("method"),
            url: field("url"),
            expires: field("expires"),
            uses: field("uses"),
            misuse: field("misuse"),
            proposal: field("proposal"),
        }
    }

    /// What it asks the broker to issue.
    ///
    /// # Errors
    /// Where a field is not what it has to be.
    pub(super) fn request(&self) -> Result<NewPlaceholder, Problem> {
        let wrong = |text: &str, hint: &str| {
            Problem::new(ProblemCode::MalformedRequest, text.to_owned()).hinting(hint.to_owned())
        };
        let uses = match self.uses.as_str() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| wrong("the number of uses is no number", "leave it empty for any number"))?,
            ),
        };
        let on_misuse: OnMisuse = match self.misuse.as_str() {
            "" => OnMisuse::default(),
            text => text.parse().map_err(|_| wrong("there is no such measure", "choose one of the list"))?,
        };
        Ok(NewPlaceholder {
            credential: self.credential.clone(),
            workload: self.workload.clone(),
            file: "policy".into(),
            policy: self.policy.clone(),
            begins_in: None,
            expires_in: seconds(&self.expires)
                .ok_or_else(|| wrong("this is no span of time", "such as 12h or 30d; empty for ever"))?,
            approval_expires_in: None,
            at_the_latest: false,
            daily: None,
            holder: None,
            uses,
            parent: None,
            on_misuse,
            wrapped: None,
            requester: None,
        })
    }

    /// What the form begins with.
    pub(super) fn begun(admin: &Admin, board: &Board, wanted: &Wanted) -> Result<Self, Problem> {
        let mut draft = Self {
            credential: wanted.credential.clone(),
            workload: wanted.workload.clone(),
            expires: "30d".into(),
            ..Self::default()
        };
        if !wanted.placeholder.is_empty() {
            let row = find::placeholder(&board.rows, &wanted.placeholder)?;
            draft.policy = view::policy(row)?.to_toml();
            draft.beside = row.id.to_string();
            draft.credential = board.credential_name(row.credential);
            draft.workload = board.workload_name(row.workload);
        } else if !wanted.proposal.is_empty() {
            let one = proposals::show_one(admin, &wanted.proposal)?;
            (draft.policy, draft.workload) = (one.policy, one.workload.to_string());
            draft.proposal = one.id.to_string();
        } else if let Some(ready) = ready(admin, &wanted.ready) {
            draft.policy = ready;
        } else {
            draft.policy = template(board, &wanted.credential);
        }
        Ok(draft)
    }
}

/// `30m`, `12h` or `7d`; nothing is for ever.
fn seconds(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let (digits, unit) = text.split_at_checked(text.len() - 1)?;
    let each = match unit {
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(each).filter(|seconds| *seconds > 0).map(Some)
}

fn ready(admin: &Admin, name: &str) -> Option<String> {
    let offers = (admin.console.offers)();
    offers
        .into_iter()
        .flat_map(|offer| offer.policies)
        .find(|policy| policy.name == name)
        .map(|policy| policy.text)
}

/// A small policy to change, for the credential that was asked for.
fn template(board: &Board, credential: &str) -> String {
    let to = find::credential(&board.rows, credential).ok().and_then(|row| row.destinations.first().cloned());
    let to = to.map_or_else(|| "https://api.example.com".to_owned(), |to| to.to_string());
    format!(
        "version = 1\n\n[[permit]]\nname = \"read one thing\"\nto = \"{to}\"\ncall = [\"GET /v1/things/{{id}}\"]\nplace = \"header authorization bearer\"\nrate = \"60/min\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit_and_nothing_is_for_ever() {
        assert_eq!(seconds(""), Some(None));
        assert_eq!(
            (seconds("90m"), seconds("12h"), seconds("7d")),
            (Some(Some(5400)), Some(Some(43_200)), Some(Some(604_800)))
        );
        for wrong in ["0d", "d", "12", "-1h", "1y", "é", "99999999999999999999d", "18446744073709551615d"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
