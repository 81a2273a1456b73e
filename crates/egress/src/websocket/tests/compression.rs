//! permessage-deflate: what is agreed, and what is refused; what is compressed comes back, and a bomb does not.

use crate::websocket::deflate::{deflate, inflate};
use crate::websocket::extension::{OFFER, agreed, is_offered, offered};
use crate::websocket::handshake::{Carrier, Greeting, accept_of};
use cloakroom_model::Code;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use std::io::Write;

const MOST: u64 = 16 << 20;

fn fields(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

#[test]
fn an_offer_is_accepted_where_it_can_be_kept() {
    let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let told = |bits| Some(format!("{plain}; server_max_window_bits={bits}"));
    let plain = Some(plain.to_owned());
    for (offer, answer) in [
        ("permessage-deflate", plain.clone()),
        ("Permessage-Deflate; client_max_window_bits", plain.clone()),
        ("permessage-deflate; client_max_window_bits=12", plain.clone()),
        ("permessage-deflate; client_max_window_bits; server_max_window_bits=12", told(12)),
        ("permessage-deflate ; server_max_window_bits = \"15\"", told(15)),
        ("x-other, permessage-deflate; server_max_window_bits=8", told(8)),
        ("permessage-deflate; server_max_window_bits=7, permessage-deflate", plain.clone()),
        ("x-webkit-deflate-frame", None),
        ("permessage-bzip2", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; server_max_window_bits=\"12", None),
        ("permessage-deflate; client_max_window_bits=1", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        ("permessage-deflate; mystery", None),
        ("", None),
    ] {
        let fields = fields(&[("sec-websocket-extensions", offer)]);
        assert_eq!(offered(&fields).map(|agreed| agreed.answer()), answer, "{offer}");
        assert_eq!(is_offered(&fields), answer.is_some(), "{offer}");
    }
}

#[test]
fn an_upstream_answers_what_was_offered() {
    assert!(is_offered(&fields(&[("sec-websocket-extensions", OFFER)])), "we would accept our own offer");
    for (answer, bits) in [
        ("permessage-deflate; server_no_context_takeover", Some(15)),
        ("permessage-deflate; client_no_context_takeover; server_no_context_takeover", Some(15)),
        ("permessage-deflate; server_no_context_takeover; server_max_window_bits=9", Some(15)),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=9", Some(9)),
        // The upstream would look back into messages that are gone.
        ("permessage-deflate", None),
        ("permessage-deflate; client_no_context_takeover", None),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits", None),
        ("permessage-deflate; server_no_context_takeover; client_max_window_bits=16", None),
        ("permessage-deflate; server_no_context_takeover; mystery", None),
        ("permessage-deflate; server_no_context_takeover, permessage-deflate", None),
        ("x-other", None),
        ("", None),
    ] {
        assert_eq!(agreed(answer).ok().map(|agreed| agreed.bits), bits, "{answer}");
    }
}

#[test]
fn a_handshake_is_answered_as_the_rfc_does() {
    assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let version = ("sec-websocket-version", "13");
    let answer = Greeting::read(&fields(&[key, version]), Carrier::Connection).unwrap().answer();
    assert_eq!(answer["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(
        (&answer["upgrade"], &answer["connection"]),
        (&"websocket".parse().unwrap(), &"Upgrade".parse().unwrap())
    );
    assert!(!answer.contains_key("sec-websocket-extensions"), "nothing was offered");
    let answer = Greeting::read(&fields(&[version]), Carrier::Stream).unwrap().answer();
    assert!(answer.is_empty(), "a stream has no accept: {answer:?}");
    for wrong in [
        vec![key],
        vec![version],
        vec![key, ("sec-websocket-version", "12")],
        vec![key, version, version],
        vec![key, key, version],
        vec![("sec-websocket-key", "dGhlIHNhbXBsZSBub25j"), version],
        vec![("sec-websocket-key", "not base64"), version],
    ] {
        let refused =
            Greeting::read(&fields(&wrong), Carrier::Connection).err().map(|refusal| refusal.code());
        assert_eq!(refused, Some(Code::MalformedCall), "{wrong:?}");
    }
}

/// The example of RFC 7692, section 7.2.3: one block, a stored block, and a last block.
#[test]
fn what_others_compress_is_read() {
    for hello in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ] {
        assert_eq!(inflate(hello, MOST), Ok(b"Hello".to_vec()), "{hello:x?}");
    }
    assert_eq!(inflate(&[0], MOST), Ok(Vec::new()), "an empty message");
    let after_the_end = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00, 0x01];
    for broken in [&after_the_end[..], &[0xFF; 9]] {
        assert_eq!(
            inflate(broken, MOST).map_err(|violation| violation.status.code()),
            Err(1007),
            "{broken:x?}"
        );
    }
}

#[test]
fn t96_a_message_that_decompresses_beyond_the_bounds_is_refused() {
    let bomb = densest(8 << 20);
    let status = |most| inflate(&bomb, most).map(|message| message.len()).map_err(|v| v.status.code());
    assert_eq!(status(1 << 20), Err(1009), "beyond the bound");
    assert_eq!(status((8 << 20) - 1), Err(1009), "one byte beyond the bound");
    assert_eq!(status(MOST), Ok(8 << 20));
    // A thousand for one and a mebibyte for nothing; deflate can make 1032 of one.
    let larger = densest(64 << 20);
    assert!(larger.len() < 66_000, "{}", larger.len());
    assert_eq!(inflate(&larger, u64::MAX).map_err(|v| v.status.code()), Err(1009));
}

/// Zeros, compressed as far as deflate goes.
fn densest(length: usize) -> Vec<u8> {
    let mut engine = DeflateEncoder::new(Vec::new(), Compression::best());
    engine.write_all(&vec![0; length]).unwrap();
    engine.finish().unwrap()
}

#[test]
fn what_is_not_worth_it_stays_as_it_is() {
    assert_eq!(deflate(b"short", 15), None);
    let noise: Vec<u8> = (0..1000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    assert!(deflate(&noise, 15).is_none_or(|shorter| shorter.len() < noise.len()));
}

proptest! {
    #[test]
    fn what_we_compress_comes_back_in_any_window(
        words in prop::collection::vec("[a-f]{1,8}", 0..3000),
        bits in 8..=15_u8,
    ) {
        let text = words.concat().into_bytes();
        if let Some(short) = deflate(&text, bits) {
            prop_assert!(short.len() < text.len());
            prop_assert_eq!(inflate(&short, MOST), Ok(text));
        }
    }

    #[test]
    fn whatever_claims_to_be_compressed_ends(bytes: Vec<u8>) {
        if let Ok(message) = inflate(&bytes, 1000) {
            prop_assert!(message.len() <= 1000);
        }
    }
}
