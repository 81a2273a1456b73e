//! SSH keys and the signatures of `ssh-keygen -Y sign` (SPEC: OpenSSH, PROTOCOL.sshsig and PROTOCOL.u2f).
//!
//! ```text
//! signature  "SSHSIG" u32(1) string(key) string(namespace) string(reserved) string(hash) string(signature)
//! signed     "SSHSIG" string(namespace) string(reserved) string(hash) string(H(text))
//! ```

use super::reader::Reader;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// What keeps a signature for Cloakroom from being one for git, mail or anything else.
const NAMESPACE: &[u8] = b"cloakroom";
const MAGIC: &[u8] = b"SSHSIG";
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// User present: somebody touched the key.
const PRESENT: u8 = 0x01;

/// It cannot be read as what it should be.
#[derive(Debug)]
pub(super) struct Unreadable;

/// An SSH public key of a kind that is verified here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshKey {
    kind: Kind,
    blob: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ed25519,
    P256,
    Rsa,
    SkEd25519,
    SkP256,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Ed25519, Self::P256, Self::Rsa, Self::SkEd25519, Self::SkP256];

    fn word(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::P256 => "ecdsa-sha2-nistp256",
            Self::Rsa => "ssh-rsa",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The only word that a signature of such a key may have. SECURITY: `ssh-rsa` would be SHA-1.
    fn signature_word(self) -> &'static str {
        match self {
            Self::Rsa => "rsa-sha2-512",
            kind => kind.word(),
        }
    }
}

impl SshKey {
    /// From the two words of a public key file.
    pub(super) fn parse(kind: &str, base64: &str) -> Result<Self, String> {
        let known = Kind::ALL.into_iter().find(|known| known.word() == kind).ok_or_else(|| {
            let words: Vec<&str> = Kind::ALL.map(Kind::word).to_vec();
            format!("this kind of SSH key is not verified here; use {}", words.join(", "))
        })?;
        let unreadable = || "the SSH public key cannot be read".to_owned();
        let key = Self { kind: known, blob: STANDARD.decode(base64).map_err(|_| unreadable())? };
        key.parts().map_err(|Unreadable| unreadable())?;
        Ok(key)
    }

    /// The kind's word.
    pub(super) fn kind(&self) -> &'static str {
        self.kind.word()
    }

    fn parts(&self) -> Result<Parts<'_>, Unreadable> {
        let mut reader = Reader::new(&self.blob);
        if reader.string()? != self.kind.word().as_bytes() {
            return Err(Unreadable);
        }
        let parts = match self.kind {
            Kind::Ed25519 => Parts { key: sized(reader.string()?, 32)?, ..Parts::default() },
            Kind::SkEd25519 => Parts { key: sized(reader.string()?, 32)?, extra: reader.string()? },
            Kind::P256 => Parts { key: point(&mut reader)?, ..Parts::default() },
            Kind::SkP256 => Parts { key: point(&mut reader)?, extra: reader.string()? },
            Kind::Rsa => Parts { extra: reader.number()?, key: reader.number()? },
        };
        reader.end()?;
        Ok(parts)
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), STANDARD.encode(&self.blob))
    }
}

/// The key proper (for RSA the modulus), and what stands beside it: the application, or RSA's exponent.
#[derive(Default)]
struct Parts<'k> {
    key: &'k [u8],
    extra: &'k [u8],
}

/// The key that a signature names, in the words of a public key file.
pub(super) fn named_key(signature: &str) -> Option<String> {
    let bytes = unarmoured(signature).ok()?;
    let mut outer = Reader::new(&bytes);
    let blob = outer.take(MAGIC.len()).and_then(|_| outer.u32()).and_then(|_| outer.string()).ok()?;
    let word = std::str::from_utf8(Reader::new(blob).string().ok()?).ok()?;
    SshKey::parse(word, &STANDARD.encode(blob)).ok().map(|key| key.to_string())
}

/// Whether it is a signature that was made for something else than Cloakroom: git, mail.
pub(super) fn is_for_something_else(signature: &str) -> bool {
    let Ok(bytes) = unarmoured(signature) else { return false };
    let mut outer = Reader::new(&bytes);
    let namespace = outer
        .take(MAGIC.len())
        .and_then(|_| outer.u32())
        .and_then(|_| outer.string())
        .and_then(|_| outer.string());
    namespace.is_ok_and(|namespace| namespace != NAMESPACE)
}

