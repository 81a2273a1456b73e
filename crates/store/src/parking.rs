//! Calls that wait for a human: a bounded table in memory. What is parked when the broker stops is refused for good, so
//! nothing of it is written; who decided what is left to the journal.

use cloakroom_model::{ApprovalId, CallApproval, PlaceholderId, Question, Signature, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How many calls may wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkingBounds {
    /// Calls of all workloads.
    pub calls: usize,
    /// Calls of one workload.
    pub calls_per_workload: usize,
    /// Bytes of all texts together. One workload gets at most as much as it leaves to the others, so there is room for whoever
    /// comes next (Choudhury and Hahne, *Dynamic queue length thresholds for shared-memory packet switches*, 1998).
    pub bytes: usize,
    /// How long a call may wait, and a decision for its call.
    pub wait: Duration,
}

impl Default for ParkingBounds {
    fn default() -> Self {
        Self { calls: 1000, calls_per_workload: 100, bytes: 16 << 20, wait: Duration::from_secs(600) }
    }
}

/// The calls that wait.
#[derive(Debug)]
pub struct Parking {
    bounds: ParkingBounds,
    parked: Mutex<Vec<Parked>>,
    /// Counts decisions, so that whoever waits looks again.
    decisions: watch::Sender<u64>,
}

/// One call that waits, or was decided and not repeated yet.
#[derive(Clone, Debug)]
pub struct Parked {
    /// Its approval.
    pub id: ApprovalId,
    /// What is asked.
    pub question: Question,
    /// When it was asked first.
    pub created: Timestamp,
    /// Those who signed so far.
    pub signatures: Vec<Signature>,
    /// What became of it.
    pub verdict: Verdict,
    until: Instant,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody said anything, or not enough did.
    Waiting,
    /// Enough approvers signed.
    Granted,
    /// An approver said no.
    Denied,
}

/// What a call is told that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It waits now.
    Parked(ApprovalId),
    /// It waits already.
    Waiting(ApprovalId),
    /// It may go: the approval is taken, and no second call gets it.
    Granted(CallApproval),
    /// A human said no.
    Denied(ApprovalId),
}

/// No more calls may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many calls wait for a human")]
pub struct Full;

/// Nothing that waits has this id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call does not wait any more")]
pub struct Gone;

impl Parking {
    /// An empty one.
    pub fn new(bounds: ParkingBounds) -> Self {
        Self { bounds, parked: Mutex::default(), decisions: watch::Sender::new(0) }
    }

    /// Asks for a call: parks the question under `fresh`, or says what became of the same question.
    ///
    /// # Errors
    /// [`Full`] where a bound is reached.
    pub fn ask(&self, question: &Question, fresh: ApprovalId, now: Instant) -> Result<Told, Full> {
        let mut parked = self.lock(now);
        if let Some(at) = parked.iter().position(|one| one.question.digest == question.digest) {
            return Ok(match parked[at].verdict {
                Verdict::Waiting => Told::Waiting(parked[at].id),
                Verdict::Denied => Told::Denied(parked[at].id),
                // INVARIANT: taken out under the lock, so that one approval lets one call go (T78).
                Verdict::Granted => {
                    let Parked { id, signatures, .. } = parked.swap_remove(at);
                    Told::Granted(CallApproval { id, signatures })
                }
            });
        }
        if !self.has_room(&parked, question) {
            return Err(Full);
        }
        parked.push(Parked {
            id: fresh,
            question: question.clone(),
            created: Timestamp::now(),
            signatures: Vec::new(),
            verdict: Verdict::Waiting,
            until: now + self.bounds.wait,
        });
        Ok(Told::Parked(fresh))
    }

    fn has_room(&self, parked: &[Parked], question: &Question) -> bool {
        let (mut calls, mut bytes, mut all) = (0, question.body.len(), question.body.len());
        for one in parked {
            let own = one.question.workload == question.workload;
            calls += usize::from(own);
            bytes += if own { one.question.body.len() } else { 0 };
            all += one.question.body.len();
        }
        parked.len() < self.bounds.calls
            && calls < self.bounds.calls_per_workload
            && self.bounds.bytes.checked_sub(all).is_some_and(|left| bytes <= left)
    }

    /// Tells of each decision from now on.
    pub fn decisions(&self) -> watch::Receiver<u64> {
        self.decisions.subscribe()
    }

    /// Everything that waits or was decided, oldest first.
    pub fn list(&self) -> Vec<Parked> {
        let mut list = self.lock(Instant::now()).clone();
        list.sort_by_key(|one| one.id);
        list
    }

    /// The call of this approval, or the oldest of this placeholder.
    pub fn find(&self, id: ApprovalId) -> Option<Parked> {
        self.lock(Instant::now()).iter().find(|one| one.id == id).cloned()
    }

    /// Adds a signature, with what it makes of the question.
    ///
    /// # Errors
    /// [`Gone`] where the call does not wait.
    pub fn sign(&self, id: ApprovalId, signature: Signature, verdict: Verdict) -> Result<Parked, Gone> {
        self.decide(id, |one| {
            one.signatures.push(signature);
            one.verdict = verdict;
        })
    }

