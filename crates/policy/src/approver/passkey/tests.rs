//! The test vectors of the specification (SPEC: Web Authentication Level 3, section 16), each one step wrong, and an
//! authenticator in software.

use super::cbor::Cbor;
use super::*;
use crate::approver::{Approvers, Purpose};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::Value;

const TEXT: &str = "placeholder: one\n";

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../vectors/webauthn.json")).unwrap()
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn example() -> RelyingParty {
    RelyingParty::new("https://example.org", None).unwrap()
}

/// The key of a vector's registration, whether or not the person was verified then.
fn key_of(vector: &Value) -> (Vec<u8>, CoseKey) {
    let object = hex(&vector["registration"]["attestationObject"]);
    // Behind head, model and length: the credential's id, and the key to the end.
    let at = object.windows(8).position(|window| window == b"authData").unwrap() + 8;
    let data = Cbor::new(&object[at..]).bytes().unwrap();
    let length = usize::from(u16::from_be_bytes([data[53], data[54]]));
    (data[55..55 + length].to_vec(), CoseKey::parse(&data[55 + length..]).unwrap())
}

/// A vector's assertion, as a browser would hand it over.
fn said(vector: &Value) -> Assertion {
    let get = &vector["authentication"];
    Assertion {
        authenticator: hex(&get["authenticatorData"]),
        client: hex(&get["clientDataJSON"]),
        signature: hex(&get["signature"]),
    }
}

#[test]
fn the_specifications_vectors_verify_for_each_algorithm() {
    let algorithms: Vec<&str> = vectors()
        .iter()
        .map(|vector| {
            let (key, said) = (key_of(vector).1, said(vector));
            said.require_signed(&key).unwrap();
            for part in 0..3 {
                let mut edited = Assertion {
                    authenticator: said.authenticator.clone(),
                    client: said.client.clone(),
                    signature: said.signature.clone(),
                };
                let bytes = match part {
                    0 => &mut edited.authenticator,
                    1 => &mut edited.client,
                    _ => &mut edited.signature,
                };
                *bytes.last_mut().unwrap() ^= 1;
                assert!(edited.require_signed(&key).is_err(), "{} part {part}", vector["name"]);
            }
            key.algorithm()
        })
        .collect();
    assert_eq!(algorithms, ["ES256", "ES256", "ES256", "ES256", "RS256", "EdDSA"]);
}

#[test]
fn t78_of_the_specifications_vectors_those_count_where_the_person_was_verified_and_nobody_was_in_between() {
    let verdicts: Vec<(String, bool)> = vectors()
        .iter()
        .map(|vector| {
            let (credential, key) = key_of(vector);
            let passkey = Passkey { party: example(), credential, key, counter: 0 };
            let get = &vector["authentication"];
            let challenge: [u8; 32] = hex(&get["challenge"]).try_into().unwrap();
            let parts = [&get["authenticatorData"], &get["clientDataJSON"], &get["signature"]]
                .map(|part| URL_SAFE_NO_PAD.encode(hex(part)));
            let holds = passkey.verifies(&challenge, &format!("1.{}", parts.join(".")));
            assert!(!passkey.verifies(&[0; 32], &format!("1.{}", parts.join("."))));
            (vector["name"].as_str().unwrap().to_owned(), holds)
        })
        .collect();
    let holds: Vec<&str> =
        verdicts.iter().filter(|(_, holds)| *holds).map(|(name, _)| name.as_str()).collect();
    // The others: not verified (none.ES256, packed.RS256, packed.EdDSA), in a frame (crossOrigin, topOrigin).
    assert_eq!((holds, verdicts.len()), (vec!["none.ES256.long-credential-id"], 6));
}

