//! What is wrong with a policy file, where, and what to write instead.

use std::fmt;
use std::ops::Range;

/// What is wrong with a policy file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file, as the caller named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The path of the key, such as `permit[1].body.max_bytes`; permits count from 1.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for Complaint {}

/// Collects complaints about one file.
pub(super) struct Complaints<'a> {
    file: &'a str,
    text: &'a str,
    list: Vec<Complaint>,
}

impl<'a> Complaints<'a> {
    /// Whoever wrote this many mistakes wants to see the first ones.
    const MOST: usize = 50;

    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, list: Vec::new() }
    }

    pub(super) fn add(&mut self, span: Range<usize>, key: &str, message: impl Into<String>, hint: &str) {
        if self.list.len() >= Self::MOST {
            return;
        }
        let (line, column) = self.position(span.start);
        let words = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let file = self.file.to_owned();
        self.list.push(Complaint {
            file,
            line,
            column,
            key: words(key),
            message: message.into(),
            hint: words(hint),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order of the file.
    pub(super) fn into_list(mut self) -> Vec<Complaint> {
        self.list.sort_by_key(|complaint| (complaint.line, complaint.column));
        self.list
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}
