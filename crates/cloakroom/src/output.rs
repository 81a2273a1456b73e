//! Words on the terminal: data on stdout, talk on stderr, colour only where a person looks.

use crate::failure::Failure;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use std::io::{IsTerminal, Write, stderr, stdout};

/// Where and how a command speaks.
pub(crate) struct Output {
    json: bool,
    colour: bool,
}

impl Output {
    /// For people, or with `--json` for programs.
    pub(crate) fn new(json: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Self { json, colour: is_drawn_on() && !set("NO_COLOR") }
    }

    /// Whether a person looks at stderr, on a terminal that lines can be written over on.
    pub(crate) fn is_watched(&self) -> bool {
        !self.json && is_drawn_on()
    }

    /// Whether a program reads.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Data: the JSON document for programs, the text for people.
    pub(crate) fn data<T: Serialize>(
        &self,
        document: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let line = if self.json {
            serde_json::to_string(document).map_err(|error| Failure::failed(error.to_string()))?
        } else {
            text()
        };
        self.print(&line)
    }

    /// A line on stdout.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        self.print_exactly(
            if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
                .as_bytes(),
        )
    }

    /// These very bytes on stdout.
    pub(crate) fn print_exactly(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// Talk: a line on stderr, for people only.
    pub(crate) fn talk(&self, text: &str) {
        if !self.json {
            let _ = writeln!(stderr(), "{text}");
        }
    }

    /// `hint: …` on stderr, for people only.
    pub(crate) fn hint(&self, text: &str) {
        self.talk(&format!("{} {text}", self.paint("hint:", AnsiColor::Cyan)));
    }

    /// `warning: …` on stderr, for people only.
    pub(crate) fn warning(&self, text: &str) {
        self.talk(&format!("{} {text}", self.paint("warning:", AnsiColor::Yellow)));
    }

    /// `error:` then `hint:`; with `--json` one document on stderr.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let _ = writeln!(stderr(), "{}", failure.document());
            return;
        }
        let mut lines = vec![format!("{} {failure}", self.paint("error:", AnsiColor::Red))];
        if failure.complaints().len() == 1 {
            lines.extend(snippet(&failure.complaints()[0]));
        } else {
            for one in failure.complaints() {
                lines.push(format!("  {}:{}:{}: {}", one.file, one.line, one.column, one.message));
                lines.extend(snippet(one));
                lines.extend(
                    one.hint.iter().map(|hint| format!("  {} {hint}", self.paint("hint:", AnsiColor::Cyan))),
                );
            }
        }
        lines.extend(failure.hint().map(|hint| format!("{} {hint}", self.paint("hint:", AnsiColor::Cyan))));
        let _ = writeln!(stderr(), "{}", lines.join("\n"));
    }

    /// Bold and coloured on a terminal, plain elsewhere.
    pub(crate) fn paint(&self, text: &str, colour: AnsiColor) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let style = Style::new().bold().fg_color(Some(colour.into()));
        format!("{style}{text}{style:#}")
    }
}

fn is_drawn_on() -> bool {
    stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The line in question with a caret below the column, where the file can be read.
fn snippet(complaint: &cloakroom_admin::wire::Complaint) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(&complaint.file) else { return Vec::new() };
    let Some(line) = complaint.line.checked_sub(1).and_then(|index| text.lines().nth(index)) else {
        return Vec::new();
    };
    let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let number = complaint.line.to_string();
    let margin = " ".repeat(number.len());
    let indent = " ".repeat(complaint.column.saturating_sub(1));
    vec![format!("  {number} | {shown}"), format!("  {margin} | {indent}^")]
}

/// Rows in aligned columns, under headings.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines.join("\n")
}

/// Pairs of name and value, one a line, aligned; a value of several lines is indented below its name.
pub(crate) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = pairs.iter().map(|(name, value)| {
        if value.trim_end().contains('\n') {
            let indented: Vec<String> =
                value.lines().map(|line| format!("  {line}").trim_end().to_owned()).collect();
            return format!("{name}\n{}", indented.join("\n"));
        }
        format!("{name:<width$}  {value}").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_blanks() {
        let rows = vec![vec!["stripe-live".into(), "bearer".into()], vec!["gh".into(), String::new()]];
        assert_eq!(table(&["NAME", "KIND"], &rows), "NAME         KIND\nstripe-live  bearer\ngh");
    }
}
