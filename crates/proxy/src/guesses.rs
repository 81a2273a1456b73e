//! Wrong workload keys per peer address: a few are free, more are answered late (T69).

use crate::peer::Peer;
use cloakroom_model::Source;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses remembered at once. The rest share one entry.
const REMEMBERED: usize = 4096;
/// A wrong key is forgiven after this time.
const FORGIVEN_AFTER: Duration = Duration::from_secs(6);
const LONGEST: Duration = Duration::from_secs(5);

struct Entry {
    level: u32,
    since: Instant,
}

/// What every address guessed lately. Keys have far more entropy than anybody can guess; this keeps guessing from
/// being cheap and the journal from being flooded. A right key is never held up: neighbours may share an address.
pub(crate) struct Guesses {
    free: u32,
    entries: Mutex<HashMap<Source, Entry>>,
}

impl Guesses {
    pub(crate) fn new(free: u32) -> Self {
        Self { free, entries: Mutex::new(HashMap::new()) }
    }

    /// Counts a wrong key; how long its answer has to wait.
    pub(crate) fn failed(&self, peer: Peer, now: Instant) -> Duration {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= REMEMBERED {
            entries.retain(|_, entry| entry.forgive(now) > 0);
        }
        let mut key = network(peer.source);
        if entries.len() >= REMEMBERED && !entries.contains_key(&key) {
            key = Source::Address(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        }
        let entry = entries.entry(key).or_insert(Entry { level: 0, since: now });
        entry.forgive(now);
        entry.level = entry.level.saturating_add(1);
        let beyond = entry.level.saturating_sub(self.free);
        LONGEST.min(Duration::from_millis(100).saturating_mul(beyond))
    }
}

impl Entry {
    /// Takes off what time has forgiven; what is left.
    fn forgive(&mut self, now: Instant) -> u32 {
        let forgiven = now.saturating_duration_since(self.since).as_secs() / FORGIVEN_AFTER.as_secs();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        if forgiven > 0 {
            self.level = self.level.saturating_sub(forgiven);
            self.since = now;
        }
        self.level
    }
}

/// One customer of an access network has a whole /64.
fn network(source: Source) -> Source {
    match source {
        Source::Address(IpAddr::V6(address)) => {
            Source::Address(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::at(text.parse().unwrap())
    }

    #[test]
    fn t69_guessing_becomes_slow_and_is_forgiven() {
        let guesses = Guesses::new(3);
        let start = Instant::now();
        let waits: Vec<_> = (0..5).map(|_| guesses.failed(peer("192.0.2.1"), start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        for _ in 0..100 {
            guesses.failed(peer("192.0.2.1"), start);
        }
        assert_eq!(guesses.failed(peer("192.0.2.1"), start), LONGEST);
        assert_eq!(guesses.failed(peer("192.0.2.1"), start + Duration::from_secs(3600)), Duration::ZERO);
    }

    #[test]
    fn t69_the_table_is_bounded_and_a_network_is_one_peer() {
        let guesses = Guesses::new(0);
        let now = Instant::now();
        for number in 0..10_000u128 {
            guesses.failed(Peer::at(IpAddr::V6(Ipv6Addr::from_bits(number << 64))), now);
        }
        assert!(guesses.entries.lock().unwrap().len() <= REMEMBERED + 1);
        let of = |text| network(peer(text).source);
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(network(Peer::user(1).source), network(Peer::user(2).source));
    }
}