    /// Says no.
    ///
    /// # Errors
    /// [`Gone`] where the call does not wait.
    pub fn deny(&self, id: ApprovalId) -> Result<Parked, Gone> {
        self.decide(id, |one| one.verdict = Verdict::Denied)
    }

    /// Whether some call of this placeholder waits.
    pub fn holds(&self, placeholder: PlaceholderId) -> bool {
        self.lock(Instant::now()).iter().any(|one| one.question.placeholders.contains(&placeholder))
    }

    fn decide(&self, id: ApprovalId, decide: impl FnOnce(&mut Parked)) -> Result<Parked, Gone> {
        let now = Instant::now();
        let mut parked = self.lock(now);
        let waiting = |one: &&mut Parked| one.id == id && one.verdict == Verdict::Waiting;
        let one = parked.iter_mut().find(waiting).ok_or(Gone)?;
        decide(one);
        one.until = now + self.bounds.wait;
        let decided = one.clone();
        drop(parked);
        self.decisions.send_modify(|count| *count += 1);
        Ok(decided)
    }

    /// The table without what is past its time.
    fn lock(&self, now: Instant) -> MutexGuard<'_, Vec<Parked>> {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        parked.retain(|one| one.until > now);
        parked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloakroom_model::Name;

    fn id(number: u8) -> ApprovalId {
        ApprovalId::new(Timestamp::from_millis(1), [number; 10])
    }

    fn question(digest: u8, workload: &str) -> Question {
        Question {
            digest: [digest; 32],
            body: "x".repeat(1000),
            placeholders: vec![PlaceholderId::new(Timestamp::from_millis(1), [1; 10])],
            workload: Name::parse(workload).unwrap(),
            credential: Name::parse("c").unwrap(),
            needed: 1,
        }
    }

    fn signature() -> Signature {
        Signature { key: "k".into(), signature: "s".into() }
    }

    #[test]
    fn t78_one_approval_lets_one_call_go() {
        let (parking, now) = (Parking::new(ParkingBounds::default()), Instant::now());
        let asked = question(1, "robot");
        assert_eq!(parking.ask(&asked, id(1), now), Ok(Told::Parked(id(1))));
        assert_eq!(parking.ask(&asked, id(2), now), Ok(Told::Waiting(id(1))));
        parking.sign(id(1), signature(), Verdict::Granted).unwrap();
        assert_eq!(parking.ask(&question(2, "robot"), id(3), now), Ok(Told::Parked(id(3))));
        let approval = CallApproval { id: id(1), signatures: vec![signature()] };
        assert_eq!(parking.ask(&asked, id(4), now), Ok(Told::Granted(approval)));
        assert_eq!(parking.ask(&asked, id(5), now), Ok(Told::Parked(id(5))), "used up");
        assert!(parking.sign(id(1), signature(), Verdict::Granted).is_err(), "an old id signs nothing");
    }

    #[test]
    fn t78_a_denied_call_stays_denied_and_a_forgotten_one_is_asked_again() {
        let bounds = ParkingBounds { wait: Duration::from_secs(60), ..ParkingBounds::default() };
        let (parking, now) = (Parking::new(bounds), Instant::now());
        let asked = question(1, "robot");
        parking.ask(&asked, id(1), now).unwrap();
        parking.deny(id(1)).unwrap();
        assert_eq!(parking.ask(&asked, id(2), now), Ok(Told::Denied(id(1))));
        assert!(parking.sign(id(1), signature(), Verdict::Granted).is_err(), "a no is not taken back");
        let later = now + Duration::from_secs(120);
        assert_eq!(parking.ask(&asked, id(2), later), Ok(Told::Parked(id(2))));
    }

    #[test]
    fn t96_a_thousand_calls_wait_at_most_and_a_noisy_workload_is_refused_first() {
        let bounds = ParkingBounds { calls: 4, calls_per_workload: 2, ..ParkingBounds::default() };
        let (parking, now) = (Parking::new(bounds), Instant::now());
        let ask = |digest, workload| parking.ask(&question(digest, workload), id(digest), now);
        assert!(ask(1, "noisy").is_ok() && ask(2, "noisy").is_ok());
        assert_eq!(ask(3, "noisy"), Err(Full));
        assert!(ask(4, "quiet").is_ok() && ask(5, "third").is_ok());
        assert_eq!(ask(6, "fourth"), Err(Full));
    }

    #[test]
    fn t96_the_texts_of_a_noisy_workload_leave_room_for_those_of_others() {
        let parking = Parking::new(ParkingBounds { bytes: 8000, ..ParkingBounds::default() });
        let now = Instant::now();
        let ask = |digest, workload| parking.ask(&question(digest, workload), id(digest), now);
        let parked =
            |first: u8, workload| (first..).take_while(|digest| ask(*digest, workload).is_ok()).count();
        assert_eq!(parked(1, "noisy"), 4, "half of it");
        assert_eq!(parked(11, "second"), 2, "half of what is left");
        assert_eq!(parked(21, "third"), 1);
        assert_eq!(ask(31, "fourth"), Err(Full), "1,000 bytes are left, and it would leave none");
        assert_eq!(ask(5, "noisy"), Err(Full));
    }
}
