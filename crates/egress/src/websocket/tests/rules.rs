//! A table of violations of RFC 6455, each with the status of the Close frame that it gets. After the cases of common
//! conformance suites.

use crate::websocket::decoder::{Decoder, Event, Sender};
use crate::websocket::frame::{Mask, Opcode, write_fragment};
use crate::websocket::violation::Violation;
use bytes::BytesMut;

const MASK: Mask = [0x37, 0xFA, 0x21, 0x3D];
const MOST: u64 = 100_000;

/// What the input came to.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// This many events, and the peer may go on.
    Open(usize),
    /// A violation with this status.
    Closed(u16),
}

fn feed(decoder: &mut Decoder, input: &[u8]) -> Result<Vec<Event>, Violation> {
    let mut buffer = BytesMut::from(input);
    let mut events = Vec::new();
    while let Some(event) = decoder.next(&mut buffer)? {
        events.push(event);
    }
    Ok(events)
}

fn end(sender: Sender, input: &[u8]) -> End {
    match feed(&mut Decoder::new(sender, false, MOST), input) {
        Ok(events) => End::Open(events.len()),
        Err(violation) => End::Closed(violation.status.code()),
    }
}

fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_fragment(&mut out, fin, opcode, false, Some(MASK), payload);
    out
}

fn frames(parts: &[(bool, Opcode, &[u8])]) -> Vec<u8> {
    parts.iter().flat_map(|(fin, opcode, payload)| frame(*fin, *opcode, payload)).collect()
}

/// The frame with other bits in its first two bytes.
fn altered(mut frame: Vec<u8>, first: u8, second: u8) -> Vec<u8> {
    frame[0] ^= first;
    frame[1] ^= second;
    frame
}

