//! The median of some runs, and how far they lie apart.

/// One figure over all runs.
#[derive(Clone, Default)]
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    /// Adds a run's.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one; of an even number the lower middle.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    }

    /// Median and range, with so many decimals.
    pub(crate) fn show(&self, decimals: usize) -> String {
        match self.0.as_slice() {
            [] => "–".into(),
            [only] => format!("{only:.decimals$}"),
            [low, .., high] => format!("{:.decimals$} [{low:.decimals$}–{high:.decimals$}]", self.median()),
        }
    }
}
