//! What a destination may still show of one credential: values that were at hand once, whether or not any of them may still be used.

use crate::custody::{Derived, digest_of};
use crate::scrub::{NeedleCache, Needles};
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// More values of one credential are not looked for: the oldest go.
const MOST: usize = 64;
/// A destination whose clock is behind takes an access token for longer than it was to last.
const SKEW: Duration = Duration::from_secs(300);

/// The values of one credential, of all its generations.
///
/// SECURITY: what may be good is looked for in replies for as long as that, also where the broker has let go of it.
#[derive(Default)]
pub(crate) struct Remembered {
    values: Mutex<Vec<Value>>,
}

struct Value {
    digest: [u8; 32],
    /// Where its own needles are kept; shared with the value while it is at hand.
    derived: Arc<Derived>,
    needles: Vec<Arc<Needles>>,
    /// Then it is worth nothing; `None` where nobody said.
    ends: Option<Instant>,
    /// What calls look for that went out with it, where it was deposited and replaced: while one is under way it has no end.
    calls: Vec<Weak<Needles>>,
}

impl Remembered {
    /// Remembers a value that is one text, and what goes with it. It is good for so long, where that is known. Gives what is kept beside
    /// it: the same as before, where it was remembered.
    pub(super) fn keep(
        &self,
        secret: &[u8],
        with: Vec<Arc<Needles>>,
        lasts: Option<Duration>,
    ) -> Arc<Derived> {
        self.put(digest_of(secret), ends_after(lasts), with, |cache| vec![cache.needles(None, secret)])
    }

    /// Remembers a value that is made of several.
    pub(super) fn keep_parts(&self, parts: &[&[u8]], lasts: Duration) -> Arc<Derived> {
        self.put(digest_of_parts(parts), ends_after(Some(lasts)), Vec::new(), |cache| {
            cache.parts(parts).to_vec()
        })
    }

    /// Remembers a deposited value that is about to be replaced: for so long, and while a call is under way that went out with it. Those
    /// are known by what they look for: `sought`, and nobody else may have it once the value is replaced.
    pub(crate) fn keep_former(&self, parts: &[&[u8]], sought: &[Arc<Needles>], grace: Duration) {
        // Needles of their own: those of the calls tell when the calls are over.
        let needles = || parts.iter().map(|part| Arc::new(Needles::new(part, None))).collect();
        let calls = sought.iter().map(Arc::downgrade).collect();
        let (digest, derived) = (digest_of_parts(parts), Arc::default());
        let mut values = self.lock();
        drop_ended(&mut values);
        values.retain(|value| value.digest != digest);
        values.push(Value {
            digest,
            derived,
            needles: needles(),
            ends: Instant::now().checked_add(grace),
            calls,
        });
        let oldest = values.len().saturating_sub(MOST);
        values.drain(..oldest);
    }

    /// Whether nothing is remembered.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Wipes all of it: nothing more is looked for, as after a start.
    pub(crate) fn wipe(&self) {
        self.lock().clear();
    }

    /// What to look for.
    pub(crate) fn needles(&self) -> Vec<Arc<Needles>> {
        let mut values = self.lock();
        drop_ended(&mut values);
        values.iter().flat_map(|value| value.needles.iter().cloned()).collect()
    }

