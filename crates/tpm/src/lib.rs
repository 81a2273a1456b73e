//! Speaks TPM 2.0 (TCG, *Trusted Platform Module Library*, revision 1.38), as far as a broker needs it: seals a key to a TPM and to the
//! state of its machine, unseals it, measures into a PCR, and quotes. Knows neither whose key it is nor where its ciphertext is kept.
//!
//! ```text
//!  Address ──open──► Tpm ──► Storage (primary key) ──► Session (salted, HMAC, parameters encrypted) ──► seal, unseal
//!                     └────► AttestationKey ──► quote ──► Quote::verify, anywhere, without a TPM
//! ```
//!
//! Everything secret crosses the bus encrypted: under a session key that is agreed with the primary key, whose name is pinned with the
//! sealed object, so that who sits on the bus later cannot put a key of their own in its place.

mod address;
mod command;
mod error;
mod pcr;
mod quote;
mod seal;
mod session;
mod tpm;
mod wire;

pub use address::Address;
pub use error::TpmError;
pub use pcr::PcrSelection;
pub use quote::{AttestationKey, Quote, QuoteError, Quoted};
pub use seal::{SEALED_MOST, Sealed};
pub use tpm::Tpm;
