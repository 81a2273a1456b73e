//! However a stream is cut, it comes out as the whole text would; what holds no needle is not touched and not held.

use super::encodings::{spellings, wholes};
use super::{CANARY, PLACEHOLDER, contains, finder, scrub};
use crate::scrub::needles::Needles;
use crate::scrub::reference::Reference;
use crate::scrub::{Finder, Fit, Scrubber, Target};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

/// Every form of a secret in one text, with parts of it and noise between.
fn corpus(secret: &str) -> Vec<u8> {
    let mut text = b"{\"a\": \"".to_vec();
    for (_, encoded) in spellings(secret) {
        text.extend_from_slice(encoded.as_bytes());
        text.extend_from_slice(b"\", \"c\\u0061n: %63\n\n");
        text.extend_from_slice(&encoded.as_bytes()[..encoded.len() / 2]);
    }
    for (_, encoded) in wholes(secret) {
        text.extend_from_slice(&encoded);
        text.extend_from_slice(&encoded[..encoded.len() - 1]);
    }
    for before in ["", "a", "ab"] {
        text.extend_from_slice(STANDARD.encode(format!("{before}{secret}tail")).as_bytes());
        text.push(b'.');
    }
    text
}

#[test]
fn t03_a_secret_cut_at_every_offset_does_not_come_back() {
    let finder = finder(CANARY, PLACEHOLDER, None);
    let base64 = |before: &str| ("base64", STANDARD.encode(format!("{before}{CANARY}")).into_bytes());
    let texts = spellings(CANARY).into_iter().map(|(name, text)| (name, text.into_bytes()));
    for (name, encoded) in texts.chain(wholes(CANARY)).chain(["", "a", "ab"].map(base64)) {
        let text = [b"c\"", &encoded[..], b"c\""].concat();
        let whole = scrub(&finder, std::iter::once(&text[..]));
        assert!(!contains(&whole, &encoded), "{name}");
        for at in 0..=text.len() {
            let (first, second) = text.split_at(at);
            assert_eq!(scrub(&finder, [first, second].into_iter()), whole, "{name}, cut at {at}");
        }
        assert_eq!(scrub(&finder, text.chunks(1)), whole, "{name}, byte by byte");
    }
}

#[test]
fn t03_chunks_of_every_small_size_come_out_alike() {
    let finder = finder(CANARY, PLACEHOLDER, None);
    let text = corpus(CANARY);
    let whole = Reference::new(&[(CANARY, PLACEHOLDER)]).scrub(&text);
    for size in (1..10).chain([17, 64, 1000]) {
        assert_eq!(scrub(&finder, text.chunks(size)), whole, "chunks of {size}");
    }
}

#[test]
fn t03_where_lengths_count_each_form_is_replaced_by_as_many_bytes_however_it_is_cut() {
    for placeholder in ["short", PLACEHOLDER, "a-placeholder-that-is-a-good-deal-longer-than-the-secret-is"] {
        let finder = finder(CANARY, placeholder, None);
        let text = corpus(CANARY);
        let scrubbed = |size: usize| {
            let mut scrubber = Scrubber::new(Arc::clone(&finder), Fit::Same);
            let mut clean = Vec::new();
            for chunk in text.chunks(size) {
                clean.extend(scrubber.push(Bytes::copy_from_slice(chunk)).concat());
            }
            clean.extend_from_slice(&scrubber.finish());
            clean
        };
        let whole = scrubbed(text.len());
        assert_eq!(whole.len(), text.len(), "{placeholder}");
        assert!(!contains(&whole, CANARY.as_bytes()));
        assert_eq!(scrub(&finder, std::iter::once(&whole[..])), whole, "a form was left");
        for size in [1, 2, 3, 5, 7, 64] {
            assert_eq!(scrubbed(size), whole, "{placeholder}, chunks of {size}");
        }
    }
}

#[test]
fn where_one_secret_begins_another_the_longer_is_taken_out() {
    let longer = format!("{CANARY}-and-more");
    let sets: Vec<_> = [(CANARY, "short"), (&longer, "long")]
        .map(|(secret, placeholder)| (Arc::new(Needles::new(secret.as_bytes(), None)), placeholder))
        .into();
    let targets = sets.iter().map(|(needles, placeholder)| Target {
        needles: Arc::clone(needles),
        placeholder: (*placeholder).into(),
    });
    let finder = Arc::new(Finder::alone(targets.collect()));
    let text = format!("{longer} {CANARY} {CANARY}-and-mo {longer}");
    for size in 1..20 {
        let clean = scrub(&finder, text.as_bytes().chunks(size));
        assert_eq!(String::from_utf8(clean).unwrap(), "long short short-and-mo long");
    }
}

