//! Against a real TPM 2.0 in software (swtpm, libtpms), over its socket.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use cloakroom_testkit::{CANARY, Swtpm};
use cloakroom_tpm::{Address, PcrSelection, QuoteError, Sealed, Tpm, TpmError};

const PCR: u8 = 11;

fn open(swtpm: &Swtpm) -> Tpm {
    Tpm::open(&address(swtpm)).unwrap()
}

fn address(swtpm: &Swtpm) -> Address {
    Address::Socket(swtpm.address())
}

fn pcrs(numbers: &[u8]) -> PcrSelection {
    PcrSelection::of(numbers).unwrap()
}

fn seal(swtpm: &Swtpm, pcrs: PcrSelection) -> Sealed {
    let sealed = Sealed::seal(&mut open(swtpm), CANARY.as_bytes(), pcrs).unwrap();
    assert_eq!(Sealed::from_bytes(&sealed.to_bytes()).unwrap(), sealed);
    sealed
}

fn unseal(swtpm: &Swtpm, sealed: &Sealed) -> Result<Vec<u8>, TpmError> {
    sealed.unseal(&mut open(swtpm)).map(|secret| secret.to_vec())
}

#[test]
fn what_was_sealed_is_given_back_also_after_a_restart_and_by_no_other_tpm() {
    let (mut swtpm, other) = (Swtpm::start(), Swtpm::start());
    let sealed = seal(&swtpm, PcrSelection::default());
    assert_eq!(unseal(&swtpm, &sealed).unwrap(), CANARY.as_bytes());
    swtpm.restart();
    assert_eq!(unseal(&swtpm, &sealed).unwrap(), CANARY.as_bytes());
    assert!(matches!(unseal(&other, &sealed), Err(TpmError::Another)));
    assert!(cloakroom_testkit::hunt(&sealed.to_bytes()).is_empty());
    swtpm.kill();
    let gone = Tpm::open(&address(&swtpm)).map(drop).unwrap_err();
    assert!(gone.is_passing(), "{gone}");
}

#[test]
fn what_was_sealed_to_pcrs_is_given_back_only_while_they_are_as_they_were() {
    let mut swtpm = Swtpm::start();
    let (bound, unbound) = (seal(&swtpm, pcrs(&[7, PCR])), seal(&swtpm, pcrs(&[12])));
    assert_eq!(unseal(&swtpm, &bound).unwrap(), CANARY.as_bytes());
    open(&swtpm).extend(PCR, &[1; 32]).unwrap();
    let refused = unseal(&swtpm, &bound).unwrap_err();
    assert!(matches!(refused, TpmError::Measurements) && !refused.is_passing(), "{refused}");
    assert_eq!(unseal(&swtpm, &unbound).unwrap(), CANARY.as_bytes());
    // A restart begins to measure anew.
    swtpm.restart();
    assert_eq!(unseal(&swtpm, &bound).unwrap(), CANARY.as_bytes());
}

#[test]
fn pcrs_that_somebody_wrote_out_of_the_file_do_not_help() {
    let swtpm = Swtpm::start();
    let bound = seal(&swtpm, pcrs(&[PCR]));
    open(&swtpm).extend(PCR, &[1; 32]).unwrap();
    let mut bytes = bound.to_bytes();
    bytes[1..4].copy_from_slice(&[0, 0, 0]);
    let relabelled = Sealed::from_bytes(&bytes).unwrap();
    assert!(relabelled.pcrs.is_empty());
    // Its policy is part of what the TPM sealed: a password does not do.
    assert!(unseal(&swtpm, &relabelled).is_err());
}

