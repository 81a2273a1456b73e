//! Custody as a whole: in through the intake, at rest, out for one use.

use super::*;
use cloakroom_model::{Name, Timestamp};
use std::os::unix::fs::MetadataExt;

pub(super) const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

fn custody() -> (Custody, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let custody = Custody::assert_unlocked(KekSource::KeyFile(directory.path().join("kek"))).unwrap();
    (custody, directory)
}

pub(super) fn id(n: u8) -> CredentialId {
    CredentialId::new(Timestamp::from_millis(1), [n; 10])
}

fn destinations(texts: &[&str]) -> Vec<Destination> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

pub(super) fn deposited(
    custody: &Custody,
    secret: &[u8],
    kind: CredentialKind,
) -> Result<Accepted, CustodyError> {
    let name = Name::parse("stripe").unwrap();
    let drop_off = custody.intake().seal(Zeroizing::new(secret.to_vec()), &name).unwrap();
    custody.accept(&drop_off, &name, id(1), kind, &destinations(&["https://api.example.com"]), 1)
}

pub(super) fn record(custody: &Custody) -> CredentialRecord {
    let accepted = deposited(custody, CANARY.as_bytes(), CredentialKind::Bearer).unwrap();
    CredentialRecord {
        id: id(1),
        name: Name::parse("stripe").unwrap(),
        kind: CredentialKind::Bearer,
        destinations: destinations(&["https://api.example.com"]),
        shape: accepted.shape,
        generation: 1,
        sealed: accepted.sealed,
        created: Timestamp::from_millis(1),
        rotated: Timestamp::from_millis(1),
        removed: None,
    }
}

fn refused(custody: &Custody, id: CredentialId) -> Code {
    custody.open(id).map(|_| ()).unwrap_err().code()
}

#[test]
fn a_deposited_secret_opens_and_each_opening_is_counted() {
    let (custody, _directory) = custody();
    custody.hold(&[record(&custody)]);
    for count in 1..=3 {
        let opened = custody.open(id(1)).unwrap();
        assert_eq!((opened.secret.expose(), opened.generation), (CANARY.as_bytes(), 1));
        assert_eq!(custody.opened(), count);
    }
}

#[test]
fn t87_a_record_that_was_edited_does_not_open() {
    let (custody, _directory) = custody();
    let good = record(&custody);
    let edits: [fn(&mut CredentialRecord); 8] = [
        |r| r.id = id(2),
        |r| r.kind = CredentialKind::Basic,
        |r| r.destinations = destinations(&["https://evil.example.com"]),
        |r| r.destinations.push("https://evil.example.com".parse().unwrap()),
        |r| r.destinations.clear(),
        |r| r.generation = 2,
        |r| *r.sealed.0.last_mut().unwrap() ^= 1,
        |r| r.sealed.0.truncate(40),
    ];
    for (number, edit) in edits.into_iter().enumerate() {
        let mut edited = good.clone();
        edit(&mut edited);
        custody.hold(&[edited.clone()]);
        assert_eq!(refused(&custody, edited.id), Code::BrokerSealed, "edit {number}");
    }
    assert_eq!(custody.opened(), 0);
    custody.hold(&[good]);
    assert!(custody.open(id(1)).is_ok());
}

#[test]
fn t87_rows_swapped_between_credentials_do_not_open() {
    let (custody, _directory) = custody();
    let name = Name::parse("github").unwrap();
    let drop_off = custody.intake().seal(Zeroizing::new(CANARY.into()), &name).unwrap();
    let there = destinations(&["https://api.example.com"]);
    let other = custody.accept(&drop_off, &name, id(2), CredentialKind::Bearer, &there, 1).unwrap();
    let mut swapped = record(&custody);
    swapped.sealed = other.sealed;
    custody.hold(&[swapped]);
    assert_eq!(refused(&custody, id(1)), Code::BrokerSealed);
}