#[test]
fn a_chunk_without_a_needle_goes_on_uncopied_and_at_once() {
    let mut scrubber = Scrubber::new(finder(CANARY, PLACEHOLDER, None), Fit::Free);
    for event in ["data: {\"delta\":\"a token \\u00e9 100% & more\"}\n\n", "data: [DONE]\n\n", ": ping\n\n"] {
        let chunk = Bytes::from(event);
        let at = chunk.as_ptr();
        let [_, clean] = scrubber.push(chunk);
        assert_eq!((clean.as_ptr(), &clean[..]), (at, event.as_bytes()));
        assert_eq!(scrubber.held(), 0);
    }
}

#[test]
fn only_the_possible_begin_of_a_needle_is_held() {
    let mut scrubber = Scrubber::new(finder(CANARY, PLACEHOLDER, None), Fit::Free);
    assert_eq!(scrubber.push(Bytes::from_static(b"a canary sings, a canar")).concat(), b"a canary sings, a ");
    assert_eq!(scrubber.held(), 5);
    assert_eq!(scrubber.push(Bytes::from_static(b"d. ")).concat(), b"canard. ");
    assert_eq!(scrubber.held(), 0);
    assert_eq!(scrubber.push(Bytes::from_static(b"canary-7Q2mZ9xKp4Lw8RtY3vNc6Hs")).concat(), b"");
    assert_eq!(&scrubber.finish()[..], b"canary-7Q2mZ9xKp4Lw8RtY3vNc6Hs");
}

#[test]
fn what_is_held_is_bounded_by_the_needle() {
    let mut scrubber = Scrubber::new(finder(CANARY, PLACEHOLDER, None), Fit::Free);
    let base64 = STANDARD.encode(CANARY);
    for noise in ["\n", " ", "\\", "&#0", "%25", "&amp;", "\\\\n", "0"] {
        scrubber.push(Bytes::copy_from_slice(&base64.as_bytes()[..8]));
        for _ in 0..1000 {
            scrubber.push(Bytes::copy_from_slice(noise.as_bytes()));
            assert!(scrubber.held() < 400, "{noise:?} is held for ever");
        }
    }
}

fn pieces(secret: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let encoded: Vec<Vec<u8>> = spellings(secret).into_iter().map(|(_, text)| text.into_bytes()).collect();
    let whole: Vec<Vec<u8>> = wholes(secret).into_iter().map(|(_, text)| text).collect();
    let all = prop::sample::select([encoded, whole].concat());
    let part = (all.clone(), any::<prop::sample::Index>())
        .prop_map(|(text, at)| text[..at.index(text.len())].to_vec());
    let noise = prop_oneof!["[ -~\n]{0,20}", "[%&\\\\+u0-9a-f;#x]{0,30}", "[a-d\\\\]{0,12}"]
        .prop_map(String::into_bytes);
    prop::collection::vec(prop_oneof![2 => all, 2 => part, 3 => noise], 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn t03_any_cut_of_any_text_comes_out_as_the_whole(
        text in pieces(CANARY),
        other in pieces("a\\b&c%d+e f/g\"h"),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let secrets = [(CANARY, "phone"), ("a\\b&c%d+e f/g\"h", "phtwo"), ("aabbccddaabb", "phthree")];
        let sets: Vec<_> =
            secrets.map(|(secret, text)| (Arc::new(Needles::new(secret.as_bytes(), None)), text)).into();
        let targets = sets.iter().map(|(needles, text)| Target { needles: Arc::clone(needles), placeholder: (*text).into() });
        let finder = Arc::new(Finder::alone(targets.collect()));
        let text = [text, other].concat();
        let mut rest = &text[..];
        let mut chunks = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (chunk, more) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = more;
        }
        prop_assert_eq!(scrub(&finder, chunks.into_iter()), Reference::new(&secrets).scrub(&text));
    }

    #[test]
    fn text_without_a_needle_is_untouched(text in "[ -~\n]{0,400}", size in 1usize..50) {
        let finder = finder(CANARY, PLACEHOLDER, None);
        prop_assert_eq!(scrub(&finder, text.as_bytes().chunks(size)), text.as_bytes());
    }
}
