//! Sealed and unsealed by a provider that goes and comes.

use super::super::kek::Answer;
use super::super::tests::{CANARY, deposited, id, record};
use super::super::{Closed, Custody, CustodyError, Standing};
use super::*;
use cloakroom_model::{Code, CredentialKind};
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// A provider elsewhere: a key in another memory, that can be out of reach.
struct Elsewhere {
    key: Secret,
    mood: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
}

const THERE: u8 = 0;
const AWAY: u8 = 1;
const SAYS_NO: u8 = 2;
const SLOW: u8 = 3;

impl Elsewhere {
    fn answer<T>(&self, done: Option<T>) -> Result<T, ProviderError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.mood.load(Ordering::Relaxed) {
            THERE | SLOW => done.ok_or(ProviderError::Refused("another key wrapped it")),
            AWAY => Err(ProviderError::Unavailable("nobody answers there")),
            _ => Err(ProviderError::Refused("the PIN is wrong")),
        }
    }
}

impl Provider for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    fn wrap<'a>(&'a self, context: &'a [u8], root: &'a Secret) -> Answer<'a, Vec<u8>> {
        Box::pin(async move { self.answer(aead::encrypt(&self.key, context, root).ok()) })
    }

    fn unwrap<'a>(&'a self, context: &'a [u8], wrapped: &'a [u8]) -> Answer<'a, Secret> {
        Box::pin(async move {
            if self.mood.load(Ordering::Relaxed) == SLOW {
                tokio::task::yield_now().await;
            }
            self.answer(aead::decrypt(&self.key, context, wrapped).ok())
        })
    }
}

struct House {
    custody: Custody,
    mood: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
    directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (mood, asked) = (Arc::<AtomicU8>::default(), Arc::<AtomicUsize>::default());
        let custody = custody(directory.path(), &mood, &asked);
        Self { custody, mood, asked, directory }
    }

    async fn begun() -> Self {
        let house = Self::new();
        house.custody.begin().await.unwrap();
        house
    }

    fn is(&self, mood: u8) {
        self.mood.store(mood, Ordering::Relaxed);
    }

    fn opens(&self) -> Result<(), Code> {
        let opened = self.custody.open(id(1)).map_err(|refusal| refusal.code())?;
        assert_eq!(opened.secret.expose(), CANARY.as_bytes());
        Ok(())
    }
}

fn custody(directory: &Path, mood: &Arc<AtomicU8>, asked: &Arc<AtomicUsize>) -> Custody {
    let key = Secret::filled(32, |room| {
        room.fill(7);
        Ok::<usize, ()>(32)
    });
    let provider = Elsewhere { key: key.unwrap(), mood: Arc::clone(mood), asked: Arc::clone(asked) };
    Custody::guarded(Guard::new(Arc::new(provider), directory.join("root.json"))).unwrap()
}

#[tokio::test]
async fn a_provider_that_goes_away_seals_the_broker_and_one_that_comes_back_opens_it() {
    let house = House::begun().await;
    house.custody.hold(&[record(&house.custody)]);
    assert_eq!(house.opens(), Ok(()));
    assert_eq!(house.custody.look().await, Turned::Same);
    house.is(AWAY);
    assert_eq!(house.opens(), Ok(()), "nobody asked yet");
    assert_eq!(house.custody.look().await, Turned::Sealed("nobody answers there"));
    assert_eq!(house.opens(), Err(Code::BrokerSealed));
    assert_eq!(house.custody.look().await, Turned::Same);
    let standing = house.custody.standing();
    assert_eq!((standing.sealed, standing.versions), (Some(Why::Away("nobody answers there")), None));
    house.is(THERE);
    assert_eq!(house.custody.look().await, Turned::Opened);
    assert_eq!(house.opens(), Ok(()));
}

