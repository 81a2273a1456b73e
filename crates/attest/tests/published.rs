//! Against evidence that real machines made: a report of an AMD Milan with AMD's certificates (published with the crate `sev`), a document of an AWS
//! enclave (published with the tests of Sui). No confidential machine is there where this project is tested.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use cloakroom_attest::{EvidenceError, NitroDocument, SnpChain, SnpReport, verify_nitro, verify_snp};

const REPORT: &[u8] = include_bytes!("vectors/snp-milan-report.bin");
const CHAIN: SnpChain<'_> = SnpChain {
    root: include_bytes!("vectors/snp-milan-ark.der"),
    intermediate: include_bytes!("vectors/snp-milan-ask.der"),
    machine: include_bytes!("vectors/snp-milan-vcek.der"),
};
/// In 2025: the certificates of the report are good for years.
const IN_2025: i64 = 1_750_000_000;

const DOCUMENT: &[u8] = include_bytes!("vectors/nitro.bin");
/// When the document was made, in seconds.
const MADE: i64 = 1_731_627_989;

fn snp(report: &[u8]) -> Result<SnpReport, EvidenceError> {
    verify_snp(report, CHAIN, IN_2025)
}

fn nitro(document: &[u8]) -> Result<NitroDocument, EvidenceError> {
    verify_nitro(document, MADE)
}

#[test]
fn a_report_of_a_milan_verifies_and_says_what_was_started() {
    let report = snp(REPORT).unwrap();
    assert_eq!(report.measurement, REPORT[0x90..0xc0]);
    assert_eq!(report.data, REPORT[0x50..0x90]);
    assert_eq!((report.level, report.host_data), (0, [0; 32]));
}

#[test]
fn no_byte_of_a_report_can_be_changed_or_left_out() {
    for at in 0..REPORT.len() {
        let mut changed = REPORT.to_vec();
        changed[at] ^= 1;
        assert!(snp(&changed).is_err(), "byte {at:#x}");
    }
    for report in [&REPORT[1..], &REPORT[..REPORT.len() - 1], &[REPORT, &[0]].concat(), &[]] {
        assert!(matches!(snp(report), Err(EvidenceError::Malformed(_))));
    }
}

#[test]
fn a_report_with_certificates_of_another_or_at_another_time_is_refused() {
    let genoa = include_bytes!("vectors/snp-genoa-ask.der");
    let turin = include_bytes!("vectors/snp-turin-ark.der");
    let with = |chain| verify_snp(REPORT, chain, IN_2025).unwrap_err();
    assert_eq!(with(SnpChain { root: turin, ..CHAIN }), EvidenceError::Root);
    assert!(matches!(with(SnpChain { intermediate: genoa, ..CHAIN }), EvidenceError::Chain(_)));
    // Its own root in the machine's place would sign for itself.
    assert!(matches!(with(SnpChain { machine: CHAIN.root, ..CHAIN }), EvidenceError::Chain(_)));
    assert!(matches!(with(SnpChain { machine: CHAIN.intermediate, ..CHAIN }), EvidenceError::Chain(_)));
    assert_eq!(with(SnpChain { machine: b"none", ..CHAIN }), EvidenceError::Certificate);
    for at in [0, 1_600_000_000, 2_000_000_000] {
        assert!(matches!(verify_snp(REPORT, CHAIN, at), Err(EvidenceError::Chain(_))), "{at}");
    }
    for at in (0..CHAIN.machine.len()).step_by(11) {
        let mut machine = CHAIN.machine.to_vec();
        machine[at] ^= 1;
        assert!(verify_snp(REPORT, SnpChain { machine: &machine, ..CHAIN }, IN_2025).is_err(), "byte {at}");
    }
}

#[test]
fn a_document_of_an_enclave_verifies_and_says_what_was_started_and_that_it_is_debugged() {
    let document = nitro(DOCUMENT).unwrap();
    assert_eq!(document.module, "i-0f73a4b4cb74cc9f2-enc0192e4188fef781d");
    assert_eq!(document.made / 1000, MADE.unsigned_abs());
    assert_eq!((document.pcrs.len(), document.pcrs[&3][0]), (16, 0x63));
    assert!(document.is_debug());
    assert_eq!(
        (document.user_data.map(|data| data.len()), document.nonce, document.public_key),
        (Some(32), None, None)
    );
}

#[test]
fn no_byte_of_a_document_may_be_changed_or_left_out() {
    for at in (0..DOCUMENT.len()).step_by(3) {
        let mut changed = DOCUMENT.to_vec();
        changed[at] ^= 1;
        assert!(nitro(&changed).is_err(), "byte {at}");
    }
    for end in (0..DOCUMENT.len()).step_by(13) {
        assert!(nitro(&DOCUMENT[..end]).is_err(), "cut at {end}");
    }
    assert!(nitro(&[DOCUMENT, &[0]].concat()).is_err());
}

#[test]
fn a_document_is_good_while_its_certificates_are() {
    for at in [MADE - 6 * 3600, MADE + 6 * 3600] {
        assert!(matches!(verify_nitro(DOCUMENT, at), Err(EvidenceError::Chain(_))), "{at}");
    }
}
