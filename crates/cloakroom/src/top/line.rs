//! One line of a table, whichever table it is in.

use cloakroom_model::Timestamp;

/// What a table shows of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When it began, happened, or was asked for.
    pub(super) at: Timestamp,
    /// Whose it is.
    pub(super) workload: String,
    /// The call, the code, or what is asked for.
    pub(super) what: String,
    /// Where it goes, or the credential.
    pub(super) about: String,
    /// By which it is looked up.
    pub(super) id: String,
}

/// In which order lines stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// The newest first.
    #[default]
    Newest,
    /// The oldest first.
    Oldest,
    /// By workload, each the newest first.
    Workload,
    /// By what it is, each the newest first.
    What,
}

impl Order {
    /// The one after this.
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Newest => Self::Oldest,
            Self::Oldest => Self::Workload,
            Self::Workload => Self::What,
            Self::What => Self::Newest,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::Workload => "workload",
            Self::What => "what",
        }
    }

    pub(super) fn sort(self, lines: &mut [&Line]) {
        lines.sort_by(|a, b| {
            let newest = b.at.cmp(&a.at).then_with(|| b.id.cmp(&a.id));
            match self {
                Self::Newest => newest,
                Self::Oldest => newest.reverse(),
                Self::Workload => a.workload.cmp(&b.workload).then(newest),
                Self::What => a.what.cmp(&b.what).then(newest),
            }
        });
    }
}

impl Line {
    /// Whether any of its texts has this in it, whatever the case.
    pub(super) fn has(&self, wanted: &str) -> bool {
        let wanted = wanted.to_lowercase();
        [&self.workload, &self.what, &self.about, &self.id]
            .iter()
            .any(|text| text.to_lowercase().contains(&wanted))
    }
}

/// SECURITY: paths and reasons are workloads' words; on the terminal they are printable ASCII and nothing else (T89).
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t89_nothing_but_printable_ascii_reaches_the_terminal() {
        assert_eq!(plain("a\u{1b}[2J\n\u{202e}b\u{7f}"), "a?[2J??b?");
    }
}
