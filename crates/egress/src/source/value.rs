//! Text from a source that is to be placed into a call.

use crate::custody::SHORTEST;
use crate::mint::Failure;
use crate::secret::Secret;
use serde_json::Value;
use zeroize::Zeroizing;

/// The greatest length of a secret, in bytes.
const LONGEST: usize = 16 * 1024;

/// A secret that custody would take, too.
///
/// # Errors
/// [`Failure::Unavailable`]: it may be put right where it lives.
pub(super) fn secret(text: &str) -> Result<Secret, Failure> {
    let fits = (SHORTEST..=LONGEST).contains(&text.len());
    // SECURITY: a CR or LF would end the header field that the secret is put into (T45).
    let plain = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control());
    if !fits || !plain {
        return Err(Failure::Unavailable(
            "what the source holds cannot be put into a call: 8 bytes to 16 KiB of plain ASCII",
            None,
        ));
    }
    Ok(Secret::new(Zeroizing::new(text.as_bytes().to_vec())))
}

/// A user name as Basic credentials can carry it: a colon would end it (RFC 7617, section 2).
///
/// # Errors
/// [`Failure::Unavailable`].
pub(super) fn user(text: &str) -> Result<Secret, Failure> {
    let plain = text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control() && byte != b':');
    if text.is_empty() || text.len() > 255 || !plain {
        return Err(Failure::Unavailable("the source's user name cannot be put into a call", None));
    }
    Ok(Secret::new(Zeroizing::new(text.as_bytes().to_vec())))
}

/// A field that is a text.
///
/// # Errors
/// [`Failure::Unavailable`] where there is none of this name.
pub(super) fn field<'v>(of: &'v Value, name: &str) -> Result<&'v str, Failure> {
    let none = Failure::Unavailable("the source has no text in the field that is asked for", None);
    of.get(name).and_then(Value::as_str).ok_or(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t45_only_what_a_header_can_carry_is_taken_from_a_source() {
        assert!(secret("abcdefgh").is_ok() && user("v-role-1").is_ok());
        for bad in ["short", "abcdefgh\r\nx: y", "abcdefgh\0", "abcdefgh\u{e9}", &"a".repeat(LONGEST + 1)] {
            assert!(secret(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a:b", "a\nb", "\u{e9}", &"a".repeat(256)] {
            assert!(user(bad).is_err(), "{bad:?}");
        }
    }
}
