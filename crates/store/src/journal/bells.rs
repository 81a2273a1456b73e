//! Waking those who wait for a batch: with one system call for each thread, not for each of them.
//!
//! To wake a task from another thread, its runtime has to be woken, which is a system call; from its own thread it is none. So a thread
//! that serves calls may keep a bell ([`Journal::bell`](super::Journal::bell)): a task that is woken for all of them, and wakes
//! them from there. Threads without one are woken for each.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

/// Whom to wake, and the thread on which it was last polled.
pub(super) struct Sleeper {
    thread: ThreadId,
    waker: Waker,
}

impl Sleeper {
    pub(super) fn new(context: &Context<'_>) -> Self {
        Self { thread: std::thread::current().id(), waker: context.waker().clone() }
    }
}

/// Those who wait for the same thing: all of them are called when it may have happened, and look.
#[derive(Default)]
pub(super) struct Sleepers {
    waiting: Vec<Sleeper>,
    /// How often they were called.
    calls: u64,
}

/// Where one of them waits.
#[derive(Clone, Copy)]
pub(super) struct Bed {
    place: usize,
    calls: u64,
}

impl Sleepers {
    /// Has whoever polls called with the next call: once, and whoever polled last, as [`Future::poll`] asks. `bed` is what was returned last time.
    pub(super) fn lay_down(&mut self, context: &Context<'_>, bed: Option<Bed>) -> Bed {
        let own = bed.filter(|bed| bed.calls == self.calls);
        if let Some(sleeper) = own.and_then(|bed| self.waiting.get_mut(bed.place)) {
            if !sleeper.waker.will_wake(context.waker()) {
                *sleeper = Sleeper::new(context);
            }
        } else {
            self.waiting.push(Sleeper::new(context));
        }
        own.unwrap_or(Bed { place: self.waiting.len() - 1, calls: self.calls })
    }

    /// Whether they were called since this one lay down.
    pub(super) fn were_called_since(&self, bed: Bed) -> bool {
        bed.calls != self.calls
    }

    /// Hands out those who wait, to be woken outside of whatever lock this is in.
    pub(super) fn call(&mut self) -> Vec<Sleeper> {
        self.calls += 1;
        std::mem::take(&mut self.waiting)
    }
}

/// The bells of all threads that have one.
#[derive(Default)]
pub(super) struct Bells(Mutex<Vec<Bell>>);

struct Bell {
    thread: ThreadId,
    /// None while it rings.
    ringer: Option<Waker>,
    sleepers: Vec<Waker>,
}

impl Bells {
    /// Wakes them all.
    pub(super) fn wake(&self, sleepers: Vec<Sleeper>) {
        let mut bells = self.bells();
        let mut ringers = Vec::new();
        for Sleeper { thread, waker } in sleepers {
            match bells.iter_mut().find(|bell| bell.thread == thread) {
                Some(bell) => {
                    bell.sleepers.push(waker);
                    ringers.extend(bell.ringer.take());
                }
                None => ringers.push(waker),
            }
        }
        drop(bells);
        ringers.into_iter().for_each(Waker::wake);
    }

    /// Has the bell of this thread answered by the task that awaits it. It never ends.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        Answering { bells: Arc::clone(self), thread: None }
    }

    fn bells(&self) -> MutexGuard<'_, Vec<Bell>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task of a bell.
pub(super) struct Answering {
    bells: Arc<Bells>,
    thread: Option<ThreadId>,
}