#[test]
fn the_order_and_repetition_of_destinations_do_not_matter() {
    let (custody, _directory) = custody();
    let name = Name::parse("stripe").unwrap();
    let drop_off = custody.intake().seal(Zeroizing::new(CANARY.into()), &name).unwrap();
    let two = destinations(&["https://b.example.com", "https://a.example.com"]);
    let sealed = custody.accept(&drop_off, &name, id(1), CredentialKind::Bearer, &two, 1).unwrap().sealed;
    let destinations =
        destinations(&["https://a.example.com", "https://b.example.com", "https://a.example.com"]);
    custody.hold(&[CredentialRecord { destinations, sealed, ..record(&custody) }]);
    assert!(custody.open(id(1)).is_ok());
}

#[test]
fn another_key_file_opens_nothing() {
    let (custody, _directory) = custody();
    let record = record(&custody);
    let (other, _other_directory) = self::custody();
    other.hold(&[record]);
    assert_eq!(refused(&other, id(1)), Code::BrokerSealed);
}

#[test]
fn a_removed_credential_is_revoked_and_an_unknown_one_is_sealed() {
    let (custody, _directory) = custody();
    let removed = CredentialRecord {
        removed: Some(Timestamp::from_millis(2)),
        sealed: SealedSecret(Vec::new()),
        ..record(&custody)
    };
    custody.hold(&[removed]);
    assert_eq!(refused(&custody, id(1)), Code::PlaceholderRevoked);
    assert_eq!(refused(&custody, id(2)), Code::BrokerSealed);
}

#[test]
fn a_secret_is_not_opened_for_a_destination_that_its_credential_does_not_name() {
    let (custody, _directory) = custody();
    custody.hold(&[record(&custody)]);
    let code = |destination: &str| {
        custody
            .open_for(id(1), &destination.parse().unwrap(), &Spot::Query(0), None)
            .map(|_| ())
            .map_err(|refusal| refusal.code())
    };
    for other in [
        "https://evil.example.com",
        "http://api.example.com",
        "https://api.example.com:8443",
        "https://example.com",
    ] {
        assert_eq!(code(other), Err(Code::DestinationNotPermitted), "{other}");
    }
    assert_eq!(custody.opened(), 0);
    assert_eq!(code("https://api.example.com"), Ok(()));
    custody.hold(&[CredentialRecord { removed: Some(Timestamp::from_millis(2)), ..record(&custody) }]);
    assert_eq!(code("https://evil.example.com"), Err(Code::PlaceholderRevoked));
}

#[test]
fn what_is_derived_from_a_secret_lives_as_long_as_its_record_stays_the_same() {
    let (custody, _directory) = custody();
    let record = record(&custody);
    custody.hold(std::slice::from_ref(&record));
    custody.open(id(1)).unwrap().derived.get_or_init(|| Arc::new(7u8));
    custody.hold(std::slice::from_ref(&record));
    assert!(custody.open(id(1)).unwrap().derived.get().is_some());
    let again = self::record(&custody);
    custody.hold(&[again]);
    assert!(custody.open(id(1)).unwrap().derived.get().is_none());
}

#[test]
fn t45_secrets_that_a_call_cannot_carry_are_refused() {
    let (custody, _directory) = custody();
    let with = |text: &str| format!("canary-{text}-7Q2mZ9xKp4").into_bytes();
    let long = |n: usize| CANARY.bytes().cycle().take(n).collect::<Vec<u8>>();
    let refused =
        |secret: Vec<u8>, kind| deposited(&custody, &secret, kind).map(|_| ()).map_err(|e| e.to_string());
    // Of a grant and of an access key nothing goes into a call as it is.
    let whole = |kind: &CredentialKind| {
        !matches!(kind, CredentialKind::Oauth | CredentialKind::Sourced) && !kind.is_never_sent()
    };
    for kind in CredentialKind::ALL.into_iter().filter(whole) {
        for control in ["\r", "\n", "\r\nX: y", "\0", "\t", "\x1b[31m", "\x7f"] {
            assert_eq!(refused(with(control), kind), Err(CustodyError::ControlCharacter.to_string()));
        }
        assert_eq!(refused(long(7), kind), Err(CustodyError::TooShort.to_string()));
        assert_eq!(refused(long(16 * 1024 + 1), kind), Err(CustodyError::TooLong.to_string()));
        assert_eq!(refused(b"canary\xff\xfe7Q2m".to_vec(), kind), Err(CustodyError::NotText.to_string()));
        assert_eq!(refused(long(8), kind), Ok(()));
        assert_eq!(refused(long(16 * 1024), kind), Ok(()));
    }
    assert_eq!(refused(with("é"), CredentialKind::Header), Err(CustodyError::NotAscii.to_string()));
    assert_eq!(refused(with("é"), CredentialKind::Basic), Ok(()));
    assert!(refused(long(40), CredentialKind::Oauth).is_err(), "a grant is more than a secret");
    assert!(refused(long(40), CredentialKind::Aws).is_err(), "an access key is more than a secret");
    assert!(refused(long(40), CredentialKind::Sourced).is_err(), "a source is more than a secret");
}

