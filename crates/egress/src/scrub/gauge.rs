//! What `examples/scrub.rs` measures: the search alone, and a reply's head with its body.

use super::needles::Needles;
use super::{Finder, Fit, Target, scrub_fields};
use bytes::Bytes;
use http::HeaderMap;
use std::sync::Arc;

/// A search for some secrets.
pub struct Gauge {
    finder: Arc<Finder>,
}

impl Gauge {
    /// A search for all of these.
    pub fn new<'a>(secrets: impl Iterator<Item = &'a str>) -> Self {
        let target = |secret: &str| Target {
            needles: Arc::new(Needles::new(secret.as_bytes(), None)),
            placeholder: "placeholder".into(),
        };
        Self { finder: Arc::new(Finder::alone(secrets.map(target).collect())) }
    }

    /// How many secrets stand in `text`.
    pub fn count(&self, text: &Bytes) -> u64 {
        let mut scrubber = super::Scrubber::new(Arc::clone(&self.finder), Fit::Free);
        scrubber.push(text.clone());
        scrubber.finish();
        scrubber.replaced()
    }

    /// How many fields of a head hold one.
    pub fn count_fields(&self, fields: &HeaderMap) -> u64 {
        scrub_fields(fields.clone(), &self.finder).1
    }
}
