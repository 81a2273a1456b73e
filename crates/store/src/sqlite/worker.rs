//! A thread that owns one connection, and the two ways it works: group commit, and read snapshot.

use crate::{BoxFuture, StoreError};
use rusqlite::{Connection, TransactionBehavior};
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// How many commands share one transaction at most: bounds how long the first one waits for its reply.
const BATCH: usize = 512;

/// What has to happen after the commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing.
    Nothing,
    /// The write-ahead log holds ciphertext that was just erased: fold it back and truncate it.
    EraseLog,
}

/// One queued command: does its work, keeps the result, replies once it is known whether the commit held.
pub(super) trait Command: Send {
    /// Whether the work succeeded; a failed one is rolled back alone.
    fn run(&mut self, db: &Connection) -> bool;
    fn after(&self) -> After;
    fn reply(self: Box<Self>, commit: Result<(), StoreError>);
}

struct Task<T, W> {
    work: Option<W>,
    result: Option<Result<T, StoreError>>,
    after: After,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, W: FnOnce(&Connection) -> Result<T, StoreError> + Send> Command for Task<T, W> {
    fn run(&mut self, db: &Connection) -> bool {
        self.result = self.work.take().map(|work| work(db));
        matches!(self.result, Some(Ok(_)))
    }

    fn after(&self) -> After {
        self.after
    }

    fn reply(self: Box<Self>, commit: Result<(), StoreError>) {
        let result = match (self.result, commit) {
            // A change that was refused on its own account stays refused, whatever became of the others.
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Failed("the command did not run".into())),
        };
        // The caller may be gone; the change stands all the same.
        let _ = self.reply.send(result);
    }
}

/// A thread that owns one connection. Dropping it finishes what is queued, then closes the database.
pub(super) struct Worker {
    queue: Option<mpsc::Sender<Box<dyn Command>>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(
        name: &str,
        body: fn(&mut Connection, Vec<Box<dyn Command>>),
        mut db: Connection,
    ) -> Result<Self, StoreError> {
        let (queue, commands) = mpsc::channel::<Box<dyn Command>>();
        let work = move || {
            while let Ok(first) = commands.recv() {
                let batch = std::iter::once(first).chain(commands.try_iter()).take(BATCH).collect();
                body(&mut db, batch);
            }
        };
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(work)
            .map_err(|error| StoreError::Failed(format!("no thread for the store: {error}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues the work at once; the future only waits for the reply, so dropping it changes nothing.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        after: After,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Task { work: Some(work), result: None, after, reply });
        if let Some(queue) = &self.queue {
            // If the thread is gone the task is dropped, and with it `reply`: the answer below says so.
            let _ = queue.send(task);
        }
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(StoreError::Failed("the store's thread has stopped".into())))
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs the batch in one transaction, each command in its own savepoint, commits, then replies.
pub(super) fn group_commit(db: &mut Connection, mut batch: Vec<Box<dyn Command>>) {
    let committed = run_all(db, &mut batch);
    if committed.is_ok() && batch.iter().any(|command| command.after() == After::EraseLog) {
        erase_log(db);
    }
    for command in batch {
        command.reply(committed.clone());
    }
}

fn run_all(db: &mut Connection, batch: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
    let mut transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for command in batch {
        let savepoint = transaction.savepoint()?;
        // A savepoint that is dropped without a commit rolls back.
        if command.run(&savepoint) {
            savepoint.commit()?;
        }
    }
    transaction.commit()?;
    Ok(())
}

fn erase_log(db: &Connection) {
    let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if !matches!(busy, Ok(0)) {
        tracing::warn!("the write-ahead log still holds erased ciphertext; the next checkpoint removes it");
    }
}

/// Runs each command in a read transaction of its own.
pub(super) fn snapshot(db: &mut Connection, batch: Vec<Box<dyn Command>>) {
    for mut command in batch {
        let outcome = db.transaction().map(|transaction| command.run(&transaction));
        command.reply(outcome.map(|_| ()).map_err(StoreError::from));
    }
}
