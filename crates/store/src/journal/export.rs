//! The record for other programs: JSON lines, OpenTelemetry logs (OTLP/JSON, one batch a line), and CEF. All of it printable ASCII.

use super::frame::Frame;
use super::read::first_needed;
use super::segment::{self, Item};
use super::{JournalError, json};
use cloakroom_model::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;

/// So many records go into one batch of OpenTelemetry logs.
const BATCH: usize = 256;

/// One record on its way out.
struct Exported {
    sequence: u64,
    at: u64,
    hash: String,
    kind: String,
    /// All members, `kind` and `at` included, as they stand in the record.
    members: Map<String, Value>,
}

impl Exported {
    fn of(frame: &Frame<'_>) -> Result<Self, String> {
        let members: Map<String, Value> =
            serde_json::from_slice(frame.payload).map_err(|error| error.to_string())?;
        let at = members.get("at").and_then(Value::as_u64).unwrap_or_default();
        let kind = members.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self { sequence: frame.sequence, at, hash: frame.hash.to_string(), kind, members })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    fn grade(&self) -> Grade {
        match (self.kind.as_str(), self.text("severity")) {
            ("ignored", _) | (_, Some("critical")) => Grade::Error,
            ("refusal" | "failure", _) | (_, Some("warning")) => Grade::Warning,
            (_, Some(_)) => Grade::Notice,
            _ => Grade::Information,
        }
    }

    /// What is left to say, with what `kind` and `at` say left out.
    fn rest(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.members.iter().filter(|(name, _)| !matches!(name.as_str(), "kind" | "at"))
    }
}

/// How much a record should worry its reader.
#[derive(Clone, Copy)]
enum Grade {
    Information,
    Notice,
    Warning,
    Error,
}

/// What the records are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// A line of JSON each: `sequence`, `time` (RFC 3339), `hash` (its leaf in the tree), then the members of the record as they stand,
    /// `kind` first.
    Json,
    /// OpenTelemetry logs: lines of `LogsData` in the JSON encoding of OTLP, as its file exporter writes them and an OTLP/HTTP receiver
    /// takes them as the body of a request.
    Otel,
    /// Lines of the Common Event Format (CEF:0), without a syslog header.
    Cef,
}

/// Writes the records, checkpoints included, `since` a sequence number (0: all). `told` hears of each record's bytes once it is written
/// ([`size`](super::size) says how many there are).
///
/// # Errors
/// As [`read`](super::read), and when `out` fails. What was written until then is whole lines.
pub fn export(
    dir: &Path,
    format: ExportFormat,
    since: u64,
    mut out: impl Write,
    told: &mut dyn FnMut(u64),
) -> Result<(), JournalError> {
    let mut batch = Vec::new();
    each(dir, since, told, &mut |record| match format {
        ExportFormat::Json => line(&mut out, &Line::of(record)),
        ExportFormat::Cef => writeln!(out, "{}", cef(record)),
        ExportFormat::Otel => {
            batch.push(log_record(record));
            if batch.len() < BATCH { Ok(()) } else { line(&mut out, &logs_data(std::mem::take(&mut batch))) }
        }
    })?;
    if !batch.is_empty() {
        line(&mut out, &logs_data(batch)).map_err(|error| failed(&error))?;
    }
    out.flush().map_err(|error| failed(&error))
}

#[derive(Serialize)]
struct Line<'a> {
    sequence: u64,
    time: String,
    hash: &'a str,
    #[serde(flatten)]
    members: &'a Map<String, Value>,
}

impl<'a> Line<'a> {
    fn of(record: &'a Exported) -> Self {
        let time = Timestamp::from_millis(record.at).to_string();
        Self { sequence: record.sequence, time, hash: &record.hash, members: &record.members }
    }
}

fn logs_data(records: Vec<Value>) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    serde_json::json!({ "resourceLogs": [{
        "resource": { "attributes": [attribute("service.name", &"cloakroom".into())] },
        "scopeLogs": [{ "scope": { "name": "cloakroom.journal", "version": version }, "logRecords": records }],
    }] })
}

fn log_record(record: &Exported) -> Value {
    // Severity numbers of the logs data model: INFO, INFO2, WARN, ERROR.
    let (number, text) = match record.grade() {
        Grade::Information => (9, "INFO"),
        Grade::Notice => (10, "INFO2"),
        Grade::Warning => (13, "WARN"),
        Grade::Error => (17, "ERROR"),
    };
    let mut attributes = vec![
        attribute("cloakroom.sequence", &record.sequence.into()),
        attribute("cloakroom.hash", &record.hash.as_str().into()),
    ];
    let named = record.rest().filter(|(_, value)| !value.is_null());
    attributes.extend(named.map(|(name, value)| attribute(&format!("cloakroom.{name}"), value)));
    // 64-bit integers are strings in the JSON encoding of protocol buffers.
    let nanoseconds = (u128::from(record.at) * 1_000_000).to_string();
    serde_json::json!({
        "timeUnixNano": nanoseconds,
        "observedTimeUnixNano": nanoseconds,
        "severityNumber": number,
        "severityText": text,
        "eventName": format!("cloakroom.{}", record.kind),
        "body": any(&record.kind.as_str().into()),
        "attributes": attributes,
    })
}

