//! What passes: messages of any kind, cut in any way, and no secret on its way back.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

#[tokio::test]
async fn messages_pass_both_ways_and_are_counted() {
    let house = House::in_the_handshake();
    let ended = channel(&house, Set::default(), async |mut workload, mut upstream| {
        workload.text("hello").await;
        assert_eq!(upstream.message().await, (Kind::Text, b"hello".to_vec(), false));
        workload.say(Opcode::Binary, &[0, 255]).await;
        assert_eq!(upstream.message().await, (Kind::Binary, vec![0, 255], false));
        upstream.text("wörld").await;
        assert_eq!(workload.heard_text().await, "wörld");
        workload.say(Opcode::Ping, b"p").await;
        assert_eq!(upstream.hear().await, Some(Event::Ping(bytes("p"))));
        upstream.say(Opcode::Pong, b"p").await;
        assert_eq!(workload.hear().await, Some(Event::Pong(bytes("p"))));
        end(workload, upstream).await;
    })
    .await;
    assert!(ended.refusal.is_none());
    let tally = ended.tally;
    assert_eq!((tally.messages, tally.bytes, tally.replaced, tally.complete), (3, 6, 0, true));
}

#[tokio::test]
async fn t01_a_secret_in_a_message_comes_back_as_its_placeholder() {
    let house = House::in_the_handshake();
    let own = house.placeholder.clone();
    let ended = channel(&house, Set::default(), async |mut workload, mut upstream| {
        upstream.text(&format!("{{\"echo\": \"Bearer {CANARY}\"}}")).await;
        assert_eq!(workload.heard_text().await, format!("{{\"echo\": \"Bearer {own}\"}}"));
        upstream.say(Opcode::Binary, STANDARD.encode(CANARY).as_bytes()).await;
        let (_, seen, _) = workload.message().await;
        let seen = STANDARD.decode(seen).unwrap();
        // The last symbol also holds bits of what follows.
        assert_eq!(seen[..CANARY.len() - 2], own.as_bytes()[..CANARY.len() - 2]);
        assert!(memchr::memmem::find(&seen, CANARY.as_bytes()).is_none());
        // Cut anywhere, and with a ping between the parts.
        let (begin, rest) = CANARY.split_at(9);
        upstream.say_part(false, Opcode::Text, begin.as_bytes()).await;
        upstream.say(Opcode::Ping, CANARY.as_bytes()).await;
        upstream.say_part(false, Opcode::Continuation, b"").await;
        upstream.say_part(true, Opcode::Continuation, rest.as_bytes()).await;
        assert_eq!(workload.hear().await, Some(Event::Ping(Bytes::new())));
        assert_eq!(workload.heard_text().await, own);
        upstream.close(4000, &format!("no {CANARY}")).await;
        assert_eq!(workload.closed().await, (4000, format!("no {own}")));
        // A library answers with what it heard: to quote is no misuse.
        workload.close(4000, &format!("no {own}")).await;
        assert_eq!(upstream.closed().await, (4000, String::new()));
    })
    .await;
    assert_eq!((ended.tally.replaced, ended.tally.complete), (5, true));
}

#[tokio::test]
async fn t02_each_hop_is_compressed_for_itself() {
    let house = House::in_the_handshake();
    let own = house.placeholder.clone();
    let filler = "words and words ".repeat(100);
    for (workload, upstream) in [(true, true), (true, false), (false, true), (false, false)] {
        let deflate = Deflate { workload, upstream };
        let set = Set { deflate, ..Set::default() };
        let ended = channel(&house, set, async |mut workload, mut upstream| {
            workload.text(&filler).await;
            let (_, heard, compressed) = upstream.message().await;
            assert_eq!((heard, compressed), (filler.clone().into_bytes(), deflate.upstream), "{deflate:?}");
            upstream.text(&format!("{filler}{CANARY}")).await;
            let (_, heard, compressed) = workload.message().await;
            assert_eq!(String::from_utf8(heard).unwrap(), format!("{filler}{own}"), "{deflate:?}");
            assert_eq!(compressed, deflate.workload);
            end(workload, upstream).await;
        })
        .await;
        assert!(ended.tally.complete, "{deflate:?}");
    }
}

