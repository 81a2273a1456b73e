//! When the frames of a connection are a flood: many that cost us work, few that ask for or bring anything (T95).

use super::frames::{
    CONTINUATION, DATA, FIRST_FLAG, Frame, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use std::time::Instant;

/// What a connection may spend at once on frames that bring nothing, and how much of it comes back each second.
///
/// The figures leave room for what real programs do: a gRPC library sends a PING and two WINDOW_UPDATE frames for each
/// DATA frame it gets, and cancels calls by the dozen. An attack needs tens of thousands a second to be felt.
const MOST: i64 = 2_000;
const PER_SECOND: i64 = 200;

/// What a DATA frame of ours, and an answer that came to its end, allow the peer to spend in turn.
const FOR_DATA: i64 = 4;
const FOR_ANSWER: i64 = 12;

/// The costs.
const UPDATE: i64 = 1;
const CONTINUED: i64 = 2;
const CHATTER: i64 = 5;
const RESET: i64 = 10;
const SETTING: i64 = 20;

/// NO_ERROR, INTERNAL_ERROR and CANCEL (RFC 9113, section 7): resets of ours that are not the peer's doing.
const OUR_OWN_REASONS: [u32; 3] = [0x0, 0x2, 0x8];

/// The budget of one connection.
#[derive(Debug)]
pub(super) struct Budget {
    left: i64,
    filled: Instant,
}

impl Budget {
    /// A full one.
    pub(super) fn new(now: Instant) -> Self {
        Self { left: MOST, filled: now }
    }

    /// Counts a frame of the peer's.
    pub(super) fn came(&mut self, frame: Frame) {
        self.left -= cost(frame);
    }

    /// Counts a frame of ours: it may be what the peer answers with useless ones, or what a useless one cost us.
    pub(super) fn went(&mut self, frame: Frame) {
        let ends = matches!(frame.kind, DATA | HEADERS) && frame.flags & FIRST_FLAG != 0;
        let earned = match frame.kind {
            DATA if frame.length > 0 => FOR_DATA,
            // SECURITY: a peer that makes us reset its streams pays as for resets of its own (CVE-2025-8671).
            RST_STREAM if !OUR_OWN_REASONS.contains(&frame.code) => -RESET,
            _ => 0,
        };
        self.left = (self.left + earned + if ends { FOR_ANSWER } else { 0 }).min(MOST);
    }

    /// Whether more was spent than there was. The clock is read only when little is left.
    pub(super) fn is_spent(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.left < MOST / 2 {
            let now = now();
            let earned = now.saturating_duration_since(self.filled).as_millis() * PER_SECOND as u128 / 1000;
            if earned > 0 {
                self.left = self.left.saturating_add(i64::try_from(earned).unwrap_or(MOST)).min(MOST);
                self.filled = now;
            }
        }
        self.left < 0
    }
}

fn cost(frame: Frame) -> i64 {
    let flagged = frame.flags & FIRST_FLAG != 0;
    match frame.kind {
        DATA if frame.length == 0 && !flagged => RESET,
        // A request costs what its answer costs; that is for other limits.
        DATA | HEADERS => 0,
        RST_STREAM => RESET,
        SETTINGS if !flagged => SETTING,
        WINDOW_UPDATE => UPDATE,
        CONTINUATION => CONTINUED,
        // SETTINGS and PING acknowledged, PING, PRIORITY, GOAWAY, and types that mean nothing here.
        SETTINGS | PING => CHATTER,
        _ => CHATTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn frame(kind: u8, length: usize, flags: u8) -> Frame {
        Frame { length, kind, flags, code: 0 }
    }

    /// How many such frames a second are too many, where each is answered as `answer` says; up to a bound.
    fn allowed(each: Frame, answer: Option<Frame>) -> usize {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        for count in 0..20_000 {
            budget.came(each);
            answer.into_iter().for_each(|answer| budget.went(answer));
            if budget.is_spent(|| now) {
                return count;
            }
        }
        usize::MAX
    }

    #[test]
    fn t95_frames_that_bring_nothing_are_counted() {
        for (each, expected) in [
            (frame(RST_STREAM, 4, 0), 200),
            (frame(DATA, 0, 0), 200),
            (frame(SETTINGS, 0, 0), 100),
            (frame(SETTINGS, 0, 1), 400),
            (frame(PING, 8, 0), 400),
            (frame(PING, 8, 1), 400),
            (frame(2, 5, 0), 400),
            (frame(0xbe, 0, 0), 400),
            (frame(CONTINUATION, 0, 0), 1000),
            (frame(WINDOW_UPDATE, 4, 0), 2000),
        ] {
            assert_eq!(allowed(each, None), expected, "{each:?}");
        }
    }

    #[test]
    fn t95_resets_that_a_peer_provokes_cost_as_much_as_its_own() {
        let provoked = |code| Some(Frame { code, ..frame(RST_STREAM, 4, 0) });
        for code in [0x1, 0x3, 0x5, 0x7] {
            assert_eq!(allowed(frame(HEADERS, 9, 5), provoked(code)), 200, "{code}");
        }
        for code in OUR_OWN_REASONS {
            assert_eq!(allowed(frame(HEADERS, 9, 5), provoked(code)), usize::MAX, "{code}");
        }
    }

    #[test]
    fn frames_that_bring_something_are_free_and_what_they_entail_is_paid_for() {
        for each in [frame(DATA, 1, 0), frame(DATA, 0, 1), frame(HEADERS, 9, 5)] {
            assert_eq!(allowed(each, None), usize::MAX);
        }
        assert_eq!(allowed(frame(WINDOW_UPDATE, 4, 0), Some(frame(DATA, 100, 0))), usize::MAX);
        assert_eq!(allowed(frame(RST_STREAM, 4, 0), Some(frame(DATA, 10, 1))), usize::MAX);
        // An acknowledgement of ours earns nothing.
        assert_eq!(allowed(frame(PING, 8, 0), Some(frame(PING, 8, 1))), 400);
    }

    #[test]
    fn the_budget_comes_back_with_time() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            for _ in 0..20 {
                budget.came(frame(RST_STREAM, 4, 0));
            }
            assert!(!budget.is_spent(|| now), "{second}");
        }
    }
}
