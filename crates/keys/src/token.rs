//! The token: finds the key, sees to it that it cannot leave, and lets it wrap or unwrap.
//!
//! ```text
//! wrapped   mechanism 1 | AES-GCM: nonce 12, ciphertext …, tag 16;  otherwise what the token gives …
//! ```
//!
//! SPEC: PKCS #11 Specification 3.1 (OASIS).

use crate::pin;
use crate::settings::{Mechanism, TokenSettings, Which};
use cloakroom_model::pkcs11::{Ask, Fault, Question};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism as Doing, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use zeroize::Zeroizing;

const NONCE: usize = 12;
const TAG_BITS: u64 = 128;
const AES_BYTES: u64 = 32;
const RSA_BITS: u64 = 3072;
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

/// Answers one question.
///
/// # Errors
/// Any [`Fault`].
pub(crate) fn answer(
    settings: &TokenSettings,
    pin: &[u8],
    question: &Question<'_>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let module = Pkcs11::new(&settings.module).map_err(|_| Fault::Module)?;
    module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(of_module)?;
    let slot = slot(&module, &settings.token)?;
    require_tries(&module, slot)?;
    // A session that may write is opened only where a key may be made.
    let may_make = settings.create && question.ask == Ask::Wrap;
    let session = if may_make { module.open_rw_session(slot) } else { module.open_ro_session(slot) };
    let session = session.map_err(of_module)?;
    log_in(&session, settings, pin)?;
    match question.ask {
        Ask::Wrap => wrap(&session, settings, question.bytes),
        Ask::Unwrap => unwrap(&session, &settings.key, question.bytes),
    }
}

fn slot(module: &Pkcs11, which: &Which) -> Result<Slot, Fault> {
    let slots = module.get_slots_with_token().map_err(of_module)?;
    let is_meant = |slot: &Slot| match which {
        Which::Slot(number) => slot.id() == *number,
        Which::Label(label) => module
            .get_token_info(*slot)
            .is_ok_and(|token| token.token_initialized() && token.label().trim_end() == label),
    };
    let mut meant = slots.into_iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(slot), None) => Ok(slot),
        // Two tokens of one label cannot be told apart: which one is meant is for a person to say, by its slot.
        (None, _) => Err(Fault::Away),
        (Some(_), Some(_)) => Err(Fault::TwoTokens),
    }
}

/// SECURITY: the broker never uses up a token's last try.
fn require_tries(module: &Pkcs11, slot: Slot) -> Result<(), Fault> {
    let token = module.get_token_info(slot).map_err(of_module)?;
    match (token.user_pin_locked(), token.user_pin_final_try()) {
        (true, _) => Err(Fault::PinLocked),
        (_, true) => Err(Fault::LastTry),
        _ => Ok(()),
    }
}

fn log_in(session: &Session, settings: &TokenSettings, pin: &[u8]) -> Result<(), Fault> {
    if pin.is_empty() {
        return Err(Fault::NoPin);
    }
    let pin = RawAuthPin::new(Box::new(pin.to_vec()));
    match session.login_with_raw(UserType::User, &pin) {
        Ok(()) => Ok(()),
        Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
            Err(pin::remember_refusal(&settings.refused))
        }
        Err(error) => Err(of_module(error)),
    }
}

fn wrap(session: &Session, settings: &TokenSettings, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mechanism = settings.mechanism;
    let key = match encrypting(session, mechanism, &settings.key) {
        Err(Fault::NoKey) if settings.create => {
            make(session, mechanism, &settings.key)?;
            encrypting(session, mechanism, &settings.key)?
        }
        found => found?,
    };
    let mut wrapped = Zeroizing::new(vec![mechanism.code()]);
    match mechanism {
        Mechanism::AesGcm => {
            let mut nonce = [0; NONCE];
            getrandom::fill(&mut nonce).map_err(|_| Fault::Failed)?;
            let parameters = GcmParams::new(&mut nonce, &[], TAG_BITS.into()).map_err(of_module)?;
            let ciphertext = session.encrypt(&Doing::AesGcm(parameters), key, bytes).map_err(of_module)?;
            // Read after it was used: some tokens choose their own.
            wrapped.extend_from_slice(&nonce);
            wrapped.extend_from_slice(&ciphertext);
        }
        Mechanism::AesKeyWrapPad => {
            let carried =
                session.create_object(&[&carried()[..], &[Attribute::Value(bytes.to_vec())]].concat());
            let carried = carried.map_err(of_module)?;
            let out = session.wrap_key(&Doing::AesKeyWrapPad, key, carried).map_err(of_module)?;
            wrapped.extend_from_slice(&out);
        }
        Mechanism::RsaOaep => {
            wrapped.extend_from_slice(&session.encrypt(&oaep(), key, bytes).map_err(of_module)?);
        }
    }
    Ok(wrapped)
}