    fn put(
        &self,
        digest: [u8; 32],
        ends: Option<Instant>,
        with: Vec<Arc<Needles>>,
        make: impl FnOnce(&NeedleCache) -> Vec<Arc<Needles>>,
    ) -> Arc<Derived> {
        let mut values = self.lock();
        drop_ended(&mut values);
        let value = match values.iter().position(|value| value.digest == digest) {
            Some(at) => {
                let before = values.remove(at);
                // `None` is later than any end.
                let ends = before.ends.zip(ends).map(|(before, ends)| before.max(ends));
                Value { ends, ..before }
            }
            None => {
                let cache = NeedleCache::default();
                let needles = make(&cache);
                let derived = Derived::from(Arc::new(cache) as Arc<dyn Any + Send + Sync>);
                Value { digest, derived: Arc::new(derived), needles, ends, calls: Vec::new() }
            }
        };
        let derived = Arc::clone(&value.derived);
        values.push(value.joined_by(with));
        let oldest = values.len().saturating_sub(MOST);
        values.drain(..oldest);
        derived
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Value {
    /// Its own needles stay in front; what went with it before goes where something goes with it now.
    fn joined_by(mut self, with: Vec<Arc<Needles>>) -> Self {
        if !with.is_empty() {
            self.needles.truncate(1);
            self.needles.extend(with);
        }
        self
    }
}

fn drop_ended(values: &mut Vec<Value>) {
    let now = Instant::now();
    let is_under_way = |value: &Value| value.calls.iter().any(|needles| needles.strong_count() > 0);
    values.retain(|value| value.ends.is_none_or(|ends| now < ends) || is_under_way(value));
}

fn ends_after(lasts: Option<Duration>) -> Option<Instant> {
    lasts.map(|span| Instant::now() + span + SKEW)
}

fn digest_of_parts(parts: &[&[u8]]) -> [u8; 32] {
    let digests: Vec<[u8; 32]> = parts.iter().map(|part| digest_of(part)).collect();
    digest_of(digests.as_flattened())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(remembered: &Remembered, number: usize, lasts: Option<Duration>) -> Arc<Derived> {
        remembered.keep(format!("canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD-{number}").as_bytes(), Vec::new(), lasts)
    }

    #[test]
    fn a_value_is_remembered_once_and_what_is_kept_beside_it_stays() {
        let remembered = Remembered::default();
        assert!(remembered.is_empty());
        let first = keep(&remembered, 1, None);
        let other = keep(&remembered, 2, None);
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(Arc::ptr_eq(&first, &keep(&remembered, 1, None)));
        assert_eq!(remembered.needles().len(), 2);
    }

    #[test]
    fn what_has_no_end_stays_and_the_oldest_beyond_the_bound_goes() {
        let remembered = Remembered::default();
        let first = keep(&remembered, 0, None);
        // That it has an end now does not give it one.
        keep(&remembered, 0, Some(Duration::ZERO));
        assert!(remembered.lock()[0].ends.is_none());
        for number in 1..MOST {
            keep(&remembered, number, None);
        }
        assert!(Arc::ptr_eq(&first, &keep(&remembered, 0, None)), "not more than the bound");
        keep(&remembered, MOST, None);
        assert_eq!(remembered.needles().len(), MOST);
        assert!(
            !remembered
                .lock()
                .iter()
                .any(|value| value.digest == digest_of(b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD-1"))
        );
        assert!(Arc::ptr_eq(&first, &keep(&remembered, 0, None)), "it was used a moment ago");
    }

    #[test]
    fn what_was_replaced_is_remembered_while_a_call_is_under_way_and_for_a_grace() {
        let remembered = Remembered::default();
        let parts: &[&[u8]] = &[b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD"];
        let of_call = Arc::new(Needles::new(parts[0], None));
        remembered.keep_former(parts, &[Arc::clone(&of_call)], Duration::ZERO);
        let mut of_another = remembered.needles();
        assert_eq!(of_another.len(), 1);
        assert!(!Arc::ptr_eq(&of_another[0], &of_call), "another call that looks for it keeps it no longer");
        drop(of_call);
        assert!(remembered.needles().is_empty());
        of_another.clear();
        for _ in 0..2 {
            remembered.keep_former(parts, &[], Duration::from_secs(60));
            assert_eq!(remembered.needles().len(), 1);
        }
        remembered.lock()[0].ends = Some(Instant::now());
        assert!(remembered.needles().is_empty());
    }

    #[test]
    fn what_ends_is_forgotten_with_its_end() {
        let remembered = Remembered::default();
        keep(&remembered, 1, Some(Duration::from_secs(60)));
        assert_eq!(remembered.needles().len(), 1);
        remembered.lock()[0].ends = Some(Instant::now());
        assert!(remembered.needles().is_empty());
    }
}
