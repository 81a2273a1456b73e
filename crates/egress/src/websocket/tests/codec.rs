//! What is written is what is read, however it is cut.

use crate::websocket::close::Close;
use crate::websocket::decoder::{Decoder, Event, Kind, Message, Sender};
use crate::websocket::frame::{Mask, Opcode, apply, write, write_fragment};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

/// One thing to say, and where to cut it.
#[derive(Clone, Debug)]
enum Say {
    Message(Kind, Vec<Vec<u8>>, Vec<bool>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn say() -> impl Strategy<Value = Say> {
    let text = prop::collection::vec("[a-zäöü€😀]{0,70}".prop_map(String::into_bytes), 1..5);
    let binary = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5);
    let pings = prop::collection::vec(any::<bool>(), 5);
    prop_oneof![
        (text, pings.clone()).prop_map(|(parts, pings)| Say::Message(Kind::Text, parts, pings)),
        (binary, pings).prop_map(|(parts, pings)| Say::Message(Kind::Binary, parts, pings)),
        prop::collection::vec(any::<u8>(), 0..=125).prop_map(Say::Ping),
        prop::collection::vec(any::<u8>(), 0..=125).prop_map(Say::Pong),
    ]
}

fn spoken(say: &Say, mask: Option<Mask>, out: &mut Vec<u8>, events: &mut Vec<Event>) {
    match say {
        Say::Ping(payload) => {
            write(out, Opcode::Ping, false, mask, payload);
            events.push(Event::Ping(Bytes::copy_from_slice(payload)));
        }
        Say::Pong(payload) => {
            write(out, Opcode::Pong, false, mask, payload);
            events.push(Event::Pong(Bytes::copy_from_slice(payload)));
        }
        Say::Message(kind, parts, pings) => {
            for (index, part) in parts.iter().enumerate() {
                let opcode = match (index, kind) {
                    (0, Kind::Text) => Opcode::Text,
                    (0, Kind::Binary) => Opcode::Binary,
                    _ => Opcode::Continuation,
                };
                let fin = index + 1 == parts.len();
                write_fragment(out, fin, opcode, false, mask, part);
                if !fin && pings[index] {
                    write(out, Opcode::Ping, false, mask, b"between");
                    events.push(Event::Ping(Bytes::from_static(b"between")));
                }
            }
            let message = Message { kind: *kind, payload: parts.concat(), compressed: false };
            events.push(Event::Message(message));
        }
    }
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut(
        said in prop::collection::vec(say(), 0..8),
        mask in prop::option::of(any::<Mask>()),
        cuts in prop::collection::vec(1..40_usize, 1..20),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        said.iter().for_each(|say| spoken(say, mask, &mut bytes, &mut expected));
        write(&mut bytes, Opcode::Close, false, mask, &Close::payload(1000, b"done"));
        expected.push(Event::Close(Some(Close { code: 1000, reason: Bytes::from_static(b"done") })));
        let sender = if mask.is_some() { Sender::Workload } else { Sender::Upstream };
        let mut decoder = Decoder::new(sender, false, 1 << 20);
        let (mut buffer, mut events, mut rest) = (BytesMut::new(), Vec::new(), bytes.as_slice());
        for cut in cuts.iter().cycle() {
            let (part, after) = rest.split_at(rest.len().min(*cut));
            buffer.extend_from_slice(part);
            while let Some(event) = decoder.next(&mut buffer).unwrap() {
                events.push(event);
            }
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(events, expected);
    }

    #[test]
    fn a_mask_taken_off_in_parts_is_taken_off(mask: Mask, bytes: Vec<u8>, cut: prop::sample::Index) {
        let mut masked = bytes.clone();
        apply(mask, 0, &mut masked);
        for (index, byte) in masked.iter().enumerate() {
            prop_assert_eq!(*byte, bytes[index] ^ mask[index % 4]);
        }
        let cut = if bytes.is_empty() { 0 } else { cut.index(bytes.len()) };
        let (head, tail) = masked.split_at_mut(cut);
        apply(mask, 0, head);
        apply(mask, cut as u64, tail);
        prop_assert_eq!(masked, bytes);
    }

    #[test]
    fn whatever_comes_ends_without_a_panic_and_within_the_bound(bytes: Vec<u8>, deflate: bool) {
        for sender in [Sender::Workload, Sender::Upstream] {
            let mut decoder = Decoder::new(sender, deflate, 64);
            let mut buffer = BytesMut::from(bytes.as_slice());
            while let Ok(Some(event)) = decoder.next(&mut buffer) {
                if let Event::Message(message) = event {
                    prop_assert!(message.payload.len() <= 64);
                }
            }
        }
    }
}

#[test]
fn a_reason_is_cut_between_characters() {
    let payload = Close::payload(1008, "ä".repeat(100).as_bytes());
    assert_eq!(payload.len(), 2 + 122);
    assert!(Close::parse(&payload.into()).is_ok());
}