#[test]
fn bytes_that_were_changed_are_refused_and_nothing_stays_loaded() {
    let swtpm = Swtpm::start();
    let sealed = seal(&swtpm, PcrSelection::default()).to_bytes();
    for at in (0..sealed.len()).step_by(7) {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let opened = Sealed::from_bytes(&changed).and_then(|sealed| unseal(&swtpm, &sealed));
        assert!(opened.is_err(), "byte {at}");
    }
    for end in 0..sealed.len() {
        assert!(matches!(Sealed::from_bytes(&sealed[..end]), Err(TpmError::Damaged)), "cut at {end}");
    }
    // Many more than a TPM has room for at once went through.
    assert_eq!(unseal(&swtpm, &Sealed::from_bytes(&sealed).unwrap()).unwrap(), CANARY.as_bytes());
    let longest = [7; cloakroom_tpm::SEALED_MOST + 1];
    assert!(Sealed::seal(&mut open(&swtpm), &longest, PcrSelection::default()).is_err());
    let sealed = Sealed::seal(&mut open(&swtpm), &longest[1..], PcrSelection::default()).unwrap();
    assert_eq!(unseal(&swtpm, &sealed).unwrap(), &longest[1..]);
}

#[test]
fn what_crosses_the_bus_does_not_hold_what_is_sealed() {
    let swtpm = Swtpm::start();
    let bus = swtpm.tapped();
    let through = Address::Socket(bus.address());
    let sealed = Sealed::seal(&mut Tpm::open(&through).unwrap(), CANARY.as_bytes(), pcrs(&[PCR])).unwrap();
    let opened = sealed.unseal(&mut Tpm::open(&through).unwrap()).unwrap();
    assert_eq!(opened.as_slice(), CANARY.as_bytes());
    let seen = bus.seen();
    assert!(seen.len() > 1000, "only {} bytes were seen", seen.len());
    assert!(cloakroom_testkit::hunt(&seen).is_empty());
}

#[test]
fn an_answer_that_somebody_on_the_bus_changed_is_not_believed() {
    let swtpm = Swtpm::start();
    let sealed = seal(&swtpm, PcrSelection::default());
    // The last byte of the response to TPM2_Unseal is of its HMAC, an early one of what is unsealed.
    for from_end in [1, 60] {
        let bus = swtpm.changing(0x15e, from_end);
        let answer = sealed.unseal(&mut Tpm::open(&Address::Socket(bus.address())).unwrap());
        assert!(matches!(answer, Err(TpmError::Answer(_))), "{from_end}: {:?}", answer.map(drop));
    }
}

#[test]
fn a_quote_is_believed_from_this_key_for_this_question_and_about_these_values() {
    let (mut swtpm, other) = (Swtpm::start(), Swtpm::start());
    let selection = pcrs(&[PCR]);
    open(&swtpm).extend(PCR, &[1; 32]).unwrap();
    let question = [9; 32];
    let quote = open(&swtpm).quote(selection, &question).unwrap();
    let key = open(&swtpm).attestation_key().unwrap();
    let values = open(&swtpm).pcr_values(selection).unwrap();
    let quoted = quote.verify(&key, &question).unwrap();
    assert!(quoted.has(&values) && quoted.pcrs == selection);
    assert!(!quoted.has(&[[0; 32]]));
    assert_eq!(quote.verify(&key, &[8; 32]), Err(QuoteError::Question));
    let theirs = open(&other).attestation_key().unwrap();
    assert_ne!(theirs, key);
    assert_eq!(quote.verify(&theirs, &question), Err(QuoteError::Signature));
    for at in 0..quote.attested.len() {
        let mut changed = quote.clone();
        changed.attested[at] ^= 1;
        assert_eq!(changed.verify(&key, &question), Err(QuoteError::Signature), "byte {at}");
    }
    for at in 0..quote.signature.len() {
        let mut changed = quote.clone();
        changed.signature[at] ^= 1;
        assert_eq!(changed.verify(&key, &question), Err(QuoteError::Signature), "byte {at} of the signature");
    }
    // The key outlives a restart, and a restart is seen.
    swtpm.restart();
    assert_eq!(open(&swtpm).attestation_key().unwrap(), key);
    let later = open(&swtpm).quote(selection, &question).unwrap().verify(&key, &question).unwrap();
    assert!(later.resets > quoted.resets && !later.has(&values));
}
