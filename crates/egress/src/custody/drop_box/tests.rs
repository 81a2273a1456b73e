//! Parcels: in once, as labelled, and not otherwise.

use super::*;
use crate::custody::parcel::Label;
use crate::custody::{Accepted, KekSource};
use cloakroom_model::{CredentialId, CredentialKind, Destination, Name};

const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";
const DAY: Duration = Duration::from_secs(86_400);

struct House {
    custody: Custody,
    drop_box: DropBox,
    directory: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let custody = Custody::assert_unlocked(KekSource::KeyFile(directory.path().join("kek"))).unwrap();
        let drop_box = DropBox::of(directory.path().join("drop-off"), &custody);
        Self { custody, drop_box, directory }
    }

    fn key(&self) -> DropKey {
        self.drop_box.keys(Timestamp::now()).unwrap()[0].key
    }

    fn accept(&self, parcel: &Parcel) -> Result<Accepted, DropOffError> {
        let id = CredentialId::new(Timestamp::from_millis(1), [1; 10]);
        self.custody.accept_parcel(&self.drop_box, parcel, id, &parcel.label.destinations)
    }

    fn refused(&self, parcel: &Parcel) -> DropOffError {
        self.accept(parcel).map(drop).unwrap_err()
    }
}

fn destination(text: &str) -> Destination {
    text.parse().unwrap()
}

fn label() -> Label {
    Label {
        name: Name::parse("stripe").unwrap(),
        kind: CredentialKind::Bearer,
        destinations: vec![destination("https://api.example.com"), destination("https://b.example.com")],
        expires: Timestamp::now().plus(DAY),
    }
}

fn sealed(key: &DropKey, label: Label) -> Parcel {
    Parcel::seal(key, label, &Zeroizing::new(CANARY.into())).unwrap()
}

#[test]
fn a_parcel_opens_in_the_house_that_it_was_sealed_for_and_is_taken_once() {
    let house = House::new();
    let parcel = sealed(&house.key(), label());
    assert_eq!(house.drop_box.open(&parcel, Timestamp::now()).unwrap().expose(), CANARY.as_bytes());
    house.accept(&parcel).unwrap();
    house.drop_box.take(&parcel, Timestamp::now()).unwrap();
    assert!(matches!(house.refused(&parcel), DropOffError::Taken));
    assert!(matches!(house.drop_box.take(&parcel, Timestamp::now()), Err(DropOffError::Taken)));
    // Also by another process, after a restart.
    let again = DropBox::of(house.directory.path().join("drop-off"), &house.custody);
    assert!(matches!(again.open(&parcel, Timestamp::now()), Err(DropOffError::Taken)));
    // The same secret in a parcel of its own is another deposit.
    house.accept(&sealed(&house.key(), label())).unwrap();
    assert!(matches!(House::new().refused(&parcel), DropOffError::UnknownKey));
}

#[test]
fn nothing_of_a_label_can_be_changed_on_the_way() {
    let house = House::new();
    let good = sealed(&house.key(), label());
    let other = sealed(&house.key(), label());
    let relabelled = |change: &dyn Fn(&mut Label)| {
        let mut parcel = good.clone();
        change(&mut parcel.label);
        parcel
    };
    let wrong = [
        relabelled(&|label| label.name = Name::parse("github").unwrap()),
        relabelled(&|label| label.kind = CredentialKind::Query),
        relabelled(&|label| label.destinations.push(destination("https://evil.example.com"))),
        relabelled(&|label| label.destinations[0] = destination("https://api.example.com:8443")),
        relabelled(&|label| drop(label.destinations.pop())),
        relabelled(&|label| label.expires = label.expires.plus(DAY)),
        // Another id would make it another parcel, to be taken again.
        Parcel { id: other.id.clone(), ..good.clone() },
        Parcel { secret: other.secret.clone(), ..good.clone() },
    ];
    for parcel in &wrong {
        assert!(matches!(house.refused(parcel), DropOffError::Closed), "{parcel:?}");
    }
    // Order has no meaning.
    house.accept(&relabelled(&|label| label.destinations.reverse())).unwrap();
}

#[test]
fn a_parcel_of_another_version_after_its_end_or_with_an_end_too_far_away_is_refused() {
    let house = House::new();
    let (key, now) = (house.key(), Timestamp::now());
    let until = |expires| sealed(&key, Label { expires, ..label() });
    assert!(matches!(house.refused(&until(now)), DropOffError::Expired));
    assert!(matches!(house.refused(&until(now.plus(LONGEST + DAY))), DropOffError::TooLong));
    assert!(matches!(house.refused(&Parcel { parcel: 2, ..until(now.plus(DAY)) }), DropOffError::Version));
    // What is remembered is of one length, whatever the sealer would have us remember.
    for id in ["", "0", &"0".repeat(33), &"A".repeat(32), &"x".repeat(1 << 20)] {
        let named = Parcel::seal_as(&key, id.to_owned(), label(), &Zeroizing::new(CANARY.into())).unwrap();
        assert!(matches!(house.refused(&named), DropOffError::Version));
    }
    house.accept(&until(now.plus(DAY))).unwrap();
}

