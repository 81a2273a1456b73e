//! The places of a listener: so many connections are served at once, and nobody who was not recognised keeps one from others.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};

/// How often somebody who waits for a place looks whether a peer is known no more.
const LOOK: Duration = Duration::from_secs(1);

/// Whose connection it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Whose {
    /// That is not known.
    #[default]
    Strangers,
    /// Somebody's, by a session or an API token.
    Of(Arc<str>),
    /// An operator's, by the kernel's word or a certificate: where those come, nobody else does.
    Operators,
}

/// What the latest request on a connection said of whose it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<Word>>);

#[derive(Debug, Default)]
struct Word {
    whose: Whose,
    /// Whether the request that runs has said it.
    fresh: bool,
}

impl Known {
    /// A request begins. Whose the connection is stays as it was until the request has been asked.
    pub(crate) fn ask(&self) {
        self.lock().fresh = false;
    }

    /// It is this one's.
    pub(crate) fn tell(&self, whose: Whose) {
        *self.lock() = Word { whose, fresh: true };
    }

    /// A request was answered. SECURITY: one that nobody was known by makes the connection a stranger's again: whoever was removed, or
    /// holds what was revoked, keeps no place with it.
    pub(crate) fn settle(&self) {
        let mut word = self.lock();
        if !word.fresh {
            word.whose = Whose::Strangers;
        }
    }

