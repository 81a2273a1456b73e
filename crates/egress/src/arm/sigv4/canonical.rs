//! The canonical form of a request, and the one spelling of path and query in which it goes out.

use aws_lc_rs::digest::{SHA256, digest};
use cloakroom_model::{Call, Query, hexadecimal};
use cloakroom_policy::sigv4;
use std::collections::BTreeMap;
use std::fmt::Write;
use zeroize::Zeroizing;

/// Path and query in AWS's spelling: everything but unreserved characters is encoded. It goes out like this, so that what is signed is
/// what is read.
pub(super) struct Spelled {
    path: String,
    /// Encoded keys and values.
    query: Vec<(String, String)>,
}

impl Spelled {
    /// Of the call, without what a presigned query says of its signature.
    pub(super) fn of(call: &Call) -> Self {
        let segments = call.path.segments().iter().map(|segment| Query::encode_value(segment.decoded()));
        let path = format!("/{}", segments.collect::<Vec<_>>().join("/"));
        let pairs = call.query.pairs().iter().filter(|pair| !sigv4::PRESIGNED.contains(&pair.key()));
        let query = pairs.map(|pair| (Query::encode_value(pair.key()), Query::encode_value(pair.value())));
        Self { path, query: query.collect() }
    }

    pub(super) fn add(&mut self, key: &str, value: &str) {
        self.query.push((Query::encode_value(key), Query::encode_value(value)));
    }

    /// The canonical request. Amazon S3 encodes a path once, every other service twice.
    pub(super) fn request(
        &self,
        method: &str,
        service: &str,
        headers: &BTreeMap<String, String>,
        names: &str,
        content: &str,
    ) -> String {
        let path = if sigv4::streams(service) {
            self.path.clone()
        } else {
            self.path.split('/').map(Query::encode_value).collect::<Vec<_>>().join("/")
        };
        let mut query = self.query.clone();
        query.sort();
        let query = query.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&");
        let headers = headers.iter().fold(String::new(), |mut text, (name, value)| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{name}:{value}");
            text
        });
        format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{content}")
    }

    /// The target as it goes out.
    pub(super) fn target(&self) -> Zeroizing<Vec<u8>> {
        let query =
            self.query.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        Zeroizing::new([self.path.as_str(), mark, &query].concat().into_bytes())
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hashed(bytes: &[u8]) -> String {
    hexadecimal(digest(&SHA256, bytes).as_ref())
}