#[test]
fn a_key_that_was_replaced_opens_parcels_until_its_end_and_then_its_private_half_is_gone() {
    let house = House::new();
    let (first, now) = (house.key(), Timestamp::now());
    let parcel = sealed(&first, label());
    house.drop_box.rotate(2 * DAY, now).unwrap();
    let keys = house.drop_box.keys(now).unwrap();
    assert_eq!((keys.len(), keys[1].key, keys[0].ends), (2, first, None));
    assert_eq!(keys[1].ends, Some(now.plus(2 * DAY)));
    house.accept(&parcel).unwrap();
    // A later, longer overlap does not lengthen it.
    house.drop_box.rotate(10 * DAY, now).unwrap();
    assert_eq!(house.drop_box.keys(now).unwrap()[2].ends, Some(now.plus(2 * DAY)));
    let after = now.plus(2 * DAY);
    let late = sealed(&first, Label { expires: now.plus(30 * DAY), ..label() });
    assert!(matches!(house.drop_box.open(&late, after), Err(DropOffError::UnknownKey)));
    assert!(matches!(house.drop_box.take(&late, after), Err(DropOffError::UnknownKey)));
    // Written once more, the file has no trace of it, whatever the clock says later.
    house.drop_box.rotate(DAY, after).unwrap();
    assert!(matches!(house.refused(&late), DropOffError::UnknownKey));
}

#[test]
fn without_an_overlap_every_other_key_ends_at_once() {
    let house = House::new();
    let parcel = sealed(&house.key(), label());
    house.drop_box.rotate(Duration::ZERO, Timestamp::now()).unwrap();
    assert_eq!(house.drop_box.keys(Timestamp::now()).unwrap().len(), 1);
    assert!(matches!(house.refused(&parcel), DropOffError::UnknownKey));
}

#[test]
fn keys_and_remembered_parcels_are_bounded_and_nothing_is_forgotten_to_make_room() {
    let house = House::new();
    let now = Timestamp::now();
    for _ in 0..MOST_KEYS {
        house.drop_box.rotate(DAY, now).unwrap();
    }
    assert!(matches!(house.drop_box.rotate(DAY, now), Err(DropOffError::TooManyKeys)));
    let parcel = sealed(&house.key(), label());
    let mut keys = house.drop_box.load(now).unwrap();
    let taken = (0..MOST_TAKEN).map(|n| (format!("{n:032x}"), now.plus(LONGEST)));
    keys[0].taken = taken.collect();
    house.drop_box.keep(&keys).unwrap();
    assert!(matches!(house.drop_box.take(&parcel, now), Err(DropOffError::Full)));
    assert_eq!(house.drop_box.load(now).unwrap()[0].taken.len(), MOST_TAKEN);
    // Long after their end, they need not be remembered.
    assert_eq!(house.drop_box.load(now.plus(LONGEST + 2 * DAY)).unwrap().len(), 1);
}

#[test]
fn neither_the_parcel_nor_the_file_of_the_keys_shows_the_secret_or_a_private_half() {
    let house = House::new();
    let parcel = sealed(&house.key(), label());
    let json = serde_json::to_string(&parcel).unwrap();
    let private = house.drop_box.load(Timestamp::now()).unwrap().remove(0).pair.private;
    let file = std::fs::read(house.directory.path().join("drop-off")).unwrap();
    let base64 = STANDARD.encode(private.expose());
    for text in [CANARY.as_bytes(), STANDARD.encode(CANARY).as_bytes(), private.expose(), base64.as_bytes()] {
        let shows = |bytes: &[u8]| bytes.windows(12).any(|window| window == &text[..12]);
        assert!(!shows(json.as_bytes()) && !shows(&file));
    }
}

#[test]
fn a_file_of_keys_that_was_changed_or_is_of_another_house_opens_nothing() {
    let (house, other) = (House::new(), House::new());
    let parcel = sealed(&house.key(), label());
    let file = house.directory.path().join("drop-off");
    let good = std::fs::read(&file).unwrap();
    let mut changed = good.clone();
    changed[good.len() / 2] ^= 1;
    other.key();
    for bytes in [changed, std::fs::read(other.directory.path().join("drop-off")).unwrap(), Vec::new()] {
        std::fs::write(&file, bytes).unwrap();
        assert!(matches!(house.refused(&parcel), DropOffError::Custody(CustodyError::Damaged { .. })));
        assert!(house.drop_box.keys(Timestamp::now()).is_err(), "no fresh key hides a damaged file");
    }
    std::fs::write(&file, good).unwrap();
    house.accept(&parcel).unwrap();
}

#[test]
fn a_key_that_is_no_point_is_not_sealed_to() {
    // All zeros is a point of order 1: everything sealed to it would have the same key.
    assert!(Parcel::seal(&DropKey::of(&[0; 32]).unwrap(), label(), &Zeroizing::new(CANARY.into())).is_err());
}

#[tokio::test]
async fn under_another_root_key_the_same_keys_open_and_the_same_parcels_stay_taken() {
    let house = House::new();
    let (taken, fresh) = (sealed(&house.key(), label()), sealed(&house.key(), label()));
    house.drop_box.take(&taken, Timestamp::now()).unwrap();
    let before = house.custody.roots_of_files().unwrap();
    let version = house.custody.rotate_root().await.unwrap();
    assert_ne!(before, [version]);
    house.custody.rewrap_files_and_memory().unwrap();
    assert_eq!(house.custody.roots_of_files().unwrap(), [version]);
    house.custody.destroy_older().await.unwrap();
    assert!(matches!(house.refused(&taken), DropOffError::Taken));
    house.accept(&fresh).unwrap();
}

#[test]
fn while_the_broker_is_sealed_no_parcel_opens_and_no_key_is_made() {
    let house = House::new();
    let parcel = sealed(&house.key(), label());
    house.custody.seal();
    assert!(matches!(house.refused(&parcel), DropOffError::Custody(CustodyError::Sealed)));
    assert!(matches!(house.drop_box.rotate(DAY, Timestamp::now()), Err(DropOffError::Custody(_))));
    let made = House::new();
    made.custody.seal();
    assert!(made.drop_box.keys(Timestamp::now()).is_err());
}