fn attribute(key: &str, value: &Value) -> Value {
    serde_json::json!({ "key": key, "value": any(value) })
}

/// An `AnyValue`.
fn any(value: &Value) -> Value {
    match value {
        Value::Null => serde_json::json!({}),
        Value::Bool(value) => serde_json::json!({ "boolValue": value }),
        Value::Number(number) if number.is_i64() => serde_json::json!({ "intValue": number.to_string() }),
        // Beyond what an int64 holds: better as text than rounded.
        Value::Number(number) if number.is_u64() => serde_json::json!({ "stringValue": number.to_string() }),
        Value::Number(number) => serde_json::json!({ "doubleValue": number }),
        Value::String(text) => serde_json::json!({ "stringValue": text }),
        Value::Array(values) => {
            let values: Vec<Value> = values.iter().map(any).collect();
            serde_json::json!({ "arrayValue": { "values": values } })
        }
        Value::Object(members) => {
            let values: Vec<Value> = members.iter().map(|(key, value)| attribute(key, value)).collect();
            serde_json::json!({ "kvlistValue": { "values": values } })
        }
    }
}

fn cef(record: &Exported) -> String {
    let severity = match record.grade() {
        Grade::Information => 2,
        Grade::Notice => 4,
        Grade::Warning => 7,
        Grade::Error => 10,
    };
    let what = record.text("event").or(record.text("code")).or(record.text("act")).unwrap_or(&record.kind);
    let mut line = String::from("CEF:0|Cloakroom|cloakroom|");
    let name = if what == record.kind { what.to_owned() } else { format!("{}: {what}", record.kind) };
    let signature = if record.kind == "act" { "act" } else { what };
    for field in [env!("CARGO_PKG_VERSION"), signature, &name] {
        escape(&mut line, field, &['|']);
        line.push('|');
    }
    let _ = write!(line, "{severity}|rt={} externalId={}", record.at, record.sequence);
    let mut extend = |key: &str, value: &str| {
        let _ = write!(line, " {key}=");
        escape(&mut line, value, &['=']);
    };
    extend("cs1Label", "leaf");
    extend("cs1", &record.hash);
    for (name, value) in record.rest().filter(|(_, value)| !value.is_null()) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match (name.as_str(), text.parse::<std::net::SocketAddr>()) {
            ("peer", Ok(peer)) => {
                extend("src", &peer.ip().to_string());
                extend("spt", &peer.port().to_string());
            }
            _ => extend(&key_of(name), &text),
        }
    }
    line
}

/// The dictionary's key where it has one, else one of our own: letters and digits only.
fn key_of(member: &str) -> String {
    match member {
        "method" => "requestMethod".into(),
        "path" => "request".into(),
        "by" => "suser".into(),
        "code" => "reason".into(),
        _ => {
            let mut key = String::from("cloakroom");
            for word in member.split(['-', '_']) {
                let mut letters = word.chars();
                key.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
                key.extend(letters);
            }
            key
        }
    }
}

/// SECURITY: what separates fields is escaped, and what is not printable ASCII is written out, so that no value ends its line or field,
/// or speaks to a terminal.
fn escape(line: &mut String, text: &str, special: &[char]) {
    for character in text.chars() {
        match character {
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            _ if special.contains(&character) => line.extend(['\\', character]),
            ' '..='~' => line.push(character),
            _ => {
                let _ = write!(line, "\\\\u{{{:x}}}", u32::from(character));
            }
        }
    }
}

/// Calls `write` for each record. What stops it is an error of the journal or of whoever writes.
fn each(
    dir: &Path,
    since: u64,
    told: &mut dyn FnMut(u64),
    write: &mut dyn FnMut(&Exported) -> std::io::Result<()>,
) -> Result<(), JournalError> {
    let segments = segment::list(dir)?;
    let mut broken = None;
    let outcome = segment::walk(&segments[first_needed(&segments, since)?..], &mut |_, item| {
        let Item::Record(frame, _) = item else { return Ok(()) };
        told(item.bytes());
        if frame.sequence <= since {
            return Ok(());
        }
        write(&Exported::of(frame)?).map_err(|error| {
            broken = Some(failed(&error));
            String::new()
        })
    });
    match broken {
        Some(error) => Err(error),
        None => outcome.map(drop),
    }
}

fn line(out: &mut impl Write, value: &impl Serialize) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    json::write(&mut bytes, value)?;
    bytes.push(b'\n');
    out.write_all(&bytes)
}

fn failed(error: &std::io::Error) -> JournalError {
    JournalError::Failed(format!("cannot write the export: {error}"))
}