#[tokio::test]
async fn while_sealed_nothing_is_sealed_or_opened_anywhere() {
    let house = House::begun().await;
    let safe = house.custody.safe();
    let kept = safe.seal(b"a purpose", &Secret::new(CANARY.as_bytes().to_vec().into())).unwrap();
    assert!(safe.open(b"a purpose", &kept).is_some());
    assert!(safe.open(b"another purpose", &kept).is_none());
    house.custody.seal();
    assert!(safe.open(b"a purpose", &kept).is_none());
    let secret = Secret::new(CANARY.as_bytes().to_vec().into());
    assert!(matches!(safe.seal(b"a purpose", &secret), Err(CustodyError::Sealed)));
    let deposit = deposited(&house.custody, CANARY.as_bytes(), CredentialKind::Bearer).map(|_| ());
    assert!(matches!(deposit, Err(CustodyError::Sealed)));
    assert_eq!(house.custody.ready(std::iter::empty()).await.unwrap_err().code(), Code::BrokerSealed);
    assert_eq!(house.custody.ready_beside(&[]).await.unwrap_err().code(), Code::BrokerSealed);
    let workload = cloakroom_model::Name::parse("robot").unwrap();
    assert_eq!(house.custody.assume(&[], &workload).await.unwrap_err().code(), Code::BrokerSealed);
}

#[tokio::test]
async fn what_an_operator_sealed_only_an_operator_unseals() {
    let house = House::begun().await;
    house.custody.hold(&[record(&house.custody)]);
    house.custody.seal();
    let asked = house.asked.load(Ordering::Relaxed);
    assert_eq!(house.custody.look().await, Turned::Same);
    assert_eq!((house.opens(), house.asked.load(Ordering::Relaxed)), (Err(Code::BrokerSealed), asked));
    house.is(AWAY);
    let unsealed = house.custody.unseal(None, "uid 1").await;
    assert_eq!(unsealed, Err(UnsealError::Provider("nobody answers there")));
    house.is(THERE);
    assert_eq!(house.custody.look().await, Turned::Same, "that unsealing was refused");
    assert_eq!(house.custody.standing().sealed, Some(Why::Operator));
    assert_eq!(house.custody.unseal(None, "uid 1").await, Ok(Turned::Opened));
    assert_eq!(house.opens(), Ok(()));
    assert_eq!(house.custody.unseal(None, "uid 1").await, Err(UnsealError::NotSealed));
}

#[tokio::test]
async fn a_provider_that_says_no_is_not_asked_again_before_an_operator_says_so() {
    let house = House::begun().await;
    house.is(SAYS_NO);
    assert_eq!(house.custody.look().await, Turned::Sealed("the PIN is wrong"));
    let asked = house.asked.load(Ordering::Relaxed);
    for _ in 0..3 {
        assert_eq!(house.custody.look().await, Turned::Same);
    }
    assert_eq!(house.asked.load(Ordering::Relaxed), asked, "a token counts wrong PINs");
    house.is(THERE);
    assert_eq!(house.custody.look().await, Turned::Same);
    assert_eq!(house.custody.unseal(None, "uid 1").await, Ok(Turned::Opened));
}

#[tokio::test]
async fn a_first_start_needs_the_provider_and_a_later_one_starts_sealed_without() {
    let house = House::new();
    house.is(AWAY);
    assert!(matches!(house.custody.begin().await, Err(CustodyError::Provider(_))));
    assert!(!house.directory.path().join("root.json").exists());
    house.is(THERE);
    house.custody.begin().await.unwrap();
    let kept = record(&house.custody);
    assert_eq!(house.custody.standing().versions, Some((1, 1)));
    house.is(AWAY);
    let again = custody(house.directory.path(), &house.mood, &house.asked);
    again.begin().await.unwrap();
    again.hold(&[kept]);
    assert!(again.is_sealed());
    house.is(THERE);
    assert_eq!(again.look().await, Turned::Opened);
    assert_eq!(again.open(id(1)).unwrap().secret.expose(), CANARY.as_bytes());
}