impl Future for Answering {
    type Output = std::convert::Infallible;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let here = std::thread::current().id();
        if self.thread.is_some_and(|thread| thread != here) {
            self.take_down();
        }
        self.thread = Some(here);
        let mut bells = self.bells.bells();
        let ringer = Some(context.waker().clone());
        let sleepers = match bells.iter_mut().find(|bell| bell.thread == here) {
            Some(bell) => {
                bell.ringer = ringer;
                std::mem::take(&mut bell.sleepers)
            }
            None => {
                bells.push(Bell { thread: here, ringer, sleepers: Vec::new() });
                Vec::new()
            }
        };
        drop(bells);
        sleepers.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Answering {
    /// From now on those of the thread are woken one by one; those who counted on the bell are woken now.
    fn take_down(&mut self) {
        let mut bells = self.bells.bells();
        let place = self.thread.take().and_then(|own| bells.iter().position(|bell| bell.thread == own));
        let sleepers = place.map(|place| bells.swap_remove(place).sleepers);
        drop(bells);
        sleepers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.take_down();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn poll(answering: &mut Answering, ringer: &Arc<Count>) {
        let waker = Waker::from(Arc::clone(ringer));
        assert!(Pin::new(answering).poll(&mut Context::from_waker(&waker)).is_pending());
    }

    fn sleepers(count: &Arc<Count>, many: usize) -> Vec<Sleeper> {
        let waker = Waker::from(Arc::clone(count));
        (0..many).map(|_| Sleeper::new(&Context::from_waker(&waker))).collect()
    }

    #[test]
    fn who_polled_last_is_woken_and_once() {
        let (bells, first, last) =
            (Arc::<Bells>::default(), Arc::<Count>::default(), Arc::<Count>::default());
        let mut sleepers = Sleepers::default();
        let mut lie = |count: &Arc<Count>, bed| {
            let waker = Waker::from(Arc::clone(count));
            sleepers.lay_down(&Context::from_waker(&waker), bed)
        };
        let bed = lie(&first, None);
        let other = lie(&first, None);
        let bed = lie(&last, Some(bed));
        let bed = lie(&last, Some(bed));
        assert_eq!((bed.place, other.place), (0, 1));
        bells.wake(sleepers.call());
        assert_eq!((first.get(), last.get()), (1, 1));
        assert!(sleepers.were_called_since(bed));
        bells.wake(sleepers.call());
        assert_eq!((first.get(), last.get()), (1, 1), "nobody waits");
    }

    #[test]
    fn a_thread_with_a_bell_is_woken_once_and_wakes_its_own() {
        let (bells, ringer, slept) =
            (Arc::<Bells>::default(), Arc::<Count>::default(), Arc::<Count>::default());
        let mut answering = bells.answer();
        poll(&mut answering, &ringer);
        bells.wake(sleepers(&slept, 3));
        bells.wake(sleepers(&slept, 2));
        assert_eq!((ringer.get(), slept.get()), (1, 0));
        poll(&mut answering, &ringer);
        assert_eq!((ringer.get(), slept.get()), (1, 5));
        bells.wake(sleepers(&slept, 1));
        poll(&mut answering, &ringer);
        assert_eq!((ringer.get(), slept.get()), (2, 6));
    }

    #[test]
    fn who_has_no_bell_is_woken_at_once() {
        let (bells, ringer, slept) =
            (Arc::<Bells>::default(), Arc::<Count>::default(), Arc::<Count>::default());
        bells.wake(sleepers(&slept, 2));
        assert_eq!(slept.get(), 2);
        let mut answering = bells.answer();
        poll(&mut answering, &ringer);
        std::thread::scope(|scope| scope.spawn(|| bells.wake(sleepers(&slept, 2))).join().unwrap());
        assert_eq!((ringer.get(), slept.get()), (0, 4), "of another thread");
    }

    #[test]
    fn a_bell_that_is_taken_down_leaves_nobody_asleep() {
        let (bells, ringer, slept) =
            (Arc::<Bells>::default(), Arc::<Count>::default(), Arc::<Count>::default());
        let mut answering = bells.answer();
        poll(&mut answering, &ringer);
        bells.wake(sleepers(&slept, 3));
        drop(answering);
        assert_eq!(slept.get(), 3);
        bells.wake(sleepers(&slept, 1));
        assert_eq!((ringer.get(), slept.get()), (1, 4));
    }
}
