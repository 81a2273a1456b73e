//! From a head and a body to the fields and the payload of the canonical call.

use crate::limits::Limits;
use crate::wire::malformed;
use bytes::{Bytes, BytesMut};
use cloakroom_model::{BodyFault, Payload, Refusal, ends_here};
use futures_util::FutureExt;
use http::HeaderMap;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::timeout;

/// How long the first message of a stream is waited for: it comes with the head, or its sender waits for us.
const FIRST_MESSAGE: Duration = Duration::from_millis(20);

/// The fields that go end to end.
pub(crate) fn end_to_end(mut fields: HeaderMap) -> HeaderMap {
    while let Some(name) = fields.keys().find(|name| ends_here(name.as_str())).cloned() {
        fields.remove(name);
    }
    fields
}

/// How much of a body is read before anybody decides: all that a permit may look at, and at least what is searched.
pub(crate) fn read_bound(limits: &Limits, policy_bound: Option<u64>) -> usize {
    let looked_at = policy_bound.map_or(0, |bound| usize::try_from(bound).unwrap_or(usize::MAX));
    looked_at.min(limits.parsed_body).max(limits.body_scan)
}

/// Reads the first bytes of a body: the whole of one with at most `bound` bytes.
///
/// # Errors
/// `malformed-call` when the body breaks off, breaks its framing or comes too slowly.
pub(crate) async fn read_for_policy(body: Payload, bound: usize) -> Result<Payload, Refusal> {
    let Payload { head, rest, length, mut trailers } = body;
    let Some(mut rest) = rest else { return Ok(Payload::complete(head)) };
    let mut head = BytesMut::from(head);
    while head.len() <= bound {
        match rest.frame().await {
            // A body that was read completely has a known length, whatever its sender's framing was.
            None => return Ok(Payload { trailers, ..Payload::complete(head.freeze()) }),
            Some(frame) => take(frame, &mut head, &mut trailers)?,
        }
    }
    Ok(Payload { head: head.freeze(), rest: Some(rest), length, trailers })
}

/// Reads what a stream of messages begins with, up to its first pause: its sender may wait for a reply before it goes on,
/// so nobody may wait for more. The whole of one that ends before it pauses, as a call with one message does.
///
/// # Errors
/// As [`read_for_policy`].
pub(crate) async fn read_until_it_pauses(body: Payload, bound: usize) -> Result<Payload, Refusal> {
    let Payload { head, rest, length, mut trailers } = body;
    let Some(mut rest) = rest else { return Ok(Payload::complete(head)) };
    let mut head = BytesMut::from(head);
    let mut next = timeout(FIRST_MESSAGE, rest.frame()).await.ok();
    while let Some(frame) = next {
        let Some(frame) = frame else { return Ok(Payload { trailers, ..Payload::complete(head.freeze()) }) };
        take(frame, &mut head, &mut trailers)?;
        next = if head.len() <= bound { rest.frame().now_or_never() } else { None };
    }
    Ok(Payload { head: head.freeze(), rest: Some(rest), length, trailers })
}

