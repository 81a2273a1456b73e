//! What both directions of a channel share.

use crate::scrub::{Finder, Target};
use cloakroom_model::{Refusal, Timestamp};
use cloakroom_policy::{MessageJudge, MessageUse, PolicySet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a channel came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelTally {
    /// Bytes of messages handed to the workload, as they were before compression.
    pub bytes: u64,
    /// Messages handed on, both ways.
    pub messages: u64,
    /// Secrets replaced.
    pub replaced: u64,
    /// Whether the upstream ended it in order.
    pub complete: bool,
}

/// Shared by the two directions and the watch over them, which one task runs: no lock is ever waited for.
pub(super) struct State {
    shared: Mutex<Shared>,
}

struct Shared {
    finder: Arc<Finder>,
    judge: MessageJudge,
    tally: ChannelTally,
    heard: Instant,
    closing: Option<Instant>,
}

impl State {
    pub(super) fn new(finder: Arc<Finder>, judge: MessageJudge, replaced: u64) -> Self {
        let tally = ChannelTally { replaced, ..ChannelTally::default() };
        let shared = Shared { finder, judge, tally, heard: Instant::now(), closing: None };
        Self { shared: Mutex::new(shared) }
    }

    pub(super) fn finder(&self) -> Arc<Finder> {
        Arc::clone(&self.lock().finder)
    }

    /// From now on this secret is looked for too.
    pub(super) fn look_for(&self, target: Target) {
        let mut shared = self.lock();
        shared.finder = Arc::new(shared.finder.with(target));
    }

    /// Judges a text message.
    ///
    /// # Errors
    /// As [`MessageJudge::judge`].
    pub(super) fn judge_text(
        &self,
        text: &[u8],
        policies: &PolicySet,
    ) -> Result<Option<MessageUse>, Refusal> {
        self.lock().judge.judge(text, policies, Timestamp::now())
    }

    /// Judges what no placeholder may stand in.
    ///
    /// # Errors
    /// As [`MessageJudge::judge_binary`].
    pub(super) fn judge_binary(&self, bytes: &[u8], policies: &PolicySet) -> Result<(), Refusal> {
        self.lock().judge.judge_binary(bytes, policies)
    }

    /// Whether every placeholder that opened the channel, or was used on it, counts still.
    pub(super) fn may_stay(&self, policies: &PolicySet) -> bool {
        self.lock().judge.may_stay(policies, Timestamp::now())
    }

    /// A side said something.
    pub(super) fn heard(&self) {
        self.lock().heard = Instant::now();
    }

    /// How long nobody has said anything.
    pub(super) fn silence(&self) -> Duration {
        self.lock().heard.elapsed()
    }

    /// A side said Close.
    pub(super) fn closing(&self) {
        self.lock().closing.get_or_insert_with(Instant::now);
    }

    /// How long ago the first side said Close.
    pub(super) fn closing_for(&self) -> Option<Duration> {
        self.lock().closing.map(|at| at.elapsed())
    }

    /// A message of this length went to the workload.
    pub(super) fn relayed(&self, length: usize) {
        let mut shared = self.lock();
        shared.tally.messages += 1;
        shared.tally.bytes += length as u64;
    }

    /// A message went to the upstream.
    pub(super) fn sent(&self) {
        self.lock().tally.messages += 1;
    }

    /// The upstream's Close went to the workload.
    pub(super) fn complete(&self) {
        self.lock().tally.complete = true;
    }

    pub(super) fn replaced(&self, count: u64) {
        self.lock().tally.replaced += count;
    }

    pub(super) fn tally(&self) -> ChannelTally {
        self.lock().tally
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
