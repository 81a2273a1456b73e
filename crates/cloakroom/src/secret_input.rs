//! Takes a secret from a person or a pipe: stdin, a prompt without echo, or a file; never an argument.

use crate::failure::Failure;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal, Read, Stdin, Write, stderr, stdin};
use std::path::Path;
use zeroize::Zeroizing;

/// Longer input is no secret but a mistake; reading stops here.
const LONGEST: usize = 64 * 1024;

/// What is asked for when the key-encryption key comes from a passphrase.
pub(crate) const PASSPHRASE: &str = "passphrase";

/// Reads a secret: from `file`, else from a prompt where stdin is a terminal, else from stdin. One line break at its end
/// is dropped.
pub(crate) fn read(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let secret = match file {
        Some(path) => {
            let file = std::fs::File::open(path).map_err(|error| Failure::file("read", path, &error))?;
            all_of(file).map_err(|error| Failure::file("read", path, &error))?
        }
        None if stdin().is_terminal() => ask(prompt)?,
        None => all_of(stdin().lock())?,
    };
    if secret.is_empty() {
        return Err(empty(prompt));
    }
    Ok(secret)
}

/// Reads a secret that cannot be looked up later: on a terminal it is typed twice.
pub(crate) fn read_new(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let secret = read(file, prompt)?;
    if file.is_none() && stdin().is_terminal() {
        let again = ask(&format!("{prompt} again"))?;
        aws_lc_rs::constant_time::verify_slices_are_equal(&secret, &again)
            .map_err(|_| Failure::bad_input("the two are not the same").hinting("start again"))?;
    }
    Ok(secret)
}

fn empty(prompt: &str) -> Failure {
    if prompt == PASSPHRASE {
        return Failure::bad_input("the passphrase is empty")
            .hinting("start on a terminal, or name a file: --passphrase-file FILE");
    }
    Failure::bad_input("the secret is empty")
        .hinting("pipe it in: printf %s \"$SECRET\" | cloakroom …; or use --secret-file FILE")
}

/// INVARIANT: the buffer never grows, so no copy of the secret is left behind in memory that was given back.
fn all_of(from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    from.take(LONGEST as u64).read_to_end(&mut bytes)?;
    strip_line_break(&mut bytes);
    Ok(bytes)
}

fn strip_line_break(bytes: &mut Vec<u8>) {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
}

/// Asks on stderr and reads one line without echo.
fn ask(prompt: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut err = stderr();
    write!(err, "{prompt}: ").and_then(|()| err.flush())?;
    let quiet = Quiet::begin()?;
    let line = one_line(stdin().lock());
    drop(quiet);
    writeln!(err)?;
    Ok(line?)
}

fn one_line(mut from: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST + 1));
    let mut byte = [0u8; 1];
    while bytes.len() < LONGEST && from.read(&mut byte)? == 1 && byte[0] != b'\n' {
        bytes.push(byte[0]);
    }
    strip_line_break(&mut bytes);
    Ok(bytes)
}

/// The terminal without echo; restored on drop.
struct Quiet {
    stdin: Stdin,
    before: Termios,
}

impl Quiet {
    fn begin() -> Result<Self, Failure> {
        let stdin = stdin();
        let before = tcgetattr(&stdin).map_err(std::io::Error::from)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &quiet).map_err(std::io::Error::from)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.stdin, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_dropped_and_no_more() {
        for (input, kept) in [
            ("abc", "abc"),
            ("abc\n", "abc"),
            ("abc\r\n", "abc"),
            ("abc\n\n", "abc\n"),
            ("a\nb", "a\nb"),
            (" abc ", " abc "),
        ] {
            assert_eq!(all_of(input.as_bytes()).unwrap().as_slice(), kept.as_bytes());
        }
    }
}
