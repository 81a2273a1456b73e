//! What an outside witness kept: checkpoints, one behind the other, in a file that the broker cannot rewrite.

use super::note::{Checkpoint, PublicKey};

/// The checkpoints of this journal in a witness's text, and how many more begin there that do not verify. The text may hold anything
/// between them: a mailbox, a log, the requests that a C2SP witness was sent.
pub fn checkpoints_in(text: &str, key: &PublicKey) -> (Vec<Checkpoint>, usize) {
    let (mut found, mut unreadable) = (Vec::new(), 0);
    let mut rest = text;
    while let Some(start) = beginning(rest, key.name()) {
        rest = &rest[start..];
        let note = note_at(rest);
        match note.and_then(|note| key.checkpoint(note).ok()) {
            Some(checkpoint) => found.push(checkpoint),
            None => unreadable += 1,
        }
        // Behind the origin, so that one cut short hides none of those behind it.
        rest = &rest[key.name().len()..];
    }
    (found, unreadable)
}

/// Where a line stands that is the origin and nothing else.
fn beginning(text: &str, origin: &str) -> Option<usize> {
    let is_line = |&(at, _): &(usize, &str)| {
        let (before, after) = (&text[..at], &text[at + origin.len()..]);
        (before.is_empty() || before.ends_with('\n')) && after.starts_with('\n')
    };
    text.match_indices(origin).find(is_line).map(|(at, _)| at)
}

/// The note that begins here: text, a blank line, and the lines of signatures that follow it.
fn note_at(text: &str) -> Option<&str> {
    let signatures = text.find("\n\n")? + 2;
    let lines = text[signatures..].split_inclusive('\n').take_while(|line| line.starts_with("\u{2014} "));
    let end = signatures + lines.map(str::len).sum::<usize>();
    Some(&text[..end])
}
