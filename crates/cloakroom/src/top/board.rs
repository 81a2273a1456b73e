//! What is shown: filled from the journal's records and the broker's answers, steered by keys. Knows neither files nor terminals.

use super::line::{Line, Order, plain};
use cloakroom_model::{RequestId, Timestamp, WorkloadId};
use cloakroom_store::journal::{Entry, Record};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::{BTreeMap, VecDeque};

/// So many refusals are kept, the latest.
const MOST_REFUSALS: usize = 500;
/// So many calls under way are kept: what never ended on record is forgotten at some time.
const MOST_CALLS: usize = 10_000;

/// Which table the keys are about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Table {
    #[default]
    Calls,
    Refusals,
    Waiting,
}

impl Table {
    pub(super) const ALL: [Self; 3] = [Self::Calls, Self::Refusals, Self::Waiting];

    const fn next(self) -> Self {
        match self {
            Self::Calls => Self::Refusals,
            Self::Refusals => Self::Waiting,
            Self::Waiting => Self::Calls,
        }
    }
}

/// What a key was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    GoOn,
}

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct Board {
    calls: BTreeMap<RequestId, Line>,
    refusals: VecDeque<Line>,
    pub(super) waiting: Vec<Line>,
    /// Names of workloads by id.
    pub(super) names: BTreeMap<String, String>,
    /// What the broker says of itself, or that it says nothing.
    pub(super) state: String,
    /// Calls and refusals on record since this began to look.
    pub(super) seen: (u64, u64),
    pub(super) table: Table,
    pub(super) order: Order,
    pub(super) filter: String,
    /// Whether keys are letters of the filter.
    pub(super) typing: bool,
    /// How many lines of the table are above what is seen.
    pub(super) above: usize,
}

impl Board {
    /// Something is on record.
    pub(super) fn take(&mut self, record: &Record) {
        match &record.entry {
            // What was under way then is over.
            Entry::Start { .. } => self.calls.clear(),
            Entry::Intent(intent) => {
                self.seen.0 += 1;
                let line = Line {
                    at: intent.at,
                    workload: self.name(intent.workload),
                    what: plain(&format!("{} {}", intent.method, intent.path)),
                    about: intent.destination.to_string(),
                    id: intent.request.to_string(),
                };
                if self.calls.len() >= MOST_CALLS {
                    self.calls.pop_first();
                }
                self.calls.insert(intent.request, line);
            }
            Entry::Outcome { request, .. } => drop(self.calls.remove(request)),
            Entry::Failure { request, at, code } => {
                let call = self.calls.remove(request);
                let (workload, about) = call.map(|call| (call.workload, call.about)).unwrap_or_default();
                self.refuse(Line {
                    at: *at,
                    workload,
                    what: code.to_string(),
                    about,
                    id: request.to_string(),
                });
            }
            Entry::Refusal { request, at, code, workload, destination, .. } => {
                let workload = workload.map(|id| self.name(id)).unwrap_or_default();
                let about = destination.as_ref().map(ToString::to_string).unwrap_or_default();
                self.refuse(Line {
                    at: *at,
                    workload,
                    what: code.to_string(),
                    about,
                    id: request.to_string(),
                });
            }
            _ => {}
        }
    }

    fn refuse(&mut self, line: Line) {
        self.seen.1 += 1;
        if self.refusals.len() >= MOST_REFUSALS {
            self.refusals.pop_front();
        }
        self.refusals.push_back(line);
    }

    fn name(&self, id: WorkloadId) -> String {
        let id = id.to_string();
        self.names.get(&id).cloned().unwrap_or(id)
    }

    /// How many lines a table has, whatever is filtered.
    pub(super) fn count(&self, table: Table) -> usize {
        match table {
            Table::Calls => self.calls.len(),
            Table::Refusals => self.refusals.len(),
            Table::Waiting => self.waiting.len(),
        }
    }

    /// The lines of the table that is looked at, in order, without those that are filtered out.
    pub(super) fn lines(&self) -> Vec<&Line> {
        let all: Box<dyn Iterator<Item = &Line>> = match self.table {
            Table::Calls => Box::new(self.calls.values()),
            Table::Refusals => Box::new(self.refusals.iter()),
            Table::Waiting => Box::new(self.waiting.iter()),
        };
        let mut lines: Vec<&Line> = all.filter(|line| line.has(&self.filter)).collect();
        self.order.sort(&mut lines);
        lines
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Wish::Quit;
        }
        if self.typing {
            self.write(key.code);
            return Wish::GoOn;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Tab => (self.table, self.above) = (self.table.next(), 0),
            KeyCode::Char(number @ '1'..='3') => {
                self.table = Table::ALL[number as usize - '1' as usize];
                self.above = 0;
            }
            KeyCode::Char('s') => (self.order, self.above) = (self.order.next(), 0),
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Down | KeyCode::Char('j') => {
                self.above = (self.above + 1).min(self.lines().len().saturating_sub(1));
            }
            KeyCode::Up | KeyCode::Char('k') => self.above = self.above.saturating_sub(1),
            _ => {}
        }
        Wish::GoOn
    }

    fn write(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => (self.typing, self.filter) = (false, String::new()),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter @ ' '..='~') if self.filter.len() < 60 => self.filter.push(letter),
            _ => {}
        }
        self.above = 0;
    }
}

/// How long ago that was, in few letters.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis().saturating_sub(at.millis()) / 1000;
    match seconds {
        0..=99 => format!("{seconds}s"),
        100..=5999 => format!("{}m", seconds / 60),
        6000..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