fn closing(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(true, Opcode::Close, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn what_a_workload_sends_is_kept_to_the_protocol() {
    use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
    let long = vec![b'x'; 126];
    let cases: Vec<(&str, Vec<u8>, End)> = vec![
        ("a text", frame(true, Text, b"hello"), End::Open(1)),
        ("an empty text", frame(true, Text, b""), End::Open(1)),
        ("125 bytes", frame(true, Binary, &long[..125]), End::Open(1)),
        ("126 bytes", frame(true, Binary, &long), End::Open(1)),
        ("65535 bytes", frame(true, Binary, &vec![0; 65_535]), End::Open(1)),
        ("65536 bytes", frame(true, Binary, &vec![0; 65_536]), End::Open(1)),
        ("the bound", frame(true, Binary, &vec![0; 100_000]), End::Open(1)),
        ("beyond the bound", frame(true, Binary, &vec![0; 100_001]), End::Closed(1009)),
        (
            "beyond the bound in parts",
            frames(&[(false, Binary, &[0; 60_000]), (true, Continuation, &[0; 60_000])]),
            End::Closed(1009),
        ),
        // Reserved bits and opcodes.
        ("RSV1", altered(frame(true, Text, b"x"), 0x40, 0), End::Closed(1002)),
        ("RSV2", altered(frame(true, Text, b"x"), 0x20, 0), End::Closed(1002)),
        ("RSV3", altered(frame(true, Ping, b"x"), 0x10, 0), End::Closed(1002)),
        ("all of them", altered(frame(true, Close, b""), 0x70, 0), End::Closed(1002)),
        ("opcode 3", altered(frame(true, Text, b"x"), 0x02, 0), End::Closed(1002)),
        ("opcode 7", altered(frame(true, Text, b"x"), 0x06, 0), End::Closed(1002)),
        ("opcode 11", altered(frame(true, Ping, b"x"), 0x02, 0), End::Closed(1002)),
        ("opcode 15", altered(frame(true, Ping, b"x"), 0x06, 0), End::Closed(1002)),
        // Masking.
        ("no mask", vec![0x81, 0x01, b'x'], End::Closed(1002)),
        // Lengths in their shortest form.
        ("length 125 in two bytes", vec![0x82, 0xFE, 0, 125], End::Closed(1002)),
        ("length 0 in eight bytes", vec![0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0], End::Closed(1002)),
        ("length 65535 in eight bytes", vec![0x82, 0xFF, 0, 0, 0, 0, 0, 0, 255, 255], End::Closed(1002)),
        ("length with its highest bit", vec![0x82, 0xFF, 128, 0, 0, 0, 0, 1, 0, 0], End::Closed(1002)),
        ("the longest length", [&[0x82, 0xFF, 127][..], &[255; 7], &MASK].concat(), End::Closed(1009)),
        // Control frames.
        ("a ping", frame(true, Ping, &long[..125]), End::Open(1)),
        ("a pong nobody asked for", frame(true, Pong, b""), End::Open(1)),
        ("a ping of 126 bytes", frame(true, Ping, &long), End::Closed(1002)),
        ("its head alone", vec![0x89, 0xFE], End::Closed(1002)),
        ("a close of 126 bytes", frame(true, Close, &long), End::Closed(1002)),
        ("a ping in parts", frames(&[(false, Ping, b"a"), (true, Continuation, b"b")]), End::Closed(1002)),
        ("a close in parts", frame(false, Close, b""), End::Closed(1002)),
        // Fragments.
        (
            "a message in parts, a ping between",
            frames(&[
                (false, Text, b"a"),
                (true, Ping, b"p"),
                (false, Continuation, b""),
                (true, Continuation, b"b"),
            ]),
            End::Open(2),
        ),
        ("a continuation of nothing", frame(true, Continuation, b"x"), End::Closed(1002)),
        ("the begin of one of nothing", frame(false, Continuation, b"x"), End::Closed(1002)),
        (
            "one after the end",
            frames(&[(false, Text, b"a"), (true, Continuation, b"b"), (true, Continuation, b"c")]),
            End::Closed(1002),
        ),
        ("a text in a text", frames(&[(false, Text, b"a"), (true, Text, b"b")]), End::Closed(1002)),
        ("a binary in a text", frames(&[(false, Text, b"a"), (false, Binary, b"b")]), End::Closed(1002)),
        (
            "parts without end",
            [frame(false, Binary, b""), frame(false, Continuation, b"").repeat(16 * 1024)].concat(),
            End::Closed(1009),
        ),
        // Text.
        ("UTF-8 of every length", frame(true, Text, "aä€😀".as_bytes()), End::Open(1)),
        (
            "a character in two frames",
            frames(&[(false, Text, &[0xF0, 0x9F]), (true, Continuation, &[0x98, 0x80])]),
            End::Open(1),
        ),
        ("half a character", frame(true, Text, &[0xF0, 0x9F, 0x98]), End::Closed(1007)),
        ("half a character in a frame that is not the last", frame(false, Text, &[0xF0, 0x9F]), End::Open(0)),
        ("a byte that no character has", frame(false, Text, &[b'a', 0xFF]), End::Closed(1007)),
        ("a surrogate", frame(true, Text, &[0xED, 0xA0, 0x80]), End::Closed(1007)),
        ("too long a spelling", frame(true, Text, &[0xC0, 0xAF]), End::Closed(1007)),
        ("beyond the last character", frame(true, Text, &[0xF4, 0x90, 0x80, 0x80]), End::Closed(1007)),
        ("no text, but binary", frame(true, Binary, &[0xFF]), End::Open(1)),
        // Close.
        ("a close without status", frame(true, Close, b""), End::Open(1)),
        ("a close with half a status", frame(true, Close, &[3]), End::Closed(1002)),
        ("a reason", closing(1000, "größer".as_bytes()), End::Open(1)),
        ("a reason that is no text", closing(1000, &[0xFF]), End::Closed(1007)),
        ("what follows a close", [closing(1000, b""), frame(true, Text, &[0xFF])].concat(), End::Open(1)),
    ];
    for (name, input, expected) in cases {
        assert_eq!(end(Sender::Workload, &input), expected, "{name}");
        // However slowly it comes.
        let mut decoder = Decoder::new(Sender::Workload, false, MOST);
        let mut buffer = BytesMut::new();
        let (mut events, mut closed) = (0, None);
        for byte in &input {
            buffer.extend_from_slice(&[*byte]);
            match decoder.next(&mut buffer) {
                Ok(event) => events += usize::from(event.is_some()),
                Err(violation) => {
                    closed = Some(violation.status.code());
                    break;
                }
            }
        }
        assert_eq!(closed.map_or(End::Open(events), End::Closed), expected, "{name}, byte by byte");
    }
}

#[test]
fn a_status_that_is_never_sent_is_refused() {
    for code in 0..=5000 {
        let sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let expected = if sent { End::Open(1) } else { End::Closed(1002) };
        assert_eq!(end(Sender::Workload, &closing(code, b"")), expected, "{code}");
    }
}

#[test]
fn what_an_upstream_sends_is_not_masked() {
    assert_eq!(end(Sender::Upstream, &[0x81, 0x01, b'x']), End::Open(1));
    assert_eq!(end(Sender::Upstream, &frame(true, Opcode::Text, b"x")), End::Closed(1002));
}

#[test]
fn a_text_that_is_none_is_refused_before_its_frame_ends() {
    let whole = frame(true, Opcode::Text, &[b'a', 0xFF, b'b', b'c']);
    assert_eq!(end(Sender::Workload, &whole[..whole.len() - 3]), End::Open(0));
    assert_eq!(end(Sender::Workload, &whole[..whole.len() - 2]), End::Closed(1007));
}

#[test]
fn t96_a_message_beyond_the_bound_is_refused_by_its_head() {
    let whole = frame(true, Opcode::Binary, &vec![0; 100_001]);
    assert_eq!(end(Sender::Workload, &whole[..14]), End::Closed(1009));
}