    fn whose(&self) -> Whose {
        self.lock().whose.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Word> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Who has a place that others may get.
#[derive(PartialEq, Eq)]
enum Holder {
    Address(Option<IpAddr>),
    Somebody(Arc<str>),
}

impl Places {
    /// So many.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, tasks: JoinSet::new(), taken: Vec::new() }
    }

    /// Waits until somebody can come: as long as all places are kept.
    pub(crate) async fn open(&mut self) {
        self.tidy();
        while self.taken.len() >= self.most && self.least().is_none() {
            let _ = tokio::time::timeout(LOOK, self.tasks.join_next()).await;
            self.tidy();
        }
    }

    /// Gives a place to whoever came from there. Where none is free, whoever is least owed one loses it; where all are kept, it waits:
    /// those who were strangers when it could come may be known by now.
    pub(crate) async fn take(
        &mut self,
        from: Option<IpAddr>,
        known: Known,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        self.open().await;
        while self.taken.len() >= self.most {
            match self.least() {
                Some(least) => self.taken.remove(least).task.abort(),
                // They became known just now.
                None => self.open().await,
            }
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

    /// Of the places that nobody keeps: of whoever has most of these, the one that was taken first.
    fn least(&self) -> Option<usize> {
        let loose = self.loose();
        let of = |holder: &Holder| loose.iter().filter(|(_, other)| other == holder).count();
        // As many each: somebody who has a share of their own already, before a stranger who may be about to log in.
        let is_known = |holder: &Holder| matches!(holder, Holder::Somebody(_));
        let least = loose.iter().max_by_key(|(at, holder)| (of(holder), is_known(holder), Reverse(*at)));
        least.map(|(at, _)| *at)
    }

    /// The places that nobody keeps: those of strangers, and what somebody, or the people of one address, have beyond their share.
    fn loose(&self) -> Vec<(usize, Holder)> {
        let (mut of_somebody, mut of_address) = (HashMap::new(), HashMap::new());
        let mut holder = |one: &Taken| match one.known.whose() {
            Whose::Strangers => Some(Holder::Address(one.from)),
            Whose::Operators => None,
            Whose::Of(somebody) => {
                let (own, here) = (
                    of_somebody.entry(Arc::clone(&somebody)).or_insert(0),
                    of_address.entry(one.from).or_insert(0),
                );
                if *own >= self.share() || *here >= self.share_of_address() {
                    return Some(Holder::Somebody(somebody));
                }
                (*own, *here) = (*own + 1, *here + 1);
                None
            }
        };
        self.taken.iter().enumerate().filter_map(|(at, one)| Some((at, holder(one)?))).collect()
    }

    /// What one somebody keeps, however many connections they have.
    fn share(&self) -> usize {
        self.most / 4
    }

    /// What all of one address keep: the rest is for whoever comes from elsewhere, or has yet to log in.
    fn share_of_address(&self) -> usize {
        self.most / 4 * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::task::{Context, Waker};

    const MOST: usize = 4;

    /// Takes a place that is never left, and tells how it goes.
    async fn sit(places: &mut Places, address: u8) -> (Known, AbortHandle) {
        let known = Known::default();
        places.take(Some(IpAddr::from([10, 0, 0, address])), known.clone(), pending()).await;
        (known, places.taken.last().unwrap().task.clone())
    }

    fn of(name: &str) -> Whose {
        Whose::Of(name.into())
    }

    /// Whether whoever comes now has to wait.
    fn is_full(places: &mut Places) -> bool {
        let open = std::pin::pin!(places.open());
        open.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn whoever_comes_gets_the_place_of_a_stranger_whose_address_has_the_most() {
        let mut places = Places::new(MOST);
        let (_, alone) = sit(&mut places, 1).await;
        let (first, of_first) = sit(&mut places, 2).await;
        let (_, second) = sit(&mut places, 2).await;
        sit(&mut places, 2).await;
        first.tell(of("ann"));
        places.open().await;
        sit(&mut places, 3).await;
        // What was sent away has ended once it was joined.
        assert!(places.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
        assert!(second.is_finished(), "the first stranger of the address that has the most");
        assert!(!alone.is_finished() && !of_first.is_finished());
        assert_eq!(places.taken.len(), MOST);
    }

    #[tokio::test]
    async fn known_peers_keep_their_places_and_others_wait_for_one() {
        let mut places = Places::new(MOST);
        let mut seated = Vec::new();
        for address in 0..4 {
            seated.push(sit(&mut places, address).await);
            seated[usize::from(address)].0.tell(of(&address.to_string()));
        }
        assert!(is_full(&mut places));
        seated[0].1.abort();
        places.open().await;
        sit(&mut places, 9).await;
        assert!(seated[1..].iter().all(|(_, task)| !task.is_finished()));
    }

    #[tokio::test]
    async fn whoever_becomes_known_while_another_is_on_the_way_takes_no_place_beyond_those_there_are() {
        let mut places = Places::new(MOST);
        let mut seated = Vec::new();
        for address in 0..4 {
            seated.push(sit(&mut places, address).await);
        }
        places.open().await;
        // Now, and not before.
        seated.iter().zip(["a", "b", "c", "d"]).for_each(|((known, _), name)| known.tell(of(name)));
        {
            let late = std::pin::pin!(sit(&mut places, 9));
            assert!(late.poll(&mut Context::from_waker(Waker::noop())).is_pending(), "it waits");
        }
        assert_eq!(places.taken.len(), MOST);
        seated[1].1.abort();
        sit(&mut places, 9).await;
        assert_eq!(places.taken.len(), MOST);
    }

    #[tokio::test]
    async fn nobody_keeps_more_than_a_share_and_no_address_all() {
        let mut places = Places::new(16);
        let mut seated = Vec::new();
        for _ in 0..16 {
            let one = sit(&mut places, 1).await;
            one.0.tell(of("ann"));
            seated.push(one);
        }
        assert_eq!(places.loose().len(), 12, "ann keeps four");
        let (_, stranger) = sit(&mut places, 1).await;
        for address in 0..8 {
            sit(&mut places, address).await.0.tell(of("ann"));
        }
        places.tasks.join_next().await;
        assert!(!stranger.is_finished(), "ann makes room for ann, not somebody who is about to log in");
        assert!(seated[..4].iter().all(|(_, task)| !task.is_finished()) && seated[4].1.is_finished());
        assert_eq!(places.taken.len(), 16);
        // One address, and nobody beyond their own share.
        let mut places = Places::new(16);
        for at in 0..16 {
            sit(&mut places, 1).await.0.tell(of(&(at / 4).to_string()));
        }
        assert_eq!(places.loose().len(), 4);
    }

    #[tokio::test]
    async fn a_connection_whose_latest_request_nobody_was_known_by_is_a_stranger_s_again() {
        let mut places = Places::new(MOST);
        let mut seated = Vec::new();
        for address in 0..4 {
            seated.push(sit(&mut places, address).await);
            seated[usize::from(address)].0.tell(of(&address.to_string()));
            seated[usize::from(address)].0.settle();
        }
        assert!(is_full(&mut places));
        let (revoked, task) = &seated[2];
        revoked.ask();
        assert!(is_full(&mut places), "while it is asked nothing changes");
        revoked.settle();
        assert!(!is_full(&mut places));
        sit(&mut places, 9).await;
        places.tasks.join_next().await;
        assert!(task.is_finished());
    }
}