fn unwrap(session: &Session, label: &str, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let (code, wrapped) = wrapped.split_first().ok_or(Fault::Foreign)?;
    let mechanism = Mechanism::of(*code).ok_or(Fault::Foreign)?;
    let key = decrypting(session, mechanism, label)?;
    let opened = match mechanism {
        Mechanism::AesGcm => {
            let (nonce, ciphertext) = wrapped.split_first_chunk::<NONCE>().ok_or(Fault::Foreign)?;
            let mut nonce = *nonce;
            let parameters = GcmParams::new(&mut nonce, &[], TAG_BITS.into()).map_err(of_module)?;
            session.decrypt(&Doing::AesGcm(parameters), key, ciphertext).map_err(of_opening)?
        }
        Mechanism::AesKeyWrapPad => {
            let carried = session.unwrap_key(&Doing::AesKeyWrapPad, key, wrapped, &carried());
            value(session, carried.map_err(of_opening)?)?
        }
        Mechanism::RsaOaep => session.decrypt(&oaep(), key, wrapped).map_err(of_opening)?,
    };
    Ok(Zeroizing::new(opened))
}

/// What is wrapped, while it is an object of the session: gone with it.
fn carried() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn value(session: &Session, object: ObjectHandle) -> Result<Vec<u8>, Fault> {
    let read = session.get_attributes(object, &[AttributeType::Value]).map_err(of_module)?;
    match read.into_iter().next() {
        Some(Attribute::Value(bytes)) => Ok(bytes),
        _ => Err(Fault::Mechanism),
    }
}

/// The key that wraps; of a pair, its public half, where the private half is there and cannot leave.
fn encrypting(session: &Session, mechanism: Mechanism, label: &str) -> Result<ObjectHandle, Fault> {
    let kept = decrypting(session, mechanism, label)?;
    match mechanism {
        Mechanism::AesGcm | Mechanism::AesKeyWrapPad => Ok(kept),
        Mechanism::RsaOaep => only(session, ObjectClass::PUBLIC_KEY, label),
    }
}

/// The key that unwraps, which is the one that must not leave the token.
fn decrypting(session: &Session, mechanism: Mechanism, label: &str) -> Result<ObjectHandle, Fault> {
    let class = match mechanism {
        Mechanism::AesGcm | Mechanism::AesKeyWrapPad => ObjectClass::SECRET_KEY,
        Mechanism::RsaOaep => ObjectClass::PRIVATE_KEY,
    };
    let key = only(session, class, label)?;
    let wanted = [AttributeType::Sensitive, AttributeType::Extractable];
    let read = session.get_attributes(key, &wanted).map_err(of_module)?;
    // SECURITY: what the token does not say counts as the worse.
    let stays = read.contains(&Attribute::Sensitive(true)) && read.contains(&Attribute::Extractable(false));
    if stays { Ok(key) } else { Err(Fault::Extractable) }
}

fn only(session: &Session, class: ObjectClass, label: &str) -> Result<ObjectHandle, Fault> {
    let wanted = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
    match session.find_objects(&wanted).map_err(of_module)?.as_slice() {
        [key] => Ok(*key),
        [] => Err(Fault::NoKey),
        _ => Err(Fault::TwoKeys),
    }
}

/// Makes the key, in the token, for this one use.
fn make(session: &Session, mechanism: Mechanism, label: &str) -> Result<(), Fault> {
    let uses = match mechanism {
        Mechanism::AesKeyWrapPad => [Attribute::Wrap(true), Attribute::Unwrap(true)],
        Mechanism::AesGcm | Mechanism::RsaOaep => [Attribute::Encrypt(true), Attribute::Decrypt(true)],
    };
    let [encrypts, decrypts] = uses;
    let label = Attribute::Label(label.as_bytes().to_vec());
    let kept = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        label.clone(),
        decrypts,
    ];
    match mechanism {
        Mechanism::AesGcm | Mechanism::AesKeyWrapPad => {
            let more = [encrypts, Attribute::ValueLen(AES_BYTES.into())];
            session.generate_key(&Doing::AesKeyGen, &[&kept[..], &more].concat()).map(drop)
        }
        Mechanism::RsaOaep => {
            let public = [
                Attribute::Token(true),
                label,
                encrypts,
                Attribute::ModulusBits(RSA_BITS.into()),
                Attribute::PublicExponent(RSA_EXPONENT.to_vec()),
            ];
            session.generate_key_pair(&Doing::RsaPkcsKeyPairGen, &public, &kept).map(drop)
        }
    }
    .map_err(of_module)
}

/// OAEP with SHA-1, which every token has; OAEP does not rest on collisions being hard to find (RFC 8017, section 7.1).
fn oaep() -> Doing<'static> {
    let source = PkcsOaepSource::empty();
    Doing::RsaPkcsOaep(PkcsOaepParams::new(MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, source))
}

/// What an error of the module means.
fn of_module(error: Error) -> Fault {
    let Error::Pkcs11(error, _) = error else { return Fault::Failed };
    match error {
        RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::DeviceRemoved
        | RvError::SlotIdInvalid => Fault::Away,
        RvError::PinLocked => Fault::PinLocked,
        RvError::MechanismInvalid
        | RvError::MechanismParamInvalid
        | RvError::KeyTypeInconsistent
        | RvError::KeyFunctionNotPermitted
        | RvError::KeySizeRange
        | RvError::AttributeTypeInvalid
        | RvError::AttributeValueInvalid
        | RvError::TemplateInconsistent
        | RvError::TokenWriteProtected => Fault::Mechanism,
        _ => Fault::Failed,
    }
}

/// The same, where something was to be opened: tokens say in many ways that it does not.
fn of_opening(error: Error) -> Fault {
    match of_module(error) {
        Fault::Failed => Fault::Foreign,
        fault => fault,
    }
}
