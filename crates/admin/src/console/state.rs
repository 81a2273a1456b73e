//! What the console's pages are made of beside the store: the rows as they are in force, what the journal came to, what is known of
//! services. In memory, made again after each start.

use super::board::Board;
use super::index::Index;
use super::offer::Offer;
use crate::{Problem, ProblemCode};
use arc_swap::ArcSwapOption;
use cloakroom_model::Rows;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a whole body may take to come.
const BODY_TIME: Duration = Duration::from_secs(20);
/// Pages that are told of changes at once: each holds a connection of the console.
const LISTENERS: usize = 24;

/// The console's memory.
pub struct ConsoleState {
    /// What the catalogue knows.
    pub(crate) offers: fn() -> Vec<Offer>,
    /// Where workloads connect, and whether they speak TLS there.
    pub(crate) listen: Option<(SocketAddr, bool)>,
    pub(crate) index: Index,
    pub(crate) listeners: Arc<Semaphore>,
    /// How long a whole body may take to come.
    pub(crate) body_time: Duration,
    board: ArcSwapOption<Board>,
}

impl Default for ConsoleState {
    fn default() -> Self {
        Self {
            offers: Vec::new,
            listen: None,
            index: Index::default(),
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            body_time: BODY_TIME,
            board: ArcSwapOption::empty(),
        }
    }
}

impl ConsoleState {
    /// With what is known of services, and where workloads connect: the address, and whether it speaks TLS.
    pub fn new(offers: fn() -> Vec<Offer>, listen: (SocketAddr, bool)) -> Self {
        Self { offers, listen: Some(listen), ..Self::default() }
    }

    /// The rows that pages are made of from now on; `None` where they could not be read.
    pub(crate) fn hold(&self, rows: Option<Arc<Rows>>) {
        self.board.store(rows.map(|rows| Arc::new(Board::new(rows))));
    }

    /// The rows as they are in force.
    ///
    /// # Errors
    /// Where they could not be read.
    pub(crate) fn board(&self) -> Result<Arc<Board>, Problem> {
        self.board.load_full().ok_or_else(|| {
            Problem::new(ProblemCode::StoreFailed, "the rows cannot be read: every call is refused")
        })
    }
}
