//! Certificates of vendors: each signed by the one above, up to a root that is known by the hash of its key.

use crate::EvidenceError;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1, RSA_PSS_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// How the certificates of a vendor are signed.
#[derive(Clone, Copy)]
pub(crate) enum Signing {
    /// RSA-PSS with SHA-384: AMD.
    RsaPss,
    /// ECDSA on P-384 with SHA-384: Amazon.
    Ecdsa,
}

impl Signing {
    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::RsaPss => &RSA_PSS_2048_8192_SHA384,
            Self::Ecdsa => &ECDSA_P384_SHA384_ASN1,
        }
    }
}

/// A certificate that has nothing behind it.
pub(crate) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, EvidenceError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| EvidenceError::Certificate)?;
    rest.is_empty().then_some(certificate).ok_or(EvidenceError::Certificate)
}

/// Holds the chain, root first, the machine's own last: at `at`, in seconds since 1970.
pub(crate) fn verify(
    chain: &[X509Certificate<'_>],
    roots: &[[u8; 32]],
    signing: Signing,
    at: i64,
) -> Result<(), EvidenceError> {
    let (Some(root), Some(leaf)) = (chain.first(), chain.last()) else {
        return Err(EvidenceError::Chain("it is empty"));
    };
    let key = digest(&SHA256, root.public_key().raw);
    if !roots.iter().any(|known| known == key.as_ref()) {
        return Err(EvidenceError::Root);
    }
    let at = ASN1Time::from_timestamp(at).map_err(|_| EvidenceError::Chain("the time is none"))?;
    // The root signs itself, so that what it says of its own time counts too.
    for (above, below) in [root].into_iter().chain(chain).zip(chain) {
        if !below.validity().is_valid_at(at) {
            return Err(EvidenceError::Chain("a certificate is not good at this time"));
        }
        if above.subject().as_raw() != below.issuer().as_raw() || !may_sign(above) {
            return Err(EvidenceError::Chain("a certificate is issued by nobody who may"));
        }
        // What stands beside the signature of how it was made is not signed itself (RFC 5280, section 4.1.1.2).
        if below.signature_algorithm != below.tbs_certificate.signature
            || below.signature_value.unused_bits != 0
        {
            return Err(EvidenceError::Chain("a certificate says in two ways how it is signed"));
        }
        let key = UnparsedPublicKey::new(signing.algorithm(), &above.public_key().subject_public_key.data);
        key.verify(below.tbs_certificate.as_ref(), &below.signature_value.data)
            .map_err(|_| EvidenceError::Chain("a certificate is not signed by the one above it"))?;
    }
    if chain.len() < 2 || leaf.public_key().raw == root.public_key().raw {
        return Err(EvidenceError::Chain("the machine has no key of its own"));
    }
    Ok(())
}

/// Whether it is an authority, by its basic constraints.
fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    certificate.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca)
}