fn take(
    frame: Result<http_body::Frame<Bytes>, BodyFault>,
    head: &mut BytesMut,
    trailers: &mut Option<Box<HeaderMap>>,
) -> Result<(), Refusal> {
    let frame = frame.map_err(|fault| match fault {
        BodyFault::Slow => malformed("the body came too slowly"),
        _ => malformed("the body broke off, or its chunks are not well-formed"),
    })?;
    match frame.into_data() {
        Ok(data) => head.extend_from_slice(&data),
        Err(frame) => *trailers = frame.into_trailers().ok().map(Box::new),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Framing, Handover, Incoming, Inlet};
    use cloakroom_model::Code;
    use http::{HeaderName, HeaderValue};
    use tokio::io::AsyncWriteExt;

    #[test]
    fn t26_t44_t92_only_end_to_end_fields_are_kept() {
        let mut fields = HeaderMap::new();
        let dropped = [
            "host",
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "content-length",
            "expect",
            "proxy-authorization",
            "proxy-connection",
            "cloakroom-workload",
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-original-url",
            "x-rewrite-url",
            "x-original-host",
            "x-host",
            "x-http-host-override",
            "x-real-ip",
            "via",
            "max-forwards",
        ];
        let kept =
            ["accept", "authorization", "content-type", "cookie", "x-api-key", "idempotency-key", "range"];
        for name in dropped.into_iter().chain(kept) {
            fields.append(HeaderName::from_static(name), HeaderValue::from_static("v"));
        }
        let mut names: Vec<_> = end_to_end(fields).keys().map(ToString::to_string).collect();
        names.sort_unstable();
        assert_eq!(names, {
            let mut kept = kept;
            kept.sort_unstable();
            kept
        });
    }

    async fn read(framing: Framing, bytes: &[u8], bound: usize) -> (Result<Payload, Code>, Option<bool>) {
        let (mut peer, ours) = tokio::io::duplex(1024);
        peer.write_all(bytes).await.unwrap();
        drop(peer);
        let (body, mut back) = Incoming::new(Inlet::over(ours), framing, Limits::default().pace());
        let length = if let Framing::Length(length) = framing { Some(length) } else { None };
        let body = Payload { head: Bytes::new(), rest: Some(body.boxed_unsync()), length, trailers: None };
        let payload = read_for_policy(body, bound).await.map_err(|r| r.code());
        (payload, back.try_recv().ok().map(|handover| matches!(handover, Handover::Complete(_))))
    }

    #[tokio::test]
    async fn a_body_up_to_the_bound_is_whole_and_a_longer_one_is_not() {
        for (framing, bytes) in [
            (Framing::Length(5), &b"hello"[..]),
            (Framing::Chunked, b"5\r\nhello\r\n0\r\n\r\n"),
            (Framing::Chunked, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        ] {
            let (payload, back) = read(framing, bytes, 5).await;
            let payload = payload.unwrap();
            assert_eq!(
                (payload.whole().map(|b| &b[..]), payload.length, back),
                (Some(&b"hello"[..]), Some(5), Some(true))
            );
            let (payload, back) = read(framing, bytes, 4).await;
            let payload = payload.unwrap();
            assert_eq!((payload.whole(), payload.head.as_ref()), (None, &b"hello"[..]));
            // A known length ends with its last byte; chunks end only with their last line, which nobody read.
            assert_eq!(back, (framing == Framing::Length(5)).then_some(true));
        }
    }

    #[tokio::test]
    async fn a_stream_of_messages_is_read_until_it_pauses() {
        let (mut peer, ours) = tokio::io::duplex(1024);
        peer.write_all(b"3\r\nabc\r\n").await.unwrap();
        let (body, _back) = Incoming::new(Inlet::over(ours), Framing::Chunked, Limits::default().pace());
        let body =
            Payload { head: Bytes::new(), rest: Some(body.boxed_unsync()), length: None, trailers: None };
        let mut read = read_until_it_pauses(body, 64).await.unwrap();
        assert_eq!((read.head.as_ref(), read.whole()), (&b"abc"[..], None));
        peer.write_all(b"2\r\nde\r\n0\r\n\r\n").await.unwrap();
        let rest = read.rest.take().unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(rest.as_ref(), b"de");
        let (mut peer, ours) = tokio::io::duplex(1024);
        peer.write_all(b"3\r\nabc\r\n0\r\n\r\n").await.unwrap();
        let (body, _back) = Incoming::new(Inlet::over(ours), Framing::Chunked, Limits::default().pace());
        let body =
            Payload { head: Bytes::new(), rest: Some(body.boxed_unsync()), length: None, trailers: None };
        assert_eq!(read_until_it_pauses(body, 64).await.unwrap().whole().unwrap().as_ref(), b"abc");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let (payload, back) = read(Framing::Length(6), b"hello", 64).await;
        assert_eq!((payload.err(), back), (Some(Code::MalformedCall), Some(false)));
        let (payload, back) = read(Framing::Chunked, b"5\nhello", 64).await;
        assert_eq!((payload.err(), back), (Some(Code::MalformedCall), Some(false)));
    }
}
