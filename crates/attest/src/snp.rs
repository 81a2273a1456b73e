//! Reports of AMD SEV-SNP (AMD 56860, *SEV Secure Nested Paging Firmware ABI*, section 7.3), signed by a key that the processor derives from its
//! chip and the versions of its firmware (VCEK).

use crate::EvidenceError;
use crate::chain::{self, Signing};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use x509_parser::prelude::X509Certificate;

/// Bytes of a report, and of what is signed of it.
const REPORT: usize = 0x4a0;
const SIGNED: usize = 0x2a0;
/// ECDSA on P-384 with SHA-384.
const ALGORITHM: u32 = 1;
/// The guest's memory may be read by whoever runs the machine.
const DEBUG: u64 = 1 << 19;
/// SHA-256 of the keys (SubjectPublicKeyInfo) of AMD's roots (ARK): Milan, Genoa. Turin and later lay their versions out in another way.
const ROOTS: [[u8; 32]; 2] = [
    [
        0x9f, 0x05, 0x6b, 0xee, 0x44, 0x37, 0x7e, 0x29, 0x30, 0x8c, 0xb5, 0xff, 0xa8, 0x95, 0xbd, 0xfb, 0x62,
        0xd1, 0x88, 0x81, 0xfa, 0x6b, 0xed, 0x8d, 0x6f, 0x07, 0x5b, 0x02, 0x04, 0x08, 0x9c, 0xb9,
    ],
    [
        0x42, 0x9a, 0x69, 0xc9, 0x42, 0x2a, 0xa2, 0x58, 0xee, 0x4d, 0x8d, 0xb5, 0xfc, 0xda, 0x9c, 0x64, 0x70,
        0xef, 0x15, 0xf8, 0xcd, 0x5a, 0x9c, 0xeb, 0xd6, 0xcb, 0xc7, 0xd9, 0x0b, 0x86, 0x38, 0x31,
    ],
];

/// What AMD publishes of one processor (<https://kdsintf.amd.com>), in DER.
#[derive(Clone, Copy, Debug)]
pub struct SnpChain<'a> {
    /// The root (ARK).
    pub root: &'a [u8],
    /// The intermediate (ASK).
    pub intermediate: &'a [u8],
    /// The processor's own (VCEK).
    pub machine: &'a [u8],
}

/// What a verified report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnpReport {
    /// What the guest was started with: firmware and, where that measures them, kernel, initramfs and command line.
    pub measurement: [u8; 48],
    /// What the guest wanted to be signed.
    pub data: [u8; 64],
    /// What whoever started the guest said of it.
    pub host_data: [u8; 32],
    /// At which privilege level the guest asked: 0 is the highest.
    pub level: u32,
}

/// Verifies a report with the certificates of its processor, at `at`, in seconds since 1970.
///
/// # Errors
/// Why it is not believed.
pub fn verify_snp(report: &[u8], of: SnpChain<'_>, at: i64) -> Result<SnpReport, EvidenceError> {
    let report: &[u8; REPORT] =
        report.try_into().map_err(|_| EvidenceError::Malformed("a report has 1184 bytes"))?;
    if !(2..=5).contains(&four(report, 0)) || four(report, 0x34) != ALGORITHM {
        return Err(EvidenceError::Malformed("its version or its algorithm is unknown"));
    }
    let chain = [chain::parse(of.root)?, chain::parse(of.intermediate)?, chain::parse(of.machine)?];
    chain::verify(&chain, &ROOTS, Signing::RsaPss, at)?;
    let [_, _, machine] = &chain;
    signed_by(report, machine)?;
    // Only now: what it says is the processor's word.
    let policy = u64::from_le_bytes(array(report, 8));
    if policy & DEBUG != 0 {
        return Err(EvidenceError::Says("the guest's memory may be read from outside"));
    }
    same_processor(report, machine)?;
    Ok(SnpReport {
        measurement: array(report, 0x90),
        data: array(report, 0x50),
        host_data: array(report, 0xc0),
        level: four(report, 0x30),
    })
}

/// Two numbers of 72 bytes, the lowest first, of which P-384 takes 48.
fn signed_by(report: &[u8; REPORT], machine: &X509Certificate<'_>) -> Result<(), EvidenceError> {
    let number = |at: usize| {
        let mut number = report[at..at + 72].to_vec();
        number.reverse();
        number.iter().take(24).all(|byte| *byte == 0).then(|| number.split_off(24))
    };
    let (r, s) = (
        number(SIGNED).ok_or(EvidenceError::Signature)?,
        number(SIGNED + 72).ok_or(EvidenceError::Signature)?,
    );
    // What is behind the signature is of no meaning, and must be nothing.
    if report[SIGNED + 144..].iter().any(|byte| *byte != 0) {
        return Err(EvidenceError::Malformed("something follows its signature"));
    }
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &machine.public_key().subject_public_key.data);
    key.verify(&report[..SIGNED], &[r, s].concat()).map_err(|_| EvidenceError::Signature)
}

/// SECURITY: the key is derived from chip and versions; the certificate says which. A report of a chip or of versions that are not the
/// certificate's was made with a certificate of another.
fn same_processor(report: &[u8; REPORT], machine: &X509Certificate<'_>) -> Result<(), EvidenceError> {
    const OTHER: EvidenceError =
        EvidenceError::Says("it is of another processor, or of other firmware, than the certificate");
    // OBJECT IDENTIFIER 1.3.6.1.4.1.3704.1…, with what stands there in the reported versions (Milan, Genoa) or the chip's id.
    let said = |arcs: &str| {
        let wanted = format!("1.3.6.1.4.1.3704.1.{arcs}");
        machine.extensions().iter().find(|one| one.oid.to_id_string() == wanted).map(|one| one.value)
    };
    let chip = said("4").ok_or(OTHER)?;
    if chip != &report[0x1a0..0x1e0] {
        return Err(OTHER);
    }
    for (arcs, at) in [("3.1", 0x180), ("3.2", 0x181), ("3.3", 0x186), ("3.8", 0x187)] {
        if said(arcs).and_then(small_integer) != Some(report[at]) {
            return Err(OTHER);
        }
    }
    Ok(())
}

/// An INTEGER of DER from 0 to 255.
fn small_integer(der: &[u8]) -> Option<u8> {
    match der {
        [2, 1, value] if *value < 0x80 => Some(*value),
        [2, 2, 0, value] => Some(*value),
        _ => None,
    }
}

fn four(report: &[u8; REPORT], at: usize) -> u32 {
    u32::from_le_bytes(array(report, at))
}

fn array<const N: usize>(report: &[u8; REPORT], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&report[at..at + N]);
    out
}
