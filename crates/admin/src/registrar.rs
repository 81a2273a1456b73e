//! Puts on record what nobody does: that a placeholder's time ran out, that its last use was taken or given back.
//!
//! What is refused is decided by clock and count at each call. This follows within a second, and for what ended while no
//! broker ran at the next start; it decides nothing.

use crate::admin::Admin;
use crate::{Problem, ProblemCode};
use cloakroom_model::{Change, PlaceholderId, PlaceholderRecord, Rows, Timestamp};
use cloakroom_store::journal::Entry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon an end is looked for, and how many times longer than a look the pause is.
const PAUSE: Duration = Duration::from_secs(1);
const REST: u32 = 20;

/// What was so at the last look: nothing has to be read again while it is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    counted_uses: u64,
    /// Failures after which a use may have been given back.
    failures: u64,
    snapshot: usize,
    next_end: Option<Timestamp>,
}

impl Admin {
    /// Looks, for as long as the broker runs.
    pub async fn record_ends(self: Arc<Self>) {
        let mut seen = None;
        loop {
            let begun = Instant::now();
            if self.may_have_ended(seen) {
                seen = self.look().await.inspect_err(|problem| self.complain(problem)).ok();
            }
            tokio::time::sleep(PAUSE.max(begun.elapsed() * REST)).await;
        }
    }

    fn complain(&self, problem: &Problem) {
        tracing::error!(%problem, "the end of a placeholder could not be recorded; it is tried again");
    }

    fn may_have_ended(&self, seen: Option<Seen>) -> bool {
        let Some(seen) = seen else { return true };
        let due = seen.next_end.is_some_and(|end| end <= Timestamp::now());
        due || self.seen(seen.next_end) != seen
    }

    fn seen(&self, next_end: Option<Timestamp>) -> Seen {
        let meters = self.events.meters().read();
        let failures =
            meters.refusals.iter().filter(|(code, _)| code.status() >= 500).map(|(_, count)| count).sum();
        let counted_uses = meters.counted_uses;
        Seen { counted_uses, failures, snapshot: Arc::as_ptr(&self.policies.load()) as usize, next_end }
    }

    /// Records and stores what has ended; gives what was seen before the look.
    async fn look(&self) -> Result<Seen, Problem> {
        let _turn = self.turn().await;
        let seen = self.seen(None);
        let rows = self.rows().await?;
        let now = Timestamp::now();
        let mut changes: BTreeMap<&str, (Change, Vec<PlaceholderId>)> = BTreeMap::new();
        for row in &rows.placeholders {
            if let Some(change) = observed(row, now) {
                changes.entry(change.act()).or_insert((change, Vec::new())).1.push(row.id);
            }
        }
        for (change, ids) in changes.into_values() {
            self.put_on_record(change, &ids, now).await?;
        }
        Ok(Seen { next_end: next_end(&rows, now), ..seen })
    }

    async fn put_on_record(
        &self,
        change: Change,
        ids: &[PlaceholderId],
        at: Timestamp,
    ) -> Result<(), Problem> {
        let mut last = None;
        for id in ids {
            let (act, subject) = (change.act().into(), id.to_string());
            let entry = Entry::Act { at, act, subject, name: None, by: "the broker".into() };
            last = Some(self.journal.append(&entry)?);
        }
        if let Some(position) = last {
            self.journal.durable(position).await?;
        }
        let stored = self.store.change_placeholders(ids.to_vec(), change, at).await;
        stored.map_err(|error| Problem::new(ProblemCode::StoreFailed, error.to_string()))
    }
}

/// What has become of a placeholder and is not on record yet.
fn observed(row: &PlaceholderRecord, now: Timestamp) -> Option<Change> {
    let life = row.life();
    let is_over = row.expires.is_some_and(|end| end <= now);
    let is_spent = row.uses.is_some_and(|uses| row.used >= uses);
    let change = match (is_over, is_spent) {
        (true, _) => Change::Expire,
        (false, true) => Change::Spend,
        (false, false) => Change::GiveBack,
    };
    life.after(change, now).is_some_and(|next| next != life).then_some(change)
}

fn next_end(rows: &Rows, now: Timestamp) -> Option<Timestamp> {
    rows.placeholders.iter().filter_map(|row| row.expires).filter(|end| *end > now).min()
}
