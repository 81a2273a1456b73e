//! Bounds on everything that a stranger can send. Each has a default that a real client never meets.

mod units;

use crate::entry::GRACE;
use crate::wire::{HeadBounds, Pace, Patience};
use cloakroom_egress::websocket::ChannelLimits;
use serde::Deserialize;
use std::time::Duration;

/// The limits of the workload side. Durations are written `"10s"`, `"250ms"`, `"2m"`; sizes `4096` or `"64KiB"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Bytes of a request head. Default 16 KiB.
    #[serde(deserialize_with = "units::size")]
    pub head_bytes: usize,
    /// Header fields of a request. Default 100.
    pub header_fields: usize,
    /// Bytes of a request target. Default 8 KiB.
    #[serde(deserialize_with = "units::size")]
    pub target_bytes: usize,
    /// Connections at once. Default 10,000; what comes beyond is refused before it is read, as `rate-limited`.
    pub connections: usize,
    /// Connections at once that one workload has used. Default 512.
    pub connections_per_workload: usize,
    /// Calls under way at once. Default 4,096; what comes beyond is refused before its body is read.
    pub calls: usize,
    /// Calls under way at once that one workload has. Default 2,048; fewer when all are nearly used up.
    pub calls_per_workload: usize,
    /// Streams at once on one HTTP/2 connection. Default 256; what comes beyond is refused.
    pub streams: usize,
    /// TLS handshakes with workloads at once. Default 256; what comes beyond waits.
    pub handshakes: usize,
    /// How long a TLS handshake may take, its wait included. Default 10 s.
    #[serde(deserialize_with = "units::duration")]
    pub handshake_time: Duration,
    /// How long a request head may take from its first byte, and a new connection until its first byte. Default 10 s.
    #[serde(deserialize_with = "units::duration")]
    pub header_time: Duration,
    /// How long a connection may wait between two requests. Default 60 s.
    #[serde(deserialize_with = "units::duration")]
    pub keep_alive_idle: Duration,
    /// How long a request body may pause, and how long the reader of an answer may take nothing. Default 30 s.
    #[serde(deserialize_with = "units::duration")]
    pub body_idle: Duration,
    /// How long a request body may take as a whole. Default: no bound, for uploads.
    #[serde(deserialize_with = "units::some_duration")]
    pub body_total: Option<Duration>,
    /// How much of every body is read and searched for placeholders before anything is sent. Default 64 KiB.
    #[serde(deserialize_with = "units::size")]
    pub body_scan: usize,
    /// The most that is read of a body because a permit looks at it. Default 1 MiB.
    #[serde(deserialize_with = "units::size")]
    pub parsed_body: usize,
    /// The longest message of a WebSocket, either way. Default 4 MiB.
    #[serde(deserialize_with = "units::size")]
    pub websocket_message: usize,
    /// How long a WebSocket may be silent. Default 10 min.
    #[serde(deserialize_with = "units::duration")]
    pub websocket_idle: Duration,
    /// Wrong workload keys from one address before its answers are slowed down. Default 10.
    pub free_guesses: u32,
    /// How long calls may go on after the broker was told to stop. Default 20 s.
    #[serde(deserialize_with = "units::duration")]
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            header_fields: 100,
            target_bytes: 8 * 1024,
            connections: 10_000,
            connections_per_workload: 512,
            calls: 4096,
            calls_per_workload: 2048,
            streams: 256,
            handshakes: 256,
            handshake_time: Duration::from_secs(10),
            header_time: Duration::from_secs(10),
            keep_alive_idle: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            body_total: None,
            body_scan: 64 * 1024,
            parsed_body: 1024 * 1024,
            websocket_message: 4 * 1024 * 1024,
            websocket_idle: Duration::from_secs(600),
            free_guesses: 10,
            drain: Duration::from_secs(20),
        }
    }
}

impl Limits {
    pub(crate) fn head_bounds(&self) -> HeadBounds {
        HeadBounds { bytes: self.head_bytes, fields: self.header_fields, target: self.target_bytes }
    }

    /// For the first request of a connection.
    pub(crate) fn first_patience(&self) -> Patience {
        Patience { idle: self.header_time, head: self.header_time, grace: GRACE }
    }

    /// For every further request.
    pub(crate) fn patience(&self) -> Patience {
        Patience { idle: self.keep_alive_idle, head: self.header_time, grace: Duration::ZERO }
    }

    pub(crate) fn channel(&self) -> ChannelLimits {
        ChannelLimits { message: self.websocket_message as u64, idle: self.websocket_idle }
    }

    pub(crate) fn pace(&self) -> Pace {
        Pace { idle: self.body_idle, total: self.body_total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Limits, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_written_has_its_default() {
        assert_eq!(read("{}"), Ok(Limits::default()));
        let limits =
            read(r#"{"head-bytes": "32KiB", "header-time": "250ms", "body-total": "2m", "connections": 5}"#);
        let expected = Limits {
            head_bytes: 32 * 1024,
            header_time: Duration::from_millis(250),
            body_total: Some(Duration::from_secs(120)),
            connections: 5,
            ..Limits::default()
        };
        assert_eq!(limits, Ok(expected));
    }

    #[test]
    fn a_limit_one_step_wrong_is_refused() {
        for json in [
            r#"{"head_bytes": 1}"#,
            r#"{"unknown": 1}"#,
            r#"{"header-time": 10}"#,
            r#"{"header-time": "10"}"#,
            r#"{"header-time": "0s"}"#,
            r#"{"header-time": "-1s"}"#,
            r#"{"header-time": "1 s"}"#,
            r#"{"head-bytes": "1MB"}"#,
            r#"{"head-bytes": "-1KiB"}"#,
            r#"{"connections": -1}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
