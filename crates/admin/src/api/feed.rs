//! `GET /api/v1/events`: approvals as they change and security events as they are raised, as server-sent events (HTML, section 9.2). It is a
//! bell, not a record: who was away asks for the list and the journal.
//!
//! ```text
//! event: approval         an approval as in the list, when it came or its state is another; all that wait, first
//! event: security-event   a security event as the journal has it
//! event: lagged           more happened than was read; ask again for what there is
//! ```

use super::approvals;
use crate::admin::Admin;
use crate::identity::{Access, Caller};
use crate::wire::ApprovalView;
use crate::{Problem, ProblemCode};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use cloakroom_model::SecurityEvent;
use http::{HeaderValue, header};
use serde::Serialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Who may listen.
pub(super) const ACCESS: Access = Access::Inspect;
/// How many may listen at once: each holds a connection.
const LISTENERS: usize = 16;
/// How often it is looked whether an approval changed, and something is said so that a dead connection is noticed.
const LOOK: Duration = Duration::from_secs(1);
const BEAT: u32 = 15;

/// Who listens, and until when.
#[derive(Debug)]
pub struct Feeds {
    room: Arc<Semaphore>,
    ended: watch::Sender<bool>,
}

impl Default for Feeds {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(LISTENERS)), ended: watch::Sender::new(false) }
    }
}

impl Feeds {
    /// Ends every feed: the broker stops.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }
}

/// One feed.
struct Feed {
    admin: Arc<Admin>,
    caller: Caller,
    events: Receiver<SecurityEvent>,
    ended: watch::Receiver<bool>,
    /// What was said of each approval last.
    told: BTreeMap<String, String>,
    seen: Option<Seen>,
    quiet: u32,
    _room: OwnedSemaphorePermit,
}

/// What approvals follow from, cheaply: while it is the same, none has changed.
type Seen = (usize, Vec<String>);

pub(crate) async fn events(
    State(admin): State<Arc<Admin>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Problem> {
    let room = Arc::clone(&admin.feeds.room).try_acquire_owned().map_err(|_| {
        Problem::new(ProblemCode::TooManyAttempts, "too many listen already").hinting("end another one first")
    })?;
    let (events, ended) = (admin.events.hear(), admin.feeds.ended.subscribe());
    let feed =
        Feed { admin, caller, events, ended, told: BTreeMap::new(), seen: None, quiet: 0, _room: room };
    let stream = futures_util::stream::unfold(feed, |mut feed| async move {
        let said = feed.next().await?;
        // SECURITY: whoever was removed, logged out, or holds what was revoked hears no more, and makes room.
        if !feed.admin.still_may(&feed.caller, ACCESS).await {
            return None;
        }
        Some((Ok::<Bytes, Infallible>(said.into()), feed))
    });
    let mut answer = Response::new(Body::from_stream(stream));
    let kind = HeaderValue::from_static("text/event-stream");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

impl Feed {
    /// What is said next; nothing when the broker stops.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(news) = self.news().await {
                self.quiet = 0;
                return Some(news);
            }
            tokio::select! {
                _ = self.ended.wait_for(|ended| *ended) => return None,
                event = self.events.recv() => return match event {
                    Ok(event) => Some(said("security-event", &event)),
                    Err(RecvError::Lagged(_)) => Some(said("lagged", &())),
                    Err(RecvError::Closed) => None,
                },
                () = tokio::time::sleep(LOOK) => {
                    self.quiet += 1;
                    if self.quiet.is_multiple_of(BEAT) {
                        return Some(": still here\n\n".to_owned());
                    }
                }
            }
        }
    }

    /// The approvals that came, or are in another state than was said.
    async fn news(&mut self) -> Option<String> {
        let seen = self.look();
        if self.seen.as_ref() == Some(&seen) {
            return None;
        }
        let Ok(all) = approvals::all(&self.admin).await else { return None };
        let first = self.seen.replace(seen).is_none();
        let mut text = String::new();
        for one in &all {
            let state = format!("{} {}", one.state, one.signed.len());
            let before = self.told.insert(one.id.to_string(), state.clone());
            if before.as_ref() != Some(&state) && (!first || one.state == "pending") {
                text.push_str(&said("approval", one));
            }
        }
        let is_there = |id: &String| all.iter().any(|one: &ApprovalView| one.id.to_string() == *id);
        self.told.retain(|id, _| is_there(id));
        (!text.is_empty()).then_some(text)
    }

    fn look(&self) -> Seen {
        let parked = self.admin.parking.list();
        let parked =
            parked.iter().map(|one| format!("{} {:?} {}", one.id, one.verdict, one.signatures.len()));
        let ballots = self.admin.ballots.list();
        let ballots = ballots.iter().map(|one| format!("{} {}", one.id, one.change.signatures.len()));
        (Arc::as_ptr(&self.admin.policies.load()) as usize, parked.chain(ballots).collect())
    }
}

/// One event. JSON has no line break, so it is one line.
fn said(event: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {event}\ndata: {data}\n\n")
}
