//! Attempts to log in: each has a secret that is good once and for a few minutes, and a source that fails too often waits (T85). In memory
//! and bounded: a restart forgets them, which costs an attacker nothing, and gains nothing either where every secret has 256 bits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an attempt may take: somebody looks for a key.
const PATIENCE: Duration = Duration::from_secs(180);
/// How many may be under way.
const MOST: usize = 256;
/// What one source may begin, and fail, in a minute.
const BEGUN: u32 = 30;
const FAILED: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// How many sources are remembered.
const SOURCES: usize = 4096;

/// The attempts there are.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    open: Vec<(String, Instant)>,
    sources: HashMap<IpAddr, Source>,
}

/// What one source did in the present minute.
#[derive(Debug)]
struct Source {
    since: Instant,
    begun: u32,
    failed: u32,
}

/// This source has to wait.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Attempts {
    /// Begins an attempt with this secret.
    pub(crate) fn begin(&self, code: String, from: IpAddr, now: Instant) -> Result<(), TooMany> {
        self.knock(from, now)?;
        let mut known = self.lock();
        known.open.retain(|(_, until)| *until > now);
        if known.open.len() >= MOST {
            known.open.remove(0);
        }
        known.open.push((code, now + PATIENCE));
        Ok(())
    }

    /// Notes that this source begins something, where it has not begun too much already.
    pub(crate) fn knock(&self, from: IpAddr, now: Instant) -> Result<(), TooMany> {
        let mut known = self.lock();
        let source = known.source(from, now);
        source.begun += 1;
        if source.begun > BEGUN || source.failed >= FAILED { Err(TooMany) } else { Ok(()) }
    }

    /// Takes the attempt with this secret: it is good once.
    pub(crate) fn take(&self, code: &str, now: Instant) -> bool {
        let mut known = self.lock();
        let is_it = |(open, until): &(String, Instant)| {
            let same = aws_lc_rs::constant_time::verify_slices_are_equal(open.as_bytes(), code.as_bytes());
            *until > now && same.is_ok()
        };
        let found = known.open.iter().position(is_it);
        found.map(|at| known.open.remove(at)).is_some()
    }

    /// Notes that this source showed something that opens nothing.
    pub(crate) fn failed(&self, from: IpAddr, now: Instant) {
        self.lock().source(from, now).failed += 1;
    }

    /// Whether this source failed so often that it is not heard for a while.
    pub(crate) fn must_wait(&self, from: IpAddr, now: Instant) -> bool {
        self.lock().source(from, now).failed >= FAILED
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn source(&mut self, from: IpAddr, now: Instant) -> &mut Source {
        if self.sources.len() >= SOURCES {
            self.sources.retain(|_, source| source.since + WINDOW > now);
        }
        if self.sources.len() >= SOURCES {
            self.sources.clear();
        }
        let fresh = Source { since: now, begun: 0, failed: 0 };
        let source = self.sources.entry(from).or_insert(fresh);
        if source.since + WINDOW <= now {
            *source = Source { since: now, begun: 0, failed: 0 };
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t85_an_attempt_is_good_once_and_a_source_that_fails_waits() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([10, 0, 0, 1]));
        attempts.begin("one".into(), here, now).unwrap();
        assert!(!attempts.take("two", now) && !attempts.take("one", now + PATIENCE));
        assert!(attempts.take("one", now) && !attempts.take("one", now));
        for _ in 0..FAILED {
            assert!(!attempts.must_wait(here, now));
            attempts.failed(here, now);
        }
        assert!(attempts.must_wait(here, now) && attempts.begin("x".into(), here, now).is_err());
        assert!(!attempts.must_wait(there, now) && !attempts.must_wait(here, now + WINDOW));
        for number in 0..BEGUN {
            attempts.begin(number.to_string(), there, now).unwrap();
        }
        assert!(attempts.begin("more".into(), there, now).is_err());
    }

    #[test]
    fn t85_what_is_remembered_is_bounded() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..5000u32 {
            let from = IpAddr::from(number.to_be_bytes());
            attempts.begin(number.to_string(), from, now).unwrap();
        }
        let known = attempts.lock();
        assert!(known.open.len() == MOST && known.sources.len() <= SOURCES);
    }
}
