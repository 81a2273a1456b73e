//! How far long work has come: a line on stderr that is written over, for a person at a terminal and for nobody else.

use crate::output::Output;
use std::io::{Write, stderr};
use std::time::{Duration, Instant};

/// The line is drawn again no more often.
const OFTEN: Duration = Duration::from_millis(100);
/// Columns of the bar.
const BAR: usize = 24;
/// Where nobody says how wide the terminal is.
const COLUMNS: usize = 80;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Shown in KiB, MiB and so on.
    Bytes,
    /// Shown as they are, with this word behind.
    Things(&'static str),
}

/// One piece of long work. What it drew is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    unit: Unit,
    total: u64,
    done: u64,
    /// When it was drawn last; `None` where nobody looks.
    drawn: Option<Instant>,
}

impl Progress {
    /// Begins work of `total` units. Nothing is shown with `--json`, or where stderr is no terminal.
    pub(crate) fn begin(output: &Output, what: &'static str, unit: Unit, total: u64) -> Self {
        let mut progress = Self { what, unit, total, done: 0, drawn: None };
        if output.is_watched() {
            progress.draw();
        }
        progress
    }

    /// Work that shows nothing.
    pub(crate) fn quiet() -> Self {
        Self { what: "", unit: Unit::Bytes, total: 0, done: 0, drawn: None }
    }

    /// So many more are done.
    pub(crate) fn add(&mut self, more: u64) {
        self.reach(self.done + more);
    }

    /// So many are done.
    pub(crate) fn reach(&mut self, done: u64) {
        self.done = done;
        if self.drawn.is_some_and(|at| at.elapsed() >= OFTEN) {
            self.draw();
        }
    }

    fn draw(&mut self) {
        let columns = rustix::termios::tcgetwinsize(stderr()).map_or(0, |size| usize::from(size.ws_col));
        let columns = if columns == 0 { COLUMNS } else { columns };
        let line = line(self.what, self.unit, self.done, self.total, columns);
        // A terminal that went away hurts no work.
        let _ = write!(stderr(), "\r\u{1b}[K{line}").and_then(|()| stderr().flush());
        self.drawn = Some(Instant::now());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(stderr(), "\r\u{1b}[K").and_then(|()| stderr().flush());
        }
    }
}

/// `verifying the journal [######------]  50 %  1.0 MiB of 2.0 MiB`, and never wider than the terminal: a line that wraps
/// cannot be written over.
fn line(what: &str, unit: Unit, done: u64, total: u64, columns: usize) -> String {
    let done = done.min(total);
    let share = |of: u64| done.saturating_mul(of).checked_div(total).unwrap_or(of);
    let full = usize::try_from(share(BAR as u64)).unwrap_or(BAR).min(BAR);
    let bar = format!("[{}{}]", "#".repeat(full), "-".repeat(BAR - full));
    let counted = match unit {
        Unit::Bytes => format!("{} of {}", bytes(done), bytes(total)),
        Unit::Things(word) => format!("{done} of {total} {word}"),
    };
    let text = format!("{what} {bar} {:>3} %  {counted}", share(100));
    text.chars().take(columns.saturating_sub(1)).collect()
}

/// One decimal from KiB on, cut and not rounded.
fn bytes(count: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(size, _)| count >= *size) {
        None => format!("{count} B"),
        Some((size, unit)) => format!("{}.{} {unit}", count / size, (count % size) * 10 / size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is_and_fits_the_terminal() {
        let of = |done, columns| line("verifying", Unit::Bytes, done, 2 << 20, columns);
        assert_eq!(of(0, 80), "verifying [------------------------]   0 %  0 B of 2.0 MiB");
        assert_eq!(of(1 << 20, 80), "verifying [############------------]  50 %  1.0 MiB of 2.0 MiB");
        assert_eq!(of(3 << 20, 80), "verifying [########################] 100 %  2.0 MiB of 2.0 MiB");
        assert_eq!(of(1 << 20, 20).len(), 19);
        assert_eq!(line("", Unit::Bytes, 0, 0, 80), " [########################] 100 %  0 B of 0 B");
        let things = line("rewrapping", Unit::Things("credentials"), 3, 4, 80);
        assert_eq!(things, "rewrapping [##################------]  75 %  3 of 4 credentials");
    }

    #[test]
    fn bytes_are_cut_to_one_decimal() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
