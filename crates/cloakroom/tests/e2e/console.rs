//! The console, in real Chromium against the real broker.

pub(crate) mod browser;
mod flow;
mod gallery;
mod hostile;
mod sample;
mod snippets;
mod telling;

pub(crate) use browser::{enrolled, origin};