#[tokio::test]
async fn what_is_asked_for_before_a_seal_does_not_open_after_it() {
    let house = House::begun().await;
    house.is(AWAY);
    assert_eq!(house.custody.look().await, Turned::Sealed("nobody answers there"));
    house.is(SLOW);
    let asked = house.asked.load(Ordering::Relaxed);
    // The look asks; before it is answered, an operator seals.
    let mut look = pin!(house.custody.look());
    assert!(look.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    house.custody.seal();
    assert_eq!(look.await, Turned::Same);
    assert!(house.asked.load(Ordering::Relaxed) > asked, "it was answered");
    assert!(house.custody.is_sealed());
}

#[tokio::test]
async fn root_keys_of_another_directory_or_version_do_not_open() {
    let (house, other) = (House::begun().await, House::begun().await);
    let path = house.directory.path().join("root.json");
    let own = std::fs::read_to_string(&path).unwrap();
    let theirs = std::fs::read_to_string(other.directory.path().join("root.json")).unwrap();
    let wrapped = |text: &str| {
        serde_json::from_str::<serde_json::Value>(text).unwrap()["roots"][0]["wrapped"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let edits = [
        own.replace(&wrapped(&own), &wrapped(&theirs)),
        own.replace("\"version\": 1", "\"version\": 2").replace("\"current\": 1", "\"current\": 2"),
        own.replace("elsewhere", "vault"),
        own.replace("\"format\": 1", "\"format\": 2"),
        own.replace("\"minimum\": 1", "\"minimum\": 2"),
        own.replace("\"current\": 1", "\"current\": 9"),
    ];
    for (number, edited) in edits.iter().enumerate() {
        assert_ne!(*edited, own, "edit {number}");
        std::fs::write(&path, edited).unwrap();
        let again = custody(house.directory.path(), &house.mood, &house.asked);
        let begun = again.begin().await;
        assert!(begun.is_err() || again.is_sealed(), "edit {number}");
    }
    std::fs::write(&path, &own).unwrap();
    let again = custody(house.directory.path(), &house.mood, &house.asked);
    again.begin().await.unwrap();
    assert!(!again.is_sealed());
}

#[tokio::test]
async fn a_seal_wipes_what_was_derived_and_a_key_file_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kek");
    let custody = Custody::assert_unlocked(crate::custody::KekSource::KeyFile(path.clone())).unwrap();
    let kept = record(&custody);
    assert_eq!(kept.sealed.0[0], 1, "version 0 is written as before there were versions");
    custody.hold(std::slice::from_ref(&kept));
    let derived = custody.derived(id(1)).unwrap();
    derived.get_or_init(|| Arc::new(1) as _);
    custody.seal();
    assert_eq!(Arc::strong_count(&derived), 1, "nothing else holds it");
    assert!(custody.derived(id(1)).unwrap().get().is_none());
    let Standing { provider, sealed, .. } = custody.standing();
    assert_eq!((provider, sealed), ("file", Some(Why::Operator)));
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    let unsealed = custody.unseal(None, "uid 1").await;
    assert!(matches!(unsealed, Err(UnsealError::Provider(_))), "{unsealed:?}");
    assert!(!path.exists(), "a key file that is gone is not made anew");
    std::fs::rename(path.with_extension("away"), &path).unwrap();
    assert_eq!(custody.unseal(None, "uid 1").await, Ok(Turned::Opened));
    assert_eq!(custody.open(id(1)).unwrap().secret.expose(), CANARY.as_bytes());
}

#[test]
fn what_was_sealed_under_a_version_below_the_minimum_does_not_open() {
    let ring = Keyring::empty();
    let key = |byte| Arc::new(Secret::new(vec![byte; 32].into()));
    let bound = super::super::Bound::of_facts("a test", &[]);
    let keys = BTreeMap::from([(1, key(1)), (2, key(2))]);
    ring.fill(Roots { current: 1, minimum: 0, keys: keys.clone() });
    let sealed =
        super::super::sealed::seal(&ring, &bound, &Secret::new(CANARY.as_bytes().to_vec().into())).unwrap();
    ring.fill(Roots { current: 2, minimum: 1, keys: keys.clone() });
    assert!(super::super::sealed::open(&ring, &bound, &sealed.0).is_ok());
    ring.fill(Roots { current: 2, minimum: 2, keys });
    let closed = super::super::sealed::open(&ring, &bound, &sealed.0).map(|_| ());
    assert_eq!(closed, Err(Closed::Version));
}
