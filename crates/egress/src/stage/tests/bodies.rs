//! Bodies of replies: codings, lengths, streams, faults, the tally.

use super::{CANARY, Length, PLACEHOLDER, Reply, drain};
use crate::scrub::tests::codings::{bare, br, gzip, zlib, zstd};
use crate::stage::Tally;
use bytes::Bytes;
use cloakroom_model::{BodyFault, Code};
use std::sync::{Arc, Mutex};

const LENGTHS: [Length; 2] = [Length::Declared, Length::Chunked];

fn echo(secret: &str) -> String {
    format!("{{\"headers\": {{\"authorization\": \"Bearer {secret}\"}}}}")
}

#[tokio::test]
async fn t01_t02_an_echo_is_scrubbed_under_every_coding() {
    type Encode = fn(&[u8]) -> Vec<u8>;
    let codings: [(&str, Encode); 8] = [
        ("identity", |plain| plain.to_vec()),
        ("gzip", gzip),
        ("x-gzip", gzip),
        ("deflate", zlib),
        ("deflate", bare),
        ("br", br),
        ("zstd", zstd),
        ("gzip, br", |plain| br(&gzip(plain))),
    ];
    for length in LENGTHS {
        for (label, encode) in codings {
            let reply =
                Reply::new(encode(echo(CANARY).as_bytes())).field("content-encoding", label).declared(length);
            let (fields, body, _) = reply.answer().await;
            assert_eq!(String::from_utf8(body).unwrap(), echo(PLACEHOLDER), "{label}");
            assert!(!fields.contains_key("content-encoding"), "{label}");
            let expected = (length == Length::Declared).then(|| echo(PLACEHOLDER).len().to_string());
            assert_eq!(
                fields.get("content-length").map(|v| v.to_str().unwrap().to_owned()),
                expected,
                "{label}"
            );
        }
    }
}

#[tokio::test]
async fn t02_what_cannot_be_decoded_never_goes_out() {
    for label in ["compress", "exotic", "gzip, gzip, gzip", "aes128gcm"] {
        let refused = Reply::new(echo(CANARY)).field("content-encoding", label).scrub().await;
        assert_eq!(refused.map(|_| ()).map_err(|r| r.code()), Err(Code::ResponseNotScrubbable), "{label}");
    }
    for label in ["gzip", "deflate", "br", "zstd"] {
        let reply = || Reply::new(echo(CANARY)).field("content-encoding", label);
        let refused = reply().declared(Length::Declared).scrub().await;
        assert_eq!(refused.map(|_| ()).map_err(|r| r.code()), Err(Code::ResponseNotScrubbable), "{label}");
        let (chunks, fault) = drain(reply().scrub().await.unwrap().into_response().into_body()).await;
        assert_eq!(fault, Some(BodyFault::Undecodable), "{label}");
        assert!(!chunks.concat().windows(8).any(|w| w == &CANARY.as_bytes()[..8]), "{label}");
    }
}

#[tokio::test]
async fn t03_a_secret_split_over_frames_is_scrubbed() {
    for size in [1, 2, 7] {
        let mut reply = Reply::new("");
        reply.body = echo(CANARY).as_bytes().chunks(size).map(Bytes::copy_from_slice).collect();
        let (_, body, _) = reply.answer().await;
        assert_eq!(String::from_utf8(body).unwrap(), echo(PLACEHOLDER));
    }
}

#[tokio::test]
async fn events_go_on_one_by_one_and_uncopied() {
    let events: Vec<Bytes> =
        (0..5).map(|n| Bytes::from(format!("data: {{\"delta\": \"{n}\"}}\n\n"))).collect();
    let mut reply = Reply::new("").field("content-type", "text/event-stream");
    reply.body = events.clone();
    let (chunks, fault) = drain(reply.scrub().await.unwrap().into_response().into_body()).await;
    assert_eq!((&chunks, fault), (&events, None));
    assert!(chunks.iter().zip(&events).all(|(out, sent)| out.as_ptr() == sent.as_ptr()));
}

