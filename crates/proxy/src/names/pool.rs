//! Which address stands for which name.

use cloakroom_model::{Host, WorkloadId};
use ipnet::Ipv4Net;
use siphasher::sip::SipHasher13;
use std::collections::{HashMap, HashSet};
use std::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Names of permits are few; in a lesson a workload may ask for any number.
const MOST_NAMES: usize = 4096;
/// At most a quarter of a pool is given out, so that a name finds its place at once.
const SPARE: u32 = 4;
const SMALLEST: u32 = 256;

/// Why a range cannot be a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Too few addresses.
    #[error("the pool of addresses that stand for names has fewer than 256 addresses")]
    Small,
}

/// Why a name is given an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A permit names it.
    Permit,
    /// This workload is in a lesson.
    Lesson(WorkloadId),
}

/// Addresses that stand for names. A name keeps its address while the broker runs, and has the same after a start unless two names
/// wanted one place.
#[derive(Debug)]
pub struct Pool {
    range: Ipv4Net,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    places: HashMap<Arc<str>, u32>,
    names: HashMap<u32, Arc<str>>,
    /// Which workload was told of which name in a lesson.
    told: HashSet<(WorkloadId, Arc<str>)>,
}

impl Pool {
    /// Of this range. Nothing else may have its addresses where workloads are.
    ///
    /// # Errors
    /// [`PoolError::Small`].
    pub fn new(range: Ipv4Net) -> Result<Self, PoolError> {
        let pool = Self { range: range.trunc(), given: Mutex::default() };
        if pool.size() < SMALLEST - 2 { Err(PoolError::Small) } else { Ok(pool) }
    }

    /// How many addresses there are, without the first and the last, which mean the network and everybody in it.
    fn size(&self) -> u32 {
        u32::MAX.checked_shr(self.range.prefix_len().into()).unwrap_or(0).saturating_sub(1)
    }

    /// The address that stands for this name. `None` for an address, which stands for itself, and when too many names were asked for.
    pub(crate) fn address_of(&self, host: &Host, why: Why) -> Option<Ipv4Addr> {
        let Host::Name(name) = host else { return None };
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = given.places.get(name).copied() {
            given.tell(why, name);
            return Some(self.at(place));
        }
        let full = MOST_NAMES.min(usize::try_from(self.size() / SPARE).unwrap_or(usize::MAX));
        // SECURITY: names that a workload made up leave room for those that a permit names.
        let room = if matches!(why, Why::Lesson(_)) { full / 2 } else { full };
        if given.names.len() >= room {
            return None;
        }
        let place = self.free_place(name, &given);
        given.places.insert(Arc::clone(name), place);
        given.names.insert(place, Arc::clone(name));
        given.tell(why, name);
        Some(self.at(place))
    }

    /// The name that this address stands for, where it was ever said to.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<Host> {
        let IpAddr::V4(address) = address.to_canonical() else { return None };
        let place = u32::from(address).checked_sub(u32::from(self.range.network()))?.checked_sub(1)?;
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.names.get(&place).map(|name| Host::Name(Arc::clone(name)))
    }

    /// Whether this workload was told of this name in a lesson. SECURITY: what it was not told, it does not find out by trying addresses.
    pub(crate) fn was_told(&self, workload: WorkloadId, host: &Host) -> bool {
        let Host::Name(name) = host else { return false };
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.told.contains(&(workload, Arc::clone(name)))
    }

    fn free_place(&self, name: &str, given: &Given) -> u32 {
        // No secret: the places of names that a permit names need not be hard to guess.
        let mut hasher = SipHasher13::new();
        hasher.write(name.as_bytes());
        let size = u64::from(self.size());
        let first = u32::try_from(hasher.finish() % size).unwrap_or(0);
        let mut place = first;
        while given.names.contains_key(&place) {
            place = (place + 1) % self.size();
        }
        place
    }

    fn at(&self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.range.network()) + 1 + place)
    }
}

impl Given {
    fn tell(&mut self, why: Why, name: &Arc<str>) {
        if let Why::Lesson(workload) = why {
            self.told.insert((workload, Arc::clone(name)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(range: &str) -> Pool {
        Pool::new(range.parse().unwrap()).unwrap()
    }

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn a_name_has_one_address_and_the_address_one_name() {
        let pool = pool("198.18.0.0/15");
        let (one, other) = (host("api.example.com"), host("other.example.com"));
        let address = pool.address_of(&one, Why::Permit).unwrap();
        assert_eq!(pool.address_of(&one, Why::Permit), Some(address));
        assert_ne!(pool.address_of(&other, Why::Permit), Some(address));
        assert_eq!(pool.name_of(address.into()), Some(one));
        assert_eq!(pool.name_of(IpAddr::V6(address.to_ipv6_mapped())), pool.name_of(address.into()));
        assert!(pool.range.contains(&address));
    }

    #[test]
    fn after_a_start_a_name_has_the_same_address() {
        let of = |name: &str| pool("198.18.0.0/15").address_of(&host(name), Why::Permit);
        assert_eq!(of("api.example.com"), of("api.example.com"));
    }

    #[test]
    fn an_address_that_was_never_given_out_has_no_name() {
        let pool = pool("198.18.0.0/24");
        for address in
            ["198.18.0.1", "198.18.0.0", "198.18.0.255", "198.17.255.255", "198.18.1.0", "0.0.0.0", "::1"]
        {
            assert_eq!(pool.name_of(address.parse().unwrap()), None, "{address}");
        }
        assert_eq!(pool.address_of(&host("192.0.2.1"), Why::Permit), None);
    }

    #[test]
    fn a_workload_in_a_lesson_knows_the_names_that_it_asked_for_and_no_others() {
        let pool = pool("198.18.0.0/15");
        let [one, other] = [(); 2].map(|()| WorkloadId::fresh().unwrap());
        let (permitted, asked) = (host("api.example.com"), host("asked.example.com"));
        pool.address_of(&permitted, Why::Permit).unwrap();
        pool.address_of(&asked, Why::Lesson(one)).unwrap();
        assert!(pool.was_told(one, &asked) && !pool.was_told(other, &asked));
        assert!(!pool.was_told(one, &permitted));
        pool.address_of(&permitted, Why::Lesson(one)).unwrap();
        assert!(pool.was_told(one, &permitted) && !pool.was_told(other, &permitted));
    }

    #[test]
    fn names_share_no_place_and_a_full_pool_gives_no_more() {
        let pool = pool("198.18.0.0/24");
        let give = |stem: &str, why| -> Vec<Ipv4Addr> {
            (0..100).map_while(|n| pool.address_of(&host(&format!("{stem}{n}.example")), why)).collect()
        };
        let (made_up, permitted) =
            (give("l", Why::Lesson(WorkloadId::fresh().unwrap())), give("p", Why::Permit));
        let all: HashSet<_> = made_up.iter().chain(&permitted).collect();
        assert_eq!((made_up.len(), permitted.len(), all.len()), (31, 32, 63));
        assert!(Pool::new("198.18.0.0/25".parse().unwrap()).is_err());
        assert!(Pool::new("0.0.0.0/0".parse().unwrap()).is_ok());
    }
}
