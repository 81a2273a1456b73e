//! A secret as a string in a JSON text: a body, or a message. The bytes around it stay as they were sent.

use super::edit::{Edit, Splice, splice};
use super::{Placing, misplaced, unwritable};
use crate::secret::Secret;
use cloakroom_model::{Call, Refusal};
use std::ops::Range;
use zeroize::Zeroizing;

/// The string literal in `span` of the body, quotes included.
pub(super) fn edit(placing: &Placing, call: &Call, span: Range<usize>) -> Result<Edit, Refusal> {
    written(&call.body.head, span, &placing.text, placing.secret_text()?).map(Edit::Body)
}

/// A message with the secret in place of the string literal in `span`, quotes included.
///
/// # Errors
/// `place-not-permitted` where the secret cannot be written there.
pub(crate) fn write_message(
    message: &[u8],
    span: Range<usize>,
    placeholder: &str,
    secret: &Secret,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let secret = std::str::from_utf8(secret.expose()).map_err(|_| unwritable())?;
    splice(message, vec![written(message, span, placeholder, secret)?])
}

fn written(text: &[u8], span: Range<usize>, placeholder: &str, secret: &str) -> Result<Splice, Refusal> {
    let literal = text.get(span.clone()).ok_or_else(misplaced)?;
    let sent: String = serde_json::from_slice(literal).map_err(|_| misplaced())?;
    if sent != placeholder {
        return Err(misplaced());
    }
    // Room for the worst escape of every byte, so that growing leaves no copy behind.
    let mut with = Zeroizing::new(Vec::with_capacity(2 + 6 * secret.len()));
    serde_json::to_writer(&mut *with, secret).map_err(|_| unwritable())?;
    Ok(Splice { range: span, with })
}
