//! A key store for Java, which reads no PEM: the broker's authority, and nothing else.
//!
//! ```text
//! u32 0xFEEDFEED  u32 2 (version)  u32 1 (entries)
//! u32 2 (a trusted certificate)  name  u64 0 (made)  "X.509"  u32 length  DER
//! SHA-1 of password, salt and all of the above: checked only by who gives a password
//! ```
//!
//! SPEC: the JKS format, as OpenJDK's `sun.security.provider.JavaKeyStore` describes it; words as in `java.io.DataInput`, section "Modified UTF-8".

use crate::failure::Failure;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
const TRUSTED: u32 = 2;
/// What `keytool` says by itself: nothing in here is secret.
const PASSWORD: &str = "changeit";
const SALT: &[u8] = b"Mighty Aphrodite";

/// The store with this certificate (PEM).
///
/// # Errors
/// Where it is none.
pub(crate) fn of(pem: &str) -> Result<Vec<u8>, Failure> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Failure::failed("the broker's authority is no certificate"))?;
    let length = u32::try_from(certificate.len()).unwrap_or(u32::MAX);
    let mut store = Vec::new();
    [MAGIC, VERSION, 1, TRUSTED].iter().for_each(|number| store.extend(number.to_be_bytes()));
    word(&mut store, "cloakroom");
    store.extend(0u64.to_be_bytes());
    word(&mut store, "X.509");
    store.extend(length.to_be_bytes());
    store.extend(certificate.as_ref());
    let password = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes);
    let summed: Vec<u8> = password.chain(SALT.iter().copied()).chain(store.iter().copied()).collect();
    store.extend(digest(&SHA1_FOR_LEGACY_USE_ONLY, &summed).as_ref());
    Ok(store)
}

/// One of plain ASCII.
fn word(store: &mut Vec<u8>, text: &'static str) {
    store.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    store.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_holds_the_certificate_as_it_is_and_its_own_sum() {
        let authority = cloakroom_testkit::TestAuthority::new();
        let pem = std::fs::read_to_string(authority.file()).unwrap();
        let store = of(&pem).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        assert_eq!(store.len(), 16 + 11 + 8 + 7 + 4 + der.len() + 20);
        assert_eq!(store[46..46 + der.len()], *der);
        assert!(of("no certificate").is_err());
    }
}
