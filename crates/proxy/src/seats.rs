//! How many connections each workload holds, so that one of them cannot take all.

use cloakroom_model::{Code, Refusal, WorkloadId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The seats of all workloads.
pub(crate) struct Seats {
    most: usize,
    taken: Mutex<HashMap<WorkloadId, usize>>,
}

/// One connection of one workload. Given back on drop.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    workload: WorkloadId,
}

impl Seats {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::new(HashMap::new()) })
    }

    /// Takes a seat for this workload, or keeps the one the connection has.
    ///
    /// # Errors
    /// `rate-limited` when the workload holds as many connections as one may.
    pub(crate) fn take(self: &Arc<Self>, held: Option<Seat>, workload: WorkloadId) -> Result<Seat, Refusal> {
        if let Some(seat) = held.filter(|seat| seat.workload == workload) {
            return Ok(seat);
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(workload).or_insert(0);
        if *count >= self.most {
            return Err(Refusal::new(Code::RateLimited, "the workload has too many connections open")
                .with(|facts| facts.retry_after = Some(1)));
        }
        *count += 1;
        Ok(Seat { seats: self.clone(), workload })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.workload) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.workload);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Timestamp;

    #[test]
    fn t97_one_workload_cannot_take_the_seats_of_another() {
        let seats = Seats::new(2);
        let [a, b] = [1, 2].map(|n| WorkloadId::new(Timestamp::from_millis(n), [0; 10]));
        let first = seats.take(None, a).unwrap();
        let _second = seats.take(None, a).unwrap();
        assert_eq!(seats.take(None, a).err().map(|r| r.code()), Some(Code::RateLimited));
        let _other = seats.take(None, b).unwrap();
        let first = seats.take(Some(first), a).unwrap();
        drop(first);
        assert!(seats.take(None, a).is_ok());
    }
}
