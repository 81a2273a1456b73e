//! `GET /.cloakroom/refusals/CODE` or `/REQUEST`: a workload asks what a refusal means, or once more why its call was refused.

use crate::ask::Said;
use crate::desk::Desk;
use crate::pages::page;
use crate::problem;
use crate::reply::{AnswerBody, own_document, own_text};
use crate::wire::malformed;
use cloakroom_model::{Code, IdMap, Principal, Refusal, RequestId, WorkloadId};
use http::Response;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// So many refusals of each workload are remembered, the latest.
const MOST: usize = 32;

/// What is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Puzzle {
    Code(Code),
    Request(RequestId),
}

impl Puzzle {
    /// # Errors
    /// `malformed-call` where it is neither a code nor the id of a call.
    pub(crate) fn read(text: &str) -> Result<Self, Refusal> {
        let code = Code::ALL.iter().find(|code| code.as_str() == text).map(|code| Self::Code(*code));
        code.or_else(|| text.parse().ok().map(Self::Request))
            .ok_or_else(|| malformed("a refusal is explained by its code, or by the id of the call"))
    }
}

/// What was refused lately. Workloads are known, so there are as many queues as the operator made workloads.
#[derive(Default)]
pub(crate) struct Recall(Mutex<IdMap<WorkloadId, VecDeque<(RequestId, Refusal)>>>);

impl Recall {
    /// Remembers a refusal, for its own workload.
    pub(crate) fn note(&self, workload: WorkloadId, request: RequestId, refusal: &Refusal) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(workload).or_default();
        if own.len() >= MOST {
            own.pop_front();
        }
        own.push_back((request, refusal.clone()));
    }

    /// What this workload's call was refused with.
    fn of(&self, workload: WorkloadId, request: RequestId) -> Option<Refusal> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.get(&workload)?.iter().find(|(other, _)| *other == request);
        found.map(|(_, refusal)| refusal.clone())
    }
}

impl Desk {
    /// What a refusal means, in JSON or in plain words.
    ///
    /// # Errors
    /// `rate-limited` where too many of its calls are under way.
    pub(crate) fn tell_meaning(
        &self,
        principal: &Principal,
        puzzle: Puzzle,
        said: Said,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let _underway = self.shared.calls.begin(principal.workload())?;
        let (code, document) = match puzzle {
            Puzzle::Code(code) => (Some(code), of_code(code)),
            Puzzle::Request(request) => {
                let refusal = self.shared.recall.of(principal.workload(), request);
                (refusal.as_ref().map(Refusal::code), of_request(request, refusal.as_ref()))
            }
        };
        Ok(match (said, code) {
            (Said::Words, Some(code)) => own_text(page(code)),
            (Said::Words, None) => own_text(UNKNOWN),
            (Said::Json, _) => own_document(&document),
        })
    }
}

const UNKNOWN: &str = "no refused call of yours is remembered under this id: only the latest 32 are, until the broker begins anew\n";

fn of_code(code: Code) -> Value {
    json!({
        "code": code,
        "status": code.status(),
        "title": code.title(),
        "hint": code.hint(),
        "page": page(code),
    })
}

fn of_request(request: RequestId, refusal: Option<&Refusal>) -> Value {
    match refusal {
        None => json!({ "request": request, "known": false, "why": UNKNOWN.trim_end() }),
        Some(refusal) => json!({
            "request": request,
            "known": true,
            "refusal": problem::told(refusal, request),
            "page": page(refusal.code()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Timestamp;

    #[test]
    fn a_workload_is_told_of_its_own_latest_refusals_only() {
        let recall = Recall::default();
        let workload = |number| WorkloadId::new(Timestamp::from_millis(number), [0; 10]);
        let request = |number| RequestId::new(Timestamp::from_millis(number), [0; 10]);
        let refusal = Refusal::new(Code::CallNotPermitted, "why");
        for number in 0..=MOST as u64 {
            recall.note(workload(1), request(number), &refusal);
        }
        recall.note(workload(2), request(9_999), &refusal);
        assert_eq!(recall.of(workload(1), request(0)), None, "the oldest went");
        assert_eq!(recall.of(workload(1), request(1)), Some(refusal.clone()));
        assert_eq!(recall.of(workload(2), request(1)), None, "another's");
        assert_eq!(recall.of(workload(2), request(9_999)), Some(refusal));
    }
}
