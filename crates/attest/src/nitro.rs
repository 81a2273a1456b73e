//! Documents of AWS Nitro enclaves (<https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html>): a map in CBOR, signed as COSE_Sign1 (RFC 9052,
//! section 4.2) by a key that Amazon's certificates vouch for.

use crate::EvidenceError;
use crate::cbor::Item;
use crate::chain::{self, Signing};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use std::collections::BTreeMap;

/// SHA-256 of the key (SubjectPublicKeyInfo) of the root "aws.nitro-enclaves", G1.
const ROOT: [u8; 32] = [
    0xf2, 0xca, 0xf5, 0xec, 0xc6, 0x19, 0x0b, 0x4a, 0x83, 0x99, 0xb7, 0x8b, 0xc5, 0x8a, 0x2b, 0xbc, 0xd0,
    0x38, 0x23, 0x75, 0xdb, 0x8a, 0x1b, 0xfd, 0x78, 0xa8, 0x27, 0x43, 0x87, 0x4f, 0xd2, 0x25,
];
/// Certificates of one document: Amazon's have five.
const MOST: usize = 10;

/// What a verified document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NitroDocument {
    /// The enclave.
    pub module: String,
    /// When it was made, in milliseconds since 1970.
    pub made: u64,
    /// Its PCRs of SHA-384: 0 is the image, 1 kernel and boot, 2 the application, 8 who signed the image.
    pub pcrs: BTreeMap<u64, [u8; 48]>,
    /// What the enclave wanted to be signed, if it did.
    pub user_data: Option<Vec<u8>>,
    /// The answer to whose question it is, if to any.
    pub nonce: Option<Vec<u8>>,
    /// A key of the enclave's, if it named one.
    pub public_key: Option<Vec<u8>>,
}

impl NitroDocument {
    /// Whether its host can read the enclave's memory and console: then PCRs 0 to 2 are zero.
    pub fn is_debug(&self) -> bool {
        (0..3).all(|number| self.pcrs.get(&number).is_none_or(|value| *value == [0; 48]))
    }
}

/// Verifies a document at `at`, in seconds since 1970: documents are made to be shown at once, and their certificates are good for hours.
///
/// # Errors
/// Why it is not believed.
pub fn verify_nitro(document: &[u8], at: i64) -> Result<NitroDocument, EvidenceError> {
    let malformed = EvidenceError::Malformed("it is no signed document of an enclave");
    let envelope = Item::read(document)?;
    let Item::Array(parts) = &envelope else { return Err(malformed) };
    let [Item::Bytes(protected), Item::Map(_), Item::Bytes(payload), Item::Bytes(signature)] =
        parts.as_slice()
    else {
        return Err(malformed);
    };
    // ES384, and nothing that would change how it is read.
    if Item::read(protected)? != Item::Map(vec![(Item::Unsigned(1), Item::Negative(34))]) {
        return Err(malformed);
    }
    let said = Item::read(payload)?;
    let field = |name: &str| said.member(&Item::Text(name));
    let der = |item: &Item<'_>| item.bytes().map(<[u8]>::to_vec);
    let Some(Item::Array(above)) = field("cabundle") else { return Err(malformed) };
    let chain: Option<Vec<Vec<u8>>> = above.iter().chain(field("certificate")).map(der).collect();
    let chain = chain.filter(|chain| chain.len() <= MOST).ok_or(malformed)?;
    let chain: Vec<_> = chain.iter().map(|der| chain::parse(der)).collect::<Result<_, _>>()?;
    if field("certificate").is_none() {
        return Err(malformed);
    }
    chain::verify(&chain, &[ROOT], Signing::Ecdsa, at)?;
    let machine = chain.last().ok_or(malformed)?;
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, &machine.public_key().subject_public_key.data);
    key.verify(&to_be_signed(protected, payload), signature).map_err(|_| EvidenceError::Signature)?;
    read(&said).ok_or(malformed)
}

/// `["Signature1", protected, h'', payload]`.
fn to_be_signed(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x84\x6aSignature1".to_vec();
    for string in [protected, &[], payload] {
        // A length of four bytes would be as good CBOR; what is signed has the shortest.
        let length = string.len();
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=23), _) => bytes.push(0x40 | short),
            (Ok(one), _) => bytes.extend([0x58, one]),
            (_, Ok(two)) => bytes.extend([&[0x59][..], &two.to_be_bytes()].concat()),
            _ => {
                bytes.extend([&[0x5a][..], &u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()].concat())
            }
        }
        bytes.extend_from_slice(string);
    }
    bytes
}

fn read(said: &Item<'_>) -> Option<NitroDocument> {
    let field = |name: &str| said.member(&Item::Text(name));
    let optional = |name: &str| match field(name) {
        None | Some(Item::Null) => Some(None),
        Some(item) => item.bytes().map(|bytes| Some(bytes.to_vec())),
    };
    let (Item::Text(module), Item::Unsigned(made)) = (field("module_id")?, field("timestamp")?) else {
        return None;
    };
    let (Item::Text("SHA384"), Item::Map(pcrs)) = (field("digest")?, field("pcrs")?) else { return None };
    let pcr = |(number, value): &(Item<'_>, Item<'_>)| match number {
        Item::Unsigned(number) => Some((*number, value.bytes()?.try_into().ok()?)),
        _ => None,
    };
    let read: BTreeMap<u64, [u8; 48]> = pcrs.iter().map(pcr).collect::<Option<_>>()?;
    // One that is there twice could be read either way.
    (read.len() == pcrs.len()).then_some(())?;
    Some(NitroDocument {
        module: (*module).to_owned(),
        made: *made,
        pcrs: read,
        user_data: optional("user_data")?,
        nonce: optional("nonce")?,
        public_key: optional("public_key")?,
    })
}
