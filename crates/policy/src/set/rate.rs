//! The rate limit of one permit: GCRA (a leaky bucket as one number), shared by successive snapshots.

use crate::permit::Rate;
use cloakroom_model::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};

/// When the bucket will be empty again, in microseconds since the epoch.
#[derive(Debug)]
pub(crate) struct Limit {
    empty_at: AtomicU64,
    interval: u64,
    period: u64,
}

impl Limit {
    pub(crate) fn new(rate: Rate) -> Self {
        let period = rate.per.seconds() * 1_000_000;
        Self { empty_at: AtomicU64::new(0), interval: period.div_ceil(u64::from(rate.count)), period }
    }

    /// Takes one call, or says after how many seconds one comes free.
    pub(crate) fn take(&self, now: Timestamp) -> Result<(), u32> {
        let now = now.millis().saturating_mul(1000);
        let mut seen = self.empty_at.load(Ordering::Relaxed);
        loop {
            // A clock that was set back leaves a time beyond every possible one: then the bucket is full (T72).
            let empty_at = seen.clamp(now, now.saturating_add(self.period));
            let next = empty_at.saturating_add(self.interval);
            let latest = now.saturating_add(self.period).saturating_add(self.slack());
            if next > latest {
                return Err(u32::try_from((next - latest).div_ceil(1_000_000)).unwrap_or(u32::MAX));
            }
            match self.empty_at.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }

    /// Gives one call back: another permit of the same call had none left.
    pub(crate) fn give_back(&self) {
        let back = |at: u64| Some(at.saturating_sub(self.interval));
        // The closure always returns a value, so this does not fail.
        let _ = self.empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, back);
    }

    /// What rounding the interval up adds to a whole period.
    fn slack(&self) -> u64 {
        let count = self.period / self.interval + u64::from(!self.period.is_multiple_of(self.interval));
        (count * self.interval).saturating_sub(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Limit {
        Limit::new(Rate::parse(text).unwrap())
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    #[test]
    fn as_many_as_the_count_at_once_then_evenly() {
        for (rate, count, interval) in
            [("10/min", 10, 6_000), ("3/s", 3, 334), ("1/h", 1, 3_600_000), ("7/min", 7, 8_572)]
        {
            let limit = limit(rate);
            for call in 0..count {
                assert_eq!(limit.take(at(0)), Ok(()), "{rate}: call {call}");
            }
            assert!(limit.take(at(0)).is_err(), "{rate}");
            assert!(limit.take(at(interval / 2)).is_err(), "{rate}");
            assert_eq!(limit.take(at(interval)), Ok(()), "{rate}");
            assert!(limit.take(at(interval)).is_err(), "{rate}");
        }
    }

    #[test]
    fn retry_after_is_the_time_until_one_comes_free() {
        let limit = limit("2/min");
        assert_eq!((limit.take(at(0)), limit.take(at(0)), limit.take(at(0))), (Ok(()), Ok(()), Err(30)));
        assert_eq!(limit.take(at(29_999)), Err(1));
        assert_eq!(limit.take(at(30_000)), Ok(()));
    }

    #[test]
    fn t72_a_clock_set_back_refuses_for_a_period_at_most() {
        let limit = limit("1/min");
        assert_eq!(limit.take(at(1_000_000_000)), Ok(()));
        assert!(limit.take(at(0)).is_err());
        assert!(limit.take(at(0)).unwrap_err() <= 60);
    }

    #[test]
    fn what_is_given_back_can_be_taken() {
        let limit = limit("1/min");
        assert_eq!(limit.take(at(0)), Ok(()));
        limit.give_back();
        assert_eq!(limit.take(at(0)), Ok(()));
        assert!(limit.take(at(0)).is_err());
    }
}
