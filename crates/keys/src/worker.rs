//! The worker: loads the module, answers one question, ends.
//!
//! ```text
//! stdin    length of what a person typed 2, big-endian | that | question …
//! stdout   answer …
//! ```

use crate::settings::TokenSettings;
use crate::{pin, token};
use cloakroom_model::pkcs11::{Answer, Fault, LONGEST, Question};
use std::io::{Read, Write};
use std::time::Duration;
use zeroize::Zeroizing;

/// A module that takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// What a worker ends with whose module did not answer.
pub(crate) const SILENT: i32 = 9;

/// Answers the question on `input` and says so on `output`.
///
/// # Errors
/// Where the two cannot be read or written, or what is read makes no sense.
pub fn work(settings: &str, input: impl Read, mut output: impl Write) -> std::io::Result<()> {
    let nonsense = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let settings: TokenSettings = serde_json::from_str(settings)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 + 255 + LONGEST));
    input.take((2 + 255 + LONGEST) as u64).read_to_end(&mut bytes)?;
    let (length, rest) = bytes.split_first_chunk::<2>().ok_or_else(nonsense)?;
    let typed = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)));
    let (typed, question) = typed.ok_or_else(nonsense)?;
    let question = Question::parse(question).ok_or_else(nonsense)?;
    end_after(PATIENCE);
    let outcome = answer(&settings, typed, &question);
    let outcome = outcome.as_ref().map(|bytes| bytes.as_slice()).map_err(|fault| *fault);
    let packet = Zeroizing::new(Answer { number: question.number, outcome }.write());
    output.write_all(&packet)?;
    output.flush()
}

fn answer(
    settings: &TokenSettings,
    typed: &[u8],
    question: &Question<'_>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    pin::require_unrefused(&settings.refused)?;
    match &settings.pin {
        Some(file) => token::answer(settings, &pin::read(file)?, question),
        None => token::answer(settings, typed, question),
    }
}

/// A call into a module cannot be broken off: the process ends instead.
fn end_after(patience: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(patience);
        std::process::exit(SILENT);
    });
}
