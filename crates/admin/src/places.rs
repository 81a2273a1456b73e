//! The places of a listener: so many connections are served at once, and nobody who was not recognised keeps one from others.

use std::cmp::Reverse;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{AbortHandle, JoinSet};

/// Whether it is known who is at the other end of a connection: by a session, an API token, a certificate, or the kernel's word.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<AtomicBool>);

impl Known {
    /// It is.
    pub(crate) fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The places there are. Each is a task, which ends when its place is given to another or all are let go of.
#[derive(Debug)]
pub(crate) struct Places {
    most: usize,
    tasks: JoinSet<()>,
    taken: Vec<Taken>,
}

#[derive(Debug)]
struct Taken {
    task: AbortHandle,
    from: Option<IpAddr>,
    known: Known,
}

impl Places {
    /// So many.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, tasks: JoinSet::new(), taken: Vec::new() }
    }

    /// Waits until somebody can come: as long as all places are those of known peers.
    pub(crate) async fn open(&mut self) {
        self.tidy();
        while self.taken.len() >= self.most && self.least().is_none() {
            self.tasks.join_next().await;
            self.tidy();
        }
    }

    /// Gives a place to whoever came from there. Where none is free, the stranger who is least owed one loses it.
    pub(crate) fn take(
        &mut self,
        from: Option<IpAddr>,
        known: Known,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tidy();
        if self.taken.len() >= self.most
            && let Some(least) = self.least()
        {
            self.taken.remove(least).task.abort();
        }
        let task = self.tasks.spawn(connection);
        self.taken.push(Taken { task, from, known });
    }

    /// Waits until all have gone.
    pub(crate) async fn emptied(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    fn tidy(&mut self) {
        while self.tasks.try_join_next().is_some() {}
        self.taken.retain(|one| !one.task.is_finished());
    }

    /// Of the strangers, whoever came first from the address that has the most places.
    fn least(&self) -> Option<usize> {
        let strangers = self.taken.iter().enumerate().filter(|(_, one)| !one.known.is());
        let of = |from: Option<IpAddr>| self.taken.iter().filter(|other| other.from == from).count();
        strangers.max_by_key(|(at, one)| (of(one.from), Reverse(*at))).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::task::{Context, Waker};

    const MOST: usize = 4;

    /// Takes a place that is never left, and tells how it goes.
    fn sit(places: &mut Places, address: u8) -> (Known, AbortHandle) {
        let known = Known::default();
        places.take(Some(IpAddr::from([10, 0, 0, address])), known.clone(), pending());
        (known, places.taken.last().unwrap().task.clone())
    }

    #[tokio::test]
    async fn whoever_comes_gets_the_place_of_a_stranger_whose_address_has_the_most() {
        let mut places = Places::new(MOST);
        let (_, alone) = sit(&mut places, 1);
        let (first, of_first) = sit(&mut places, 2);
        let (_, second) = sit(&mut places, 2);
        sit(&mut places, 2);
        first.tell();
        places.open().await;
        sit(&mut places, 3);
        // What was sent away has ended once it was joined.
        assert!(places.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(second.is_finished(), "the first stranger of the address that has the most");
        assert!(!alone.is_finished() && !of_first.is_finished());
        assert_eq!(places.taken.len(), MOST);
    }

    #[tokio::test]
    async fn known_peers_keep_their_places_and_others_wait_for_one() {
        let mut places = Places::new(MOST);
        let seated: Vec<_> = (0..MOST).map(|_| sit(&mut places, 1)).collect();
        seated.iter().for_each(|(known, _)| known.tell());
        {
            let mut open = std::pin::pin!(places.open());
            assert!(open.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            seated[0].1.abort();
            open.await;
        }
        sit(&mut places, 2);
        assert!(seated[1..].iter().all(|(_, task)| !task.is_finished()));
    }
}
