//! Verifies what the hardware of a confidential machine says of it: reports of AMD SEV-SNP, documents of AWS Nitro enclaves. Pure: bytes,
//! certificates and a point in time in; what is said, or why it is not believed, out. Fetches nothing and trusts two kinds of roots, AMD's and
//! Amazon's, by the hash of their keys.

mod cbor;
mod chain;
mod nitro;
mod snp;

pub use nitro::{NitroDocument, verify_nitro};
pub use snp::{SnpChain, SnpReport, verify_snp};

/// Why evidence is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// It cannot be read, or is of a version that is not read here.
    #[error("the evidence cannot be read: {0}")]
    Malformed(&'static str),
    /// A certificate cannot be read.
    #[error("a certificate of the evidence cannot be read")]
    Certificate,
    /// The chain does not end at a root that is known here.
    #[error("the evidence comes from no vendor that is known here")]
    Root,
    /// A certificate is not signed by the one above it, is no authority, or is not good at this time.
    #[error("the chain of the evidence does not hold: {0}")]
    Chain(&'static str),
    /// The evidence is not signed by the machine.
    #[error("the evidence is not signed by the machine that it is about")]
    Signature,
    /// It is signed, and says something that must not be.
    #[error("the evidence says that {0}")]
    Says(&'static str),
}