#[tokio::test]
async fn every_frame_to_an_upstream_has_a_mask_of_its_own() {
    let house = House::in_the_handshake();
    channel(&house, Set::default(), async |mut workload, mut upstream| {
        let mut masks = Vec::new();
        for _ in 0..3 {
            // Three fragments leave as one frame: two bytes of head, four of mask, two of text.
            workload.say_part(false, Opcode::Text, b"a").await;
            workload.say_part(false, Opcode::Continuation, b"").await;
            workload.say_part(true, Opcode::Continuation, b"b").await;
            let mut frame = [0; 8];
            upstream.io.read_exact(&mut frame).await.unwrap();
            assert_eq!(frame[..2], [0x81, 0x82]);
            masks.push(frame[2..6].to_vec());
        }
        masks.sort();
        masks.dedup();
        assert!(masks.len() > 1, "one mask for all: {masks:?}");
        end(workload, upstream).await;
    })
    .await;
}

#[tokio::test]
async fn a_side_that_does_not_read_is_waited_for_with_bounded_memory() {
    let house = House::in_the_handshake();
    channel(&house, Set::default(), async |workload, mut upstream| {
        let frame = {
            let mut frame = Vec::new();
            write(&mut frame, Opcode::Binary, false, None, &[7; 1000]);
            frame
        };
        // Two pipes, and what each hop has in hand.
        let most = 2 * PIPE + 64 * 1024;
        let mut written = 0;
        while tokio::time::timeout(Duration::from_millis(50), upstream.io.write_all(&frame)).await.is_ok() {
            written += frame.len();
            assert!(written < most, "{written} bytes went into a channel that nobody reads");
        }
        assert!(written > PIPE);
        drop((workload.io, upstream.io));
    })
    .await;
}

/// How the secret may come back, and how it is cut.
fn echo() -> impl Strategy<Value = (String, Vec<usize>, bool)> {
    let spelling = prop_oneof![
        Just(CANARY.to_owned()),
        Just(STANDARD.encode(CANARY)),
        Just(CANARY.bytes().map(|byte| format!("{byte:02x}")).collect()),
        Just(CANARY.bytes().map(|byte| format!("%{byte:02X}")).collect()),
        Just(CANARY.bytes().map(|byte| format!("\\u{byte:04x}")).collect()),
    ];
    let text = ("[a-z ]{0,40}", spelling, "[a-z ]{0,40}").prop_map(|(a, b, c)| [a, b, c].concat());
    (text, prop::collection::vec(0..30_usize, 1..8), any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn t01_a_secret_is_found_however_its_message_is_cut((text, cuts, zipped) in echo()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let house = House::in_the_handshake();
        let deflate = Deflate { workload: zipped, upstream: false };
        runtime.block_on(channel(&house, Set { deflate, ..Set::default() }, async |mut workload, mut upstream| {
            let (mut rest, mut opcode) = (text.as_bytes(), Opcode::Text);
            for cut in cuts {
                let (part, after) = rest.split_at(cut.min(rest.len()));
                upstream.say_part(false, opcode, part).await;
                (rest, opcode) = (after, Opcode::Continuation);
            }
            upstream.say_part(true, Opcode::Continuation, rest).await;
            let (_, heard, _) = workload.message().await;
            let forms = [CANARY.to_owned(), text.trim_matches([' ']).to_owned()];
            for form in forms {
                assert!(memchr::memmem::find(&heard, form.as_bytes()).is_none(), "{}", String::from_utf8_lossy(&heard));
            }
            end(workload, upstream).await;
        }));
    }
}
