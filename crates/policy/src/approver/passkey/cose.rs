//! A passkey's public key (COSE_Key; SPEC: RFC 9053, RFC 8230), of the three kinds that authenticators make. The key says
//! how it signs; a signature has no say in it.

use super::Unreadable;
use super::cbor::Cbor;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use std::fmt;

/// A public key, in the only spelling it has.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CoseKey {
    bytes: Vec<u8>,
    public: Public,
}

#[derive(Clone, PartialEq, Eq)]
enum Public {
    /// ECDSA on P-256 with SHA-256 (-7): the uncompressed point.
    Es256([u8; 65]),
    /// Ed25519 (-8).
    EdDsa([u8; 32]),
    /// RSASSA-PKCS1-v1_5 with SHA-256 (-257): modulus and exponent.
    Rs256(Vec<u8>, Vec<u8>),
}

impl CoseKey {
    /// From its bytes: exactly the members of its kind, in canonical order, and nothing after them.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut cbor = Cbor::new(bytes);
        let pairs = cbor.map()?;
        let public = match (pairs, member(&mut cbor, 1)?, member(&mut cbor, 3)?) {
            (5, 2, -7) => Public::Es256(point(&mut cbor)?),
            (4, 1, -8) => {
                curve(&mut cbor, 6)?;
                Public::EdDsa(sized(named(&mut cbor, -2)?)?)
            }
            (4, 3, -257) => {
                let (modulus, exponent) = (named(&mut cbor, -1)?, named(&mut cbor, -2)?);
                let plain = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
                if !(256..=1024).contains(&modulus.len())
                    || !plain(modulus)
                    || !plain(exponent)
                    || exponent.len() > 4
                {
                    return Err(Unreadable);
                }
                Public::Rs256(modulus.to_vec(), exponent.to_vec())
            }
            _ => return Err(Unreadable),
        };
        cbor.end()?;
        Ok(Self { bytes: bytes.to_vec(), public })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name of the algorithm (SPEC: IANA, COSE Algorithms).
    pub(super) fn algorithm(&self) -> &'static str {
        match self.public {
            Public::Es256(_) => "ES256",
            Public::EdDsa(_) => "EdDSA",
            Public::Rs256(..) => "RS256",
        }
    }

    /// Whether it signed this.
    pub(super) fn verifies(&self, signed: &[u8], signature: &[u8]) -> Result<(), Unreadable> {
        let verified = match &self.public {
            Public::Es256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(signed, signature)
            }
            Public::EdDsa(key) => UnparsedPublicKey::new(&ED25519, key).verify(signed, signature),
            Public::Rs256(n, e) => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
            }
        };
        verified.map_err(|_| Unreadable)
    }
}

impl fmt::Debug for CoseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CoseKey({})", self.algorithm())
    }
}

/// The number under this label, which has to come next.
fn member(cbor: &mut Cbor<'_>, label: i64) -> Result<i64, Unreadable> {
    if cbor.integer()? == label { cbor.integer() } else { Err(Unreadable) }
}

/// The bytes under this label, which has to come next.
fn named<'b>(cbor: &mut Cbor<'b>, label: i64) -> Result<&'b [u8], Unreadable> {
    if cbor.integer()? == label { cbor.bytes() } else { Err(Unreadable) }
}

fn curve(cbor: &mut Cbor<'_>, wanted: i64) -> Result<(), Unreadable> {
    if member(cbor, -1)? == wanted { Ok(()) } else { Err(Unreadable) }
}

fn point(cbor: &mut Cbor<'_>) -> Result<[u8; 65], Unreadable> {
    curve(cbor, 1)?;
    let (x, y): ([u8; 32], [u8; 32]) = (sized(named(cbor, -2)?)?, sized(named(cbor, -3)?)?);
    let mut point = [4; 65];
    point[1..33].copy_from_slice(&x);
    point[33..].copy_from_slice(&y);
    Ok(point)
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unreadable> {
    bytes.try_into().map_err(|_| Unreadable)
}