#[tokio::test]
async fn what_is_held_when_the_upstream_breaks_is_dropped() {
    let mut reply = Reply::new("");
    reply.body = vec![Bytes::from_static(b"ok "), Bytes::copy_from_slice(&CANARY.as_bytes()[..20])];
    reply.fault = Some(BodyFault::Broken);
    let (chunks, fault) = drain(reply.scrub().await.unwrap().into_response().into_body()).await;
    assert_eq!((chunks.concat().as_slice(), fault), (&b"ok "[..], Some(BodyFault::Broken)));
}

#[tokio::test]
async fn a_short_reply_that_breaks_is_refused() {
    for (fault, code) in
        [(BodyFault::Broken, Code::UpstreamUnreachable), (BodyFault::Slow, Code::UpstreamTimeout)]
    {
        let mut reply = Reply::new("part").declared(Length::Declared);
        reply.fault = Some(fault);
        assert_eq!(reply.scrub().await.map(|_| ()).map_err(|r| r.code()), Err(code));
    }
}

#[tokio::test]
async fn the_tally_is_told_once_at_the_end_at_a_fault_and_at_a_drop() {
    #[derive(Clone, Copy, PartialEq)]
    enum How {
        End,
        Fault,
        Drop,
    }
    let text = echo(CANARY);
    for (length, how) in [
        (Length::Declared, How::End),
        (Length::Chunked, How::End),
        (Length::Chunked, How::Fault),
        (Length::Declared, How::Drop),
        (Length::Chunked, How::Drop),
    ] {
        let mut reply = Reply::new(text.clone()).field("x-echo", CANARY).declared(length);
        reply.fault = (how == How::Fault).then_some(BodyFault::Broken);
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        let body = reply.scrub().await.unwrap().into_response().into_body();
        let body = body.on_end(move |tally| seen.lock().unwrap().push(tally));
        if how == How::Drop {
            drop(body);
        } else {
            drain(body).await;
        }
        let told = told.lock().unwrap();
        let [tally] = told.as_slice() else { panic!("told {} times", told.len()) };
        assert_eq!(tally.complete, how == How::End);
        if how == How::End {
            let bytes = echo(PLACEHOLDER).len() as u64;
            assert_eq!(*tally, Tally { bytes, replaced: 2, complete: true });
        }
    }
}

fn message(flag: u8, text: &str) -> Vec<u8> {
    [&[flag], &u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

#[tokio::test]
async fn a_message_of_grpc_goes_on_whole_even_if_its_end_could_begin_a_needle() {
    let half = format!("half {}", &CANARY[..CANARY.len() / 2]);
    let mut reply = Reply::new(message(0, &half)).field("content-type", "application/grpc");
    reply.body.push(Bytes::from(message(0, &echo(CANARY))));
    let body = reply.scrub().await.unwrap().into_response().into_body();
    let (chunks, fault) = drain(body).await;
    assert_eq!(
        (chunks.concat(), fault),
        ([message(0, &half), message(0, &echo(PLACEHOLDER))].concat(), None)
    );
    let first = chunks.iter().scan(0, |sum, chunk| Some(*sum + chunk.len()).inspect(|next| *sum = *next));
    assert!(first.into_iter().any(|length| length == message(0, &half).len()));
}

#[tokio::test]
async fn t02_messages_that_are_compressed_never_go_out() {
    let reply = Reply::new(message(1, "\u{1f}8b")).field("content-type", "application/grpc+proto");
    let (chunks, fault) = drain(reply.scrub().await.unwrap().into_response().into_body()).await;
    assert_eq!((chunks.concat(), fault), (Vec::new(), Some(BodyFault::Undecodable)));
    for (name, value) in [("grpc-encoding", "gzip"), ("connect-content-encoding", "br")] {
        let refused = Reply::new(echo(CANARY)).field(name, value).scrub().await;
        assert_eq!(refused.map(|_| ()).map_err(|r| r.code()), Err(Code::ResponseNotScrubbable), "{name}");
        assert!(Reply::new(echo(CANARY)).field(name, "identity").scrub().await.is_ok());
    }
}
