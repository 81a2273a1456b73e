//! Tells open pages that something changed: that records came, or what waits for a human. No record and no stranger's text travels here;
//! a page that hears of a change asks for itself again.

use super::viewer::Viewer;
use super::waiting::Waiting;
use crate::admin::Admin;
use crate::identity::{Access, Caller};
use crate::listen::Stopped;
use crate::{Problem, ProblemCode};
use axum::Extension;
use axum::extract::{Query, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use cloakroom_model::Timestamp;
use futures_util::stream;
use http::HeaderMap;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How often it is looked whether something changed.
const OFTEN: Duration = Duration::from_millis(500);
/// Who may be told.
pub(super) const ACCESS: Access = Access::Read;
/// How long one page is told: then its browser asks again. Whoever was logged out meanwhile is told nothing.
const LOOKS: u32 = 600;

/// How long ago the page was asked for, in milliseconds: what came since is news to it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Age {
    age: u64,
}

/// What one page was told.
struct Told {
    admin: Arc<Admin>,
    caller: Caller,
    stopped: Stopped,
    _place: OwnedSemaphorePermit,
    records: u64,
    waiting: Vec<(String, String)>,
    looks: u32,
    due: VecDeque<Event>,
}

pub(super) async fn stream_of(
    State(admin): State<Arc<Admin>>,
    Extension(stopped): Extension<Stopped>,
    Query(Age { age }): Query<Age>,
    headers: HeaderMap,
    viewer: Viewer,
) -> Result<Response, Problem> {
    let place = Arc::clone(&admin.console.listeners).try_acquire_owned().map_err(|_| {
        Problem::new(ProblemCode::Conflict, "too many pages are told of changes already")
            .hinting("load the page again to see what is new")
    })?;
    let known = known_until(age, &headers);
    let records = admin.journal.records();
    let waiting = titles(admin.waiting().into_iter().filter(|one| one.since < known));
    let due = VecDeque::from([event("hello").data("")]);
    let told = Told {
        admin,
        caller: viewer.caller().clone(),
        stopped,
        _place: place,
        records,
        waiting,
        looks: 0,
        due,
    };
    let events = stream::unfold(told, |mut told| async move {
        told.next().await.map(|event| (Ok::<_, Infallible>(event), told))
    });
    Ok(Sse::new(events).into_response())
}

/// What waited before then the page knows: it stands there, or it was told. A browser that comes again names the last event that it got.
fn known_until(age: u64, headers: &HeaderMap) -> Timestamp {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    last.map_or_else(|| Timestamp::now().minus(Duration::from_millis(age)), Timestamp::from_millis)
}

/// Its id is its time.
fn event(name: &str) -> Event {
    Event::default().event(name).id(Timestamp::now().millis().to_string())
}

/// Ids and titles of what waits: names that operators chose.
fn titles(waiting: impl IntoIterator<Item = Waiting>) -> Vec<(String, String)> {
    waiting.into_iter().map(|one| (one.id.clone(), one.title())).collect()
}

impl Told {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.due.pop_front() {
                return self.admin.still_may(&self.caller, ACCESS).await.then_some(event);
            }
            self.looks += 1;
            if self.looks > LOOKS || self.stopped.within(OFTEN).await {
                return None;
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let records = self.admin.journal.records();
        if records != self.records {
            self.records = records;
            self.due.push_back(event("journal").data(records.to_string()));
        }
        let waiting = titles(self.admin.waiting());
        if waiting == self.waiting {
            return;
        }
        let fresh: Vec<_> = waiting.iter().filter(|one| !self.waiting.contains(one)).collect();
        let fresh: Vec<_> =
            fresh.into_iter().map(|(id, title)| serde_json::json!({ "id": id, "title": title })).collect();
        let data = serde_json::json!({ "waiting": waiting.len(), "fresh": fresh }).to_string();
        self.due.push_back(event("inbox").data(data));
        self.waiting = waiting;
    }
}
