//! One call as a trace has it: a span for the call, one for each step, and the trace of the workload's that it belongs to.
//!
//! Nothing that a workload wrote is in it but the ids of its `traceparent`, which are numbers; no path, query or placeholder.

use crate::head::Head;
use cloakroom_model::{Code, Destination, Meters, Name, RequestId, Step, Way};
use http::{HeaderMap, Method};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Calls whose spans wait for whoever carries them to a collector.
const QUEUE: usize = 4096;

/// Where the spans of calls go.
pub struct Tracer {
    sender: Sender<CallTrace>,
    meters: Arc<Meters>,
    /// Calls whose number is below are traced, of those that no workload's own trace decides about.
    below: u64,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct CallTrace {
    /// Its name in the journal.
    pub request: RequestId,
    /// The trace that it belongs to.
    pub trace: u128,
    /// The span of the call itself. Those of its steps follow it: one more for each.
    pub span: u64,
    /// The span of the workload's that it was made in.
    pub parent: Option<u64>,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    /// How long it took.
    pub took: Duration,
    /// Its steps: from and to, since it began.
    pub steps: Vec<(Step, Duration, Duration)>,
    /// The method, where it is a usual one; else `_OTHER`.
    pub method: &'static str,
    /// How it came.
    pub way: Option<Way>,
    /// Who made it.
    pub workload: Option<Name>,
    /// Where it went, where a permit leads there.
    pub destination: Option<Destination>,
    /// The status of the reply.
    pub status: Option<u16>,
    /// Why it was refused, or failed.
    pub code: Option<Code>,
}

/// A call that is traced, under way.
#[derive(Debug)]
pub(crate) struct Traced {
    sender: Sender<CallTrace>,
    meters: Arc<Meters>,
    began: Instant,
    /// Taken when the call is over, so that it is told of once.
    call: Mutex<Option<CallTrace>>,
}

/// What of a call is known at its end.
pub(crate) struct Ending {
    pub(crate) way: Option<Way>,
    pub(crate) workload: Option<Name>,
    pub(crate) destination: Option<Destination>,
    pub(crate) status: Option<u16>,
    pub(crate) code: Option<Code>,
}

impl Tracer {
    /// Traces this share of the calls, 0 to 1, and those that belong to a trace of the workload's which is kept. Calls that are over come
    /// out of the other end.
    pub fn new(share: f64, meters: Arc<Meters>) -> (Self, Receiver<CallTrace>) {
        #[expect(clippy::cast_possible_truncation, reason = "a float becomes the nearest number")]
        let below = (share.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        let (sender, receiver) = channel(QUEUE);
        (Self { sender, meters, below }, receiver)
    }

    /// Begins to trace a request, where it is one that is traced.
    pub(crate) fn begin(&self, head: &Head, request: RequestId) -> Option<Arc<Traced>> {
        let parent = Parent::of(&head.fields);
        let span = (low(request.bits()) & !0xF) | 1;
        let kept = match &parent {
            Some(parent) => parent.sampled,
            None => self.below == u64::MAX || low(request.bits()) < self.below,
        };
        if !kept {
            return None;
        }
        let began = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let call = CallTrace {
            request,
            trace: parent.as_ref().map_or(request.bits(), |parent| parent.trace),
            span,
            parent: parent.map(|parent| parent.span),
            began: u64::try_from(began.as_nanos()).unwrap_or_default(),
            took: Duration::ZERO,
            steps: Vec::with_capacity(Step::ALL.len()),
            method: usual(&head.method),
            way: None,
            workload: None,
            destination: None,
            status: None,
            code: None,
        };
        let (sender, meters) = (self.sender.clone(), Arc::clone(&self.meters));
        Some(Arc::new(Traced { sender, meters, began: Instant::now(), call: Mutex::new(Some(call)) }))
    }
}

impl Traced {
    pub(crate) fn step(&self, step: Step, from: Instant, to: Instant) {
        let since = |at: Instant| at.saturating_duration_since(self.began);
        if let Some(call) = &mut *self.call.lock().unwrap_or_else(PoisonError::into_inner) {
            call.steps.push((step, since(from), since(to)));
        }
    }

    /// The call is over. Never waits for whoever carries it further.
    pub(crate) fn end(&self, ending: Ending) {
        let Some(call) = self.call.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let Ending { way, workload, destination, status, code } = ending;
        let took = self.began.elapsed();
        let call = CallTrace { took, way, workload, destination, status, code, ..call };
        let spans = 1 + call.steps.len() as u64;
        if self.sender.try_send(call).is_err() {
            self.meters.spans_dropped(spans);
        }
    }
}

/// What a workload's `traceparent` says.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl Parent {
    /// SPEC: W3C Trace Context, section 3.2. What is not well-formed is as if it were not there.
    fn of(fields: &HeaderMap) -> Option<Self> {
        let mut values = fields.get_all("traceparent").iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let mut parts = value.to_str().ok()?.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = hexadecimal(version, 2)?;
        if version == 0xFF || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let trace = hexadecimal(trace, 32).filter(|trace| *trace != 0)?;
        let span = hexadecimal(span, 16).filter(|span| *span != 0)?;
        Some(Self { trace, span: low(span), sampled: hexadecimal(flags, 2)? & 1 == 1 })
    }
}

/// So many digits in lower case.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let fine = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fine.then(|| u128::from_str_radix(text, 16).ok())?
}

fn low(bits: u128) -> u64 {
    u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default()
}

/// SECURITY: a method is a word of the workload's; only those that everybody knows are repeated.
fn usual(method: &Method) -> &'static str {
    const USUAL: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "QUERY"];
    USUAL.into_iter().find(|usual| *usual == method.as_str()).unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn parent(values: &[&str]) -> Option<Parent> {
        let mut fields = HeaderMap::new();
        for value in values {
            fields.append("traceparent", HeaderValue::from_str(value).unwrap());
        }
        Parent::of(&fields)
    }

    #[test]
    fn a_traceparent_is_read_as_the_standard_has_it() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let expected = Parent {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            span: 0x00f0_67aa_0ba9_02b7,
            sampled: true,
        };
        assert_eq!(parent(&[good]), Some(expected));
        assert_eq!(parent(&[&good.replace("-01", "-00")]).map(|parent| parent.sampled), Some(false));
        let later = good.replacen("00", "01", 1);
        assert!(parent(&[&later]).is_some() && parent(&[&format!("{later}-more")]).is_some());
        for wrong in [
            String::new(),
            format!("{good}-more"),
            good.replacen("00", "ff", 1),
            good.to_uppercase(),
            good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            good.replace("4bf9", "4bf"),
            good.replace("4bf9", "+bf9"),
            good[..52].to_owned(),
        ] {
            assert_eq!(parent(&[&wrong]), None, "{wrong}");
        }
        assert_eq!(parent(&[good, good]), None, "two are none");
    }

    #[test]
    fn t12_a_method_that_nobody_knows_is_not_repeated() {
        assert_eq!(usual(&Method::PATCH), "PATCH");
        assert_eq!(usual(&Method::from_bytes(b"SK_LIVE_1").unwrap()), "_OTHER");
    }
}