#[test]
fn t87_nothing_on_the_disk_or_in_the_row_shows_the_secret() {
    let (custody, directory) = custody();
    let record = record(&custody);
    let text = serde_json::to_string(&record).unwrap();
    let sealed = &record.sealed.0;
    for piece in CANARY.as_bytes().windows(6) {
        assert!(!sealed.windows(6).any(|window| window == piece));
        assert!(!text.contains(std::str::from_utf8(piece).unwrap()));
    }
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o077, 0, "{:?}", entry.path());
    }
    let again = self::record(&custody);
    assert_ne!(again.sealed, record.sealed, "two sealings of one secret are told apart by nobody");
}

#[test]
fn a_sealed_secret_of_any_bytes_parses_without_a_fault() {
    let (custody, _directory) = custody();
    let good = record(&custody).sealed.0;
    assert!(SealedParts::parse(&good).is_some());
    for end in 0..good.len() {
        let mut edited = record(&custody);
        edited.sealed.0.truncate(end);
        custody.hold(&[edited]);
        assert_eq!(refused(&custody, id(1)), Code::BrokerSealed);
    }
    assert_eq!(SealedParts::parse(&[]), None);
    assert_eq!(SealedParts::parse(&[2, 0, 0]), None);
    assert_eq!(SealedParts::parse(&[3, 0, 0, 0, 0, 0, 0]), None);
    let versioned = SealedParts::parse(&[2, 0, 0, 1, 2, 0, 1, 7, 8]).unwrap();
    assert_eq!((versioned.root, versioned.wrapped, versioned.ciphertext), (258, &[7][..], &[8][..]));
    assert_eq!(SealedParts::parse(&[1, 0xff, 0xff, 0]), None);
}

#[test]
fn a_key_that_signs_is_opened_for_a_signature_alone_and_nothing_else_is() {
    let (custody, _directory) = custody();
    let key =
        format!("[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = {CANARY}\n");
    let of_kind = |kind, secret: &str| {
        let accepted = deposited(&custody, secret.as_bytes(), kind).unwrap();
        CredentialRecord { kind, shape: accepted.shape, sealed: accepted.sealed, ..record(&custody) }
    };
    let there = &destinations(&["https://api.example.com"])[0];
    let sent = Spot::Header(http::header::AUTHORIZATION, cloakroom_model::HeaderForm::Bearer);
    let signed = Spot::SigV4(cloakroom_policy::Signature::Header);
    for (kind, secret, fit, unfit) in [
        (CredentialKind::Aws, key.as_str(), &signed, &sent),
        (CredentialKind::Bearer, CANARY, &sent, &signed),
    ] {
        custody.hold(&[of_kind(kind, secret)]);
        let before = custody.opened();
        let refusal = custody.open_for(id(1), there, unfit, None).map(|_| ()).unwrap_err();
        assert_eq!((refusal.code(), custody.opened()), (Code::PlaceNotPermitted, before), "{kind:?}");
        assert!(custody.open_for(id(1), there, fit, None).is_ok(), "{kind:?}");
    }
}