#[test]
fn the_specifications_registrations_are_read_and_need_a_verified_person_too() {
    for vector in vectors() {
        let create = &vector["registration"];
        let said = |flags: u8| {
            let mut object = hex(&create["attestationObject"]);
            let at = object.windows(8).position(|window| window == b"authData").unwrap() + 8;
            let at =
                object[at..].windows(4).position(|window| window == [0xbf, 0xab, 0xc3, 0x74]).unwrap() + at;
            object[at + 32] |= flags;
            Attestation {
                object: URL_SAFE_NO_PAD.encode(object),
                client: URL_SAFE_NO_PAD.encode(hex(&create["clientDataJSON"])),
            }
        };
        let redeem = |flags: u8| enrolment::redeem(&hex(&create["challenge"]), &example(), &said(flags));
        let framed = vector["name"].as_str().unwrap().ends_with("Origin");
        match redeem(0x04) {
            Ok(passkey) => {
                assert!(!framed);
                assert_eq!((passkey.credential.clone(), passkey.key.clone()), key_of(&vector));
                let words = passkey.to_string();
                assert_eq!(Passkey::parse(&mut words.split(' ').skip(1)).unwrap(), passkey);
            }
            Err(Unreadable) => assert!(framed, "{}", vector["name"]),
        }
        let other = RelyingParty::new("https://example.com", None).unwrap();
        assert!(enrolment::redeem(&hex(&create["challenge"]), &other, &said(4)).is_err());
        assert!(enrolment::redeem(&[1; 32], &example(), &said(4)).is_err());
    }
    // As they are: the only one whose person was verified and that was not framed.
    let all = vectors();
    let counted = all.iter().filter(|vector| {
        let create = &vector["registration"];
        let said = Attestation {
            object: URL_SAFE_NO_PAD.encode(hex(&create["attestationObject"])),
            client: URL_SAFE_NO_PAD.encode(hex(&create["clientDataJSON"])),
        };
        enrolment::redeem(&hex(&create["challenge"]), &example(), &said).is_ok()
    });
    let names: Vec<String> = counted.map(|vector| vector["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["packed.RS256"]);
}

/// An authenticator and its browser.
struct Software {
    pair: EcdsaKeyPair,
    party: RelyingParty,
    flags: u8,
    kind: &'static str,
    origin: String,
    more: &'static str,
    hashed_id: String,
}

impl Software {
    fn new() -> Self {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref()).unwrap();
        let party = RelyingParty::new("https://console.example.org", Some("example.org")).unwrap();
        Self {
            pair,
            flags: 0x05,
            kind: "webauthn.get",
            origin: party.origin().to_owned(),
            hashed_id: party.id().to_owned(),
            party,
            more: "",
        }
    }

    fn cose(&self) -> Vec<u8> {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (&point[1..33], &point[33..]);
        [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], x, &[0x22, 0x58, 32], y].concat()
    }

    /// The line of an approver whose passkey had signed so often.
    fn line(&self, counter: u32) -> String {
        let (key, id) = (URL_SAFE_NO_PAD.encode(self.cose()), URL_SAFE_NO_PAD.encode(b"an id"));
        format!("webauthn {key} {id} {} {} {counter} alice", self.party.origin(), self.party.id())
    }

    fn approvers(&self, counter: u32) -> Approvers {
        Approvers::new([self.line(counter)]).unwrap()
    }

    /// What the data plane would find in a row.
    fn signs(&self, digest: &[u8; 32], counter: u32) -> Signature {
        let (authenticator, client) = self.says(digest, counter);
        self.signature(&authenticator, &client)
    }

    fn says(&self, challenge: &[u8; 32], counter: u32) -> (Vec<u8>, String) {
        let hash = digest(&SHA256, self.hashed_id.as_bytes());
        let authenticator = [hash.as_ref(), &[self.flags], &counter.to_be_bytes()].concat();
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        let (kind, origin, more) = (self.kind, &self.origin, self.more);
        let client = format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"{more}}}"#);
        (authenticator, client)
    }

    fn signature(&self, authenticator: &[u8], client: &str) -> Signature {
        let signed = [authenticator, digest(&SHA256, client.as_bytes()).as_ref()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        let parts =
            [authenticator, client.as_bytes(), signature.as_ref()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let key = self.line(0);
        let key = key.rsplit_once(" 0 alice").unwrap().0;
        Signature { key: format!("{key} 0"), signature: format!("1700000000000.{}", parts.join(".")) }
    }

    fn counts(&self, signature: &Signature) -> bool {
        self.approvers(0).signer(TEXT, signature).is_some()
    }
}

#[test]
fn a_passkey_signs_the_digest_of_the_text_and_names_its_signer() {
    let software = Software::new();
    let signature = software.signs(&Purpose::Approval.digest(TEXT), 1);
    let approvers = software.approvers(0);
    assert_eq!(approvers.signer(TEXT, &signature).unwrap().name(), "alice");
    assert!(approvers.signer("placeholder: two\n", &signature).is_none(), "replayed for another text");
    assert_eq!(approvers.members()[0].kind(), "passkey");
}

#[test]
fn t78_each_step_that_is_wrong_in_a_ceremony_makes_it_no_signature() {
    let digest = Purpose::Approval.digest(TEXT);
    type Step = (&'static str, fn(&mut Software));
    let wrong: [Step; 13] = [
        ("origin", |s| s.origin = "https://console.example.org.evil.example".into()),
        ("origin above", |s| s.origin = "https://example.org".into()),
        ("port", |s| s.origin.push_str(":8443")),
        ("scheme", |s| s.origin = "http://console.example.org".into()),
        ("relying party", |s| s.hashed_id = "console.example.org".into()),
        ("made, not signed", |s| s.kind = "webauthn.create"),
        ("payment", |s| s.kind = "payment.get"),
        ("nobody there", |s| s.flags = 0x04),
        ("not verified", |s| s.flags = 0x01),
        ("backed up and not eligible", |s| s.flags = 0x15),
        ("extensions", |s| s.flags = 0x85),
        ("in a frame", |s| s.more = r#","crossOrigin":true"#),
        ("below another", |s| s.more = r#","topOrigin":"https://evil.example""#),
    ];
    for (step, go_wrong) in wrong {
        let mut software = Software::new();
        assert!(software.counts(&software.signs(&digest, 1)));
        go_wrong(&mut software);
        assert!(!software.counts(&software.signs(&digest, 1)), "{step}");
    }
    // A member of the future changes nothing; one that stands there twice is no reading.
    let mut software = Software::new();
    software.more = r#","crossOrigin":false,"other":[1]"#;
    assert!(software.counts(&software.signs(&digest, 1)));
    software.more = r#","origin":"https://console.example.org""#;
    assert!(!software.counts(&software.signs(&digest, 1)));
}

#[test]
fn t78_another_challenge_and_a_no_are_no_approval() {
    let software = Software::new();
    let mut edited = Purpose::Approval.digest(TEXT);
    edited[31] ^= 1;
    for digest in [edited, [0; 32], Purpose::Denial.digest(TEXT), Purpose::Approval.digest("")] {
        assert!(!software.counts(&software.signs(&digest, 1)));
    }
    let no = software.signs(&Purpose::Denial.digest(TEXT), 1);
    let approvers = software.approvers(0);
    assert_eq!(approvers.denier(TEXT, &no).unwrap().name(), "alice");
    let yes = software.signs(&Purpose::Approval.digest(TEXT), 1);
    assert!(approvers.denier(TEXT, &yes).is_none(), "a yes is no denial");
}

#[test]
fn t78_no_byte_of_a_passkeys_signature_can_be_changed_or_left_out() {
    let software = Software::new();
    let good = software.signs(&Purpose::Approval.digest(TEXT), 1);
    assert!(software.counts(&good));
    let parts: Vec<&str> = good.signature.split('.').collect();
    for part in 1..4 {
        let bytes = URL_SAFE_NO_PAD.decode(parts[part]).unwrap();
        let with = |bytes: &[u8]| {
            let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            parts[part] = URL_SAFE_NO_PAD.encode(bytes);
            software.counts(&Signature { key: good.key.clone(), signature: parts.join(".") })
        };
        assert!(with(&bytes));
        for at in 0..bytes.len() {
            let mut edited = bytes.clone();
            edited[at] ^= 1;
            assert!(!with(&edited), "part {part} byte {at}");
            assert!(!with(&bytes[..at]), "part {part} cut at {at}");
        }
        assert!(!with(&[&bytes[..], &[0]].concat()), "part {part} longer");
    }
    for text in
        ["", "1", "1.", "1...", "x.a.b.c", "01.a.b.c", &good.signature[14..], &format!("{}.", good.signature)]
    {
        assert!(!software.counts(&Signature { key: good.key.clone(), signature: text.to_owned() }), "{text}");
    }
}

/// Signs data of its own making: cut, or with a key behind it.
#[test]
fn t78_truncated_authenticator_data_that_is_signed_all_the_same_is_no_signature() {
    let software = Software::new();
    let (authenticator, client) = software.says(&Purpose::Approval.digest(TEXT), 1);
    assert!(software.counts(&software.signature(&authenticator, &client)));
    for length in [0, 1, 32, 33, 36] {
        assert!(!software.counts(&software.signature(&authenticator[..length], &client)), "{length}");
    }
    let longer = [&authenticator[..], &[0xa0]].concat();
    assert!(!software.counts(&software.signature(&longer, &client)));
    let mut attested = authenticator.clone();
    attested[32] |= 0x40;
    assert!(!software.counts(&software.signature(&attested, &client)));
    let key = [&attested[..], &[0; 16], &[0, 1, 7], &software.cose()].concat();
    assert!(!software.counts(&software.signature(&key, &client)));
}

#[test]
fn t78_a_counter_that_does_not_go_beyond_the_enrolled_one_is_a_copys() {
    let software = Software::new();
    let digest = Purpose::Approval.digest(TEXT);
    for (enrolled, counter, counts) in [
        (0, 0, true),
        (0, 1, true),
        (5, 6, true),
        (5, 5, false),
        (5, 4, false),
        (5, 0, false),
        (u32::MAX, u32::MAX, false),
    ] {
        let passkey = software.approvers(enrolled).members()[0].clone();
        let signature = software.signs(&digest, counter).signature;
        let held = passkey.key.verifies(Purpose::Approval, TEXT, &signature);
        assert_eq!(held, counts, "{enrolled} {counter}");
    }
}

#[test]
fn t78_the_key_says_how_it_signs() {
    let software = Software::new();
    let cose = software.cose();
    assert!(CoseKey::parse(&cose).is_ok());
    let with = |at: usize, byte: u8| {
        let mut edited = cose.clone();
        edited[at] = byte;
        CoseKey::parse(&edited).is_ok()
    };
    assert!(with(4, 0x26));
    assert!(!with(4, 0x27), "EdDSA with a point");
    assert!(!with(2, 3), "RSA with a point");
    assert!(!with(6, 2), "another curve");
    assert!(!with(0, 0xa4) && !with(0, 0xa6), "fewer or more members");
    assert!(CoseKey::parse(&[&cose[..], &[0]].concat()).is_err());
    let off = {
        let mut off = cose.clone();
        off[40] ^= 1;
        off
    };
    if let Ok(key) = CoseKey::parse(&off) {
        assert!(key.verifies(b"", b"").is_err());
    }
    // Ed25519 that calls itself ES256, and the other way round.
    let ed = Ed25519KeyPair::generate().unwrap();
    let ed_key = [&[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32][..], ed.public_key().as_ref()].concat();
    assert_eq!(CoseKey::parse(&ed_key).unwrap().algorithm(), "EdDSA");
    let mut confused = ed_key.clone();
    confused[4] = 0x26;
    assert!(CoseKey::parse(&confused).is_err());
    let signed = ed.sign(b"bytes");
    assert!(CoseKey::parse(&ed_key).unwrap().verifies(b"bytes", signed.as_ref()).is_ok());
    assert!(CoseKey::parse(&cose).unwrap().verifies(b"bytes", signed.as_ref()).is_err());
    // RSA of 1024 bits.
    let small =
        [&[0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x58, 128][..], &[0xff; 128], &[0x21, 0x43, 1, 0, 1]].concat();
    assert!(CoseKey::parse(&small).is_err());
}

#[test]
fn a_passkeys_line_has_one_spelling() {
    let software = Software::new();
    let line = software.line(3);
    let good = Approvers::new([line.clone()]).unwrap();
    assert!(line.starts_with(&good.members()[0].key_text()));
    assert!(Approvers::new([line.clone(), line.replace(" 3 ", " 4 ")]).is_err(), "the same key twice");
    for edited in [
        line.replace(" 3 ", " 03 "),
        line.replace(" 3 ", " x "),
        line.replace("https://console", "http://console"),
        line.replace(" example.org ", " example.com "),
        line.replace("webauthn ", "webauthn-x "),
        line.split(" 3 ").next().unwrap().to_owned(),
    ] {
        assert!(Approvers::new([edited.clone()]).is_err(), "{edited}");
    }
}

#[test]
fn t85_a_log_in_is_signed_here_once_and_is_no_approval() {
    let software = Software::new();
    let ticket = |code| LoginTicket { code, party: &software.party };
    let (line, after) = (software.line(3), software.line(7));
    let words = |line: &str| line.strip_suffix(" alice").unwrap().to_owned();
    let signature = software.signs(&ticket("one").challenge(), 7);
    let (_, said) = signature.signature.split_once('.').unwrap();
    assert_eq!(ticket("one").signed_by(&words(&line), said), Some(7));
    assert_eq!(ticket("two").signed_by(&words(&line), said), None, "another attempt");
    assert_eq!(ticket("one").signed_by(&words(&after), said), None, "the counter stood still");
    assert_eq!(ticket("one").signed_by(&line, said), None, "words follow");
    let elsewhere = RelyingParty::new("https://console.example.com", None).unwrap();
    assert_eq!(LoginTicket { code: "one", party: &elsewhere }.signed_by(&words(&line), said), None);
    let approval = software.signs(&Purpose::Approval.digest(TEXT), 7);
    let (_, said) = approval.signature.split_once('.').unwrap();
    assert_eq!(ticket(TEXT).signed_by(&words(&line), said), None, "an approval is no log-in");
    assert!(!software.counts(&signature), "a log-in is no approval");
    assert_eq!(passkey_id(&words(&line), &software.party), Some(URL_SAFE_NO_PAD.encode(b"an id")));
    assert_eq!(passkey_id(&words(&line), &elsewhere), None);
}
