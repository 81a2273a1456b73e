//! The tables, as Markdown.

use crate::budget;
use crate::load::Load;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What is asked for.
pub(crate) struct Plan {
    /// Paired runs.
    pub(crate) runs: usize,
    /// How long each loop lasts.
    pub(crate) time: Duration,
    /// Idle connections for the memory of each.
    pub(crate) idle: usize,
    /// Sections; empty for all.
    pub(crate) only: Vec<String>,
    /// Where everything is written.
    pub(crate) directory: PathBuf,
}

impl Plan {
    /// Whether this section is wanted.
    pub(crate) fn wants(&self, section: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == section)
    }
}

/// What is found, as it is found.
pub(crate) struct Report {
    text: String,
    remarks: Vec<String>,
    held: BTreeMap<&'static str, f64>,
    directory: PathBuf,
}

impl Report {
    /// Says how it was measured.
    pub(crate) fn new(plan: &Plan) -> Self {
        let text = format!(
            "# Bench report\n\n\
             Upstream: nginx, one process, TLS, kept connections. The proxy under test has one core, client and upstream another \
             (latency: one core for all). {} paired runs of {} s. Quote ratios from one report; nothing here is asserted.\n",
            plan.runs,
            plan.time.as_secs_f64()
        );
        Self { text, remarks: Vec::new(), held: BTreeMap::new(), directory: plan.directory.clone() }
    }

    /// Begins a table.
    pub(crate) fn section(&mut self, title: &str, how: &str, head: &str) {
        println!("    {title}");
        let rule = "|---".repeat(head.matches('|').count() - 1);
        self.text.push_str(&format!("\n## {title}\n\n{how}\n\n{head}\n{rule}|\n"));
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: &str) {
        println!("    {row}");
        self.text.push_str(row);
        self.text.push('\n');
    }

    /// Puts a figure beside its budget.
    pub(crate) fn hold(&mut self, budget: &'static str, figure: f64) {
        if figure.is_finite() {
            self.held.insert(budget, figure);
        }
    }

    /// Remarks that something was not measured.
    pub(crate) fn absent(&mut self, what: &str) {
        self.remarks.push(what.to_owned());
    }

    /// Remarks calls that failed: the figures of that run mean little.
    pub(crate) fn check(&mut self, name: &str, load: &Load) {
        if load.errors > 0 {
            let first = load.failure.clone().unwrap_or_default();
            self.remarks.push(format!(
                "{name}: {} of {} calls failed, first: {first}",
                load.errors,
                load.calls()
            ));
        }
    }

    /// The whole text.
    pub(crate) fn finish(mut self) -> String {
        self.remarks.sort();
        self.remarks.dedup();
        if !self.remarks.is_empty() {
            self.text.push_str("\n## Remarks\n\n");
            self.remarks.iter().for_each(|remark| self.text.push_str(&format!("- {}\n", remark.trim())));
        }
        self.text.push_str(&budget::settle(&self.directory, &self.held));
        self.text
    }
}
