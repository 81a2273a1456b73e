//! Whether calls are served: for whoever sends them here, or restarts what does not answer.

use crate::admin::Admin;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use cloakroom_model::Timestamp;
use cloakroom_store::journal::Entry;
use http::{StatusCode, header};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why no calls are served, if none are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// They are.
    Ready,
    /// The broker stops.
    Draining,
    /// It cannot open secrets.
    Sealed,
    /// It cannot record calls.
    JournalUnavailable,
}

impl Readiness {
    /// Whether calls are served.
    pub fn is_ready(self) -> bool {
        self == Self::Ready
    }

    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Sealed => "broker-sealed",
            Self::JournalUnavailable => "journal-unavailable",
        }
    }
}

/// Set when the broker begins to stop.
#[derive(Debug, Default)]
pub struct Draining(AtomicBool);

impl Draining {
    /// From now on the broker is not ready.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Admin {
    /// Whether calls are served, and why not. What is asked of the disk or of a provider is what they answered last.
    pub fn readiness(&self) -> Readiness {
        if self.draining.0.load(Ordering::Relaxed) {
            Readiness::Draining
        } else if self.custody.is_sealed() {
            Readiness::Sealed
        } else if !self.journal.is_writable() {
            Readiness::JournalUnavailable
        } else {
            Readiness::Ready
        }
    }
}

impl Admin {
    /// One record, so that a broker which is sent no calls while it is not ready finds out that the disk takes them again.
    async fn try_the_journal(&self) {
        let entry = Entry::Act {
            at: Timestamp::now(),
            act: "journal tried".into(),
            subject: "readiness".into(),
            name: None,
            by: "the broker".into(),
        };
        let tried = async { self.journal.durable(self.journal.append(&entry)?).await };
        // That it failed is what is told.
        drop(tried.await);
    }
}

/// The process runs. It says nothing of what it can do: who restarts it for that would lose what it still does.
pub(crate) async fn alive() -> Response {
    said(StatusCode::OK, "ok")
}

pub(crate) async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    if admin.readiness() == Readiness::JournalUnavailable {
        admin.try_the_journal().await;
    }
    let readiness = admin.readiness();
    let status = if readiness.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    said(status, readiness.as_str())
}

fn said(status: StatusCode, word: &'static str) -> Response {
    let fields = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, fields, format!("{word}\n")).into_response()
}