/// Whether `key` signed `text` for Cloakroom. The signature is armoured, as `ssh-keygen` writes it, or its base64 alone.
pub(super) fn verify(key: &SshKey, text: &[u8], signature: &str) -> bool {
    read_and_verify(key, text, signature).is_ok()
}

fn read_and_verify(key: &SshKey, text: &[u8], signature: &str) -> Result<(), Unreadable> {
    let bytes = unarmoured(signature)?;
    let mut outer = Reader::new(&bytes);
    if outer.take(MAGIC.len())? != MAGIC || outer.u32()? != 1 || outer.string()? != key.blob {
        return Err(Unreadable);
    }
    let (namespace, reserved, hash, inner) =
        (outer.string()?, outer.string()?, outer.string()?, outer.string()?);
    outer.end()?;
    if namespace != NAMESPACE || !reserved.is_empty() {
        return Err(Unreadable);
    }
    let algorithm = match hash {
        b"sha512" => &SHA512,
        b"sha256" => &SHA256,
        _ => return Err(Unreadable),
    };
    let mut signed = MAGIC.to_vec();
    for part in [namespace, reserved, hash, digest(algorithm, text).as_ref()] {
        // The parts are short: a name, nothing, a word, a digest.
        signed.extend(u32::try_from(part.len()).map_err(|_| Unreadable)?.to_be_bytes());
        signed.extend(part);
    }
    check(key, &signed, inner)
}

fn check(key: &SshKey, signed: &[u8], signature: &[u8]) -> Result<(), Unreadable> {
    let parts = key.parts()?;
    let mut reader = Reader::new(signature);
    if reader.string()? != key.kind.signature_word().as_bytes() {
        return Err(Unreadable);
    }
    let proof = reader.string()?;
    let refused = |_| Unreadable;
    match key.kind {
        Kind::Ed25519 => {
            reader.end()?;
            UnparsedPublicKey::new(&ED25519, parts.key).verify(signed, proof).map_err(refused)
        }
        Kind::P256 => {
            reader.end()?;
            let fixed = fixed(proof)?;
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, parts.key)
                .verify(signed, &fixed)
                .map_err(refused)
        }
        Kind::Rsa => {
            reader.end()?;
            let public = RsaPublicKeyComponents { n: parts.key, e: parts.extra };
            public.verify(&RSA_PKCS1_2048_8192_SHA512, signed, proof).map_err(refused)
        }
        Kind::SkEd25519 => {
            let signed = touched(reader, parts.extra, signed)?;
            UnparsedPublicKey::new(&ED25519, parts.key).verify(&signed, proof).map_err(refused)
        }
        Kind::SkP256 => {
            let (signed, fixed) = (touched(reader, parts.extra, signed)?, fixed(proof)?);
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, parts.key)
                .verify(&signed, &fixed)
                .map_err(refused)
        }
    }
}

/// What a hardware key signed: the application, that somebody touched it, its counter, and the message.
fn touched(mut reader: Reader<'_>, application: &[u8], signed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let state = reader.take(5)?;
    reader.end()?;
    if state[0] & PRESENT == 0 {
        return Err(Unreadable);
    }
    let (application, message) = (digest(&SHA256, application), digest(&SHA256, signed));
    Ok([application.as_ref(), state, message.as_ref()].concat())
}

fn sized(bytes: &[u8], length: usize) -> Result<&[u8], Unreadable> {
    if bytes.len() == length { Ok(bytes) } else { Err(Unreadable) }
}

fn point<'b>(reader: &mut Reader<'b>) -> Result<&'b [u8], Unreadable> {
    if reader.string()? != b"nistp256" {
        return Err(Unreadable);
    }
    sized(reader.string()?, 65)
}

/// `mpint r, mpint s` as two numbers of 32 bytes.
fn fixed(proof: &[u8]) -> Result<[u8; 64], Unreadable> {
    let mut reader = Reader::new(proof);
    let (r, s) = (reader.number()?, reader.number()?);
    reader.end()?;
    let mut both = [0; 64];
    for (number, end) in [(r, 32), (s, 64)] {
        if number.len() > 32 {
            return Err(Unreadable);
        }
        both[end - number.len()..end].copy_from_slice(number);
    }
    Ok(both)
}

fn unarmoured(signature: &str) -> Result<Vec<u8>, Unreadable> {
    let text = signature.trim();
    let body = match text.strip_prefix(BEGIN) {
        Some(rest) => rest.strip_suffix(END).ok_or(Unreadable)?,
        None => text,
    };
    let compact: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(compact).map_err(|_| Unreadable)
}
