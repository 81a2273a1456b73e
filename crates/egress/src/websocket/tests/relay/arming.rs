//! A placeholder in a message: armed at its place in the first messages, and refused one step beside it.

use super::*;

fn login(token: &str) -> String {
    format!("{{\"op\": 2, \"d\": {{\"token\": \"{token}\", \"v\": 1}}}}")
}

#[tokio::test]
async fn t01_a_placeholder_in_a_message_is_exchanged_and_its_secret_does_not_come_back() {
    let house = House::in_a_message();
    let own = house.placeholder.clone();
    let deflate = Deflate { workload: true, upstream: true };
    let ended = channel(&house, Set { deflate, ..Set::default() }, async |mut workload, mut upstream| {
        // Other messages do not count against another permit, pings do not count at all.
        workload.say(Opcode::Ping, b"").await;
        assert_eq!(upstream.hear().await, Some(Event::Ping(bytes(""))));
        let filler = " ".repeat(1000);
        workload.text(&format!("{}{filler}", login(&own))).await;
        let (_, heard, compressed) = upstream.message().await;
        assert_eq!(String::from_utf8(heard).unwrap(), format!("{}{filler}", login(CANARY)));
        assert!(!compressed, "a message with a secret is never compressed");
        upstream.text(&login(CANARY)).await;
        assert_eq!(workload.heard_text().await, login(&own));
        end(workload, upstream).await;
    })
    .await;
    assert_eq!((ended.tally.replaced, ended.refusal.is_none()), (1, true));
    let intents = house.intents.lock().unwrap();
    let [(intent, opened)] = intents.as_slice() else { panic!("{intents:?}") };
    assert_eq!((intent.uses.len(), *opened), (1, 0), "on record before the secret is opened");
    assert_eq!(intent.uses[0].placeholder, house.id);
}

#[tokio::test]
async fn a_second_message_carries_it_where_the_permit_says_two() {
    let house = House::new("websocket json /d/token", "messages = 2");
    let own = house.placeholder.clone();
    channel(&house, Set::default(), async |mut workload, mut upstream| {
        workload.text("{\"op\": 1}").await;
        assert_eq!(upstream.heard_text().await, "{\"op\": 1}");
        workload.text(&login(&own)).await;
        assert_eq!(upstream.heard_text().await, login(CANARY));
        end(workload, upstream).await;
    })
    .await;
    assert_eq!(house.intents.lock().unwrap().len(), 1);
}

/// What a workload says, and the code that ends the channel.
async fn refused(house: &House, before: &[&str], opcode: Opcode, payload: &[u8]) -> (String, Option<Code>) {
    let mut reason = String::new();
    let ended = channel(house, Set::default(), async |mut workload, mut upstream| {
        for text in before {
            workload.text(text).await;
            upstream.heard_text().await;
        }
        workload.say(opcode, payload).await;
        let (code, why) = workload.closed().await;
        assert_eq!(code, 1008, "{why}");
        assert_eq!(upstream.closed().await, (1001, String::new()), "an upstream learns nothing");
        assert_eq!(upstream.hear().await, None);
        reason = why;
    })
    .await;
    assert!(!ended.tally.complete);
    assert!(ended.refusal.as_ref().is_some_and(|refusal| refusal.event().is_some()), "a security event");
    (reason, ended.refusal.map(|refusal| refusal.code()))
}

#[tokio::test]
async fn t15_a_placeholder_one_step_beside_its_place_ends_the_channel() {
    let house = House::in_a_message();
    let (own, foreign) = (house.placeholder.clone(), house.foreign.clone());
    let other_member = format!("{{\"d\": {{\"other\": \"{own}\"}}}}");
    let twice = format!("{{\"d\": {{\"token\": \"{own}\"}}, \"e\": \"{own}\"}}");
    let longer = login(&format!("x{own}"));
    let escaped = login(&own.replacen('_', "\\u005f", 1));
    let no_json = format!("token {own}");
    let close = Close::payload(1000, own.as_bytes());
    for (name, before, opcode, payload, code) in [
        ("another member", &[][..], Opcode::Text, other_member.as_bytes(), Code::PlaceNotPermitted),
        ("a stray beside it", &[], Opcode::Text, twice.as_bytes(), Code::PlaceNotPermitted),
        ("not alone in its string", &[], Opcode::Text, longer.as_bytes(), Code::PlaceNotPermitted),
        ("escaped", &[], Opcode::Text, escaped.as_bytes(), Code::PlaceNotPermitted),
        ("the next message", &["{}"], Opcode::Text, login(&own).as_bytes(), Code::PlaceNotPermitted),
        ("another workload's", &[], Opcode::Text, login(&foreign).as_bytes(), Code::WrongWorkload),
        ("a binary message", &[], Opcode::Binary, login(&own).as_bytes(), Code::PlaceNotPermitted),
        ("a ping", &[], Opcode::Ping, own.as_bytes(), Code::PlaceNotPermitted),
        ("a pong", &[], Opcode::Pong, own.as_bytes(), Code::PlaceNotPermitted),
        ("the reason of a close", &[], Opcode::Close, &close, Code::PlaceNotPermitted),
    ] {
        let (reason, found) = refused(&house, before, opcode, payload).await;
        assert_eq!((found, reason.as_str()), (Some(code), code.as_str()), "{name}");
    }
    let (_, code) = refused_plain(&house, no_json.as_bytes()).await;
    assert_eq!(code, Some(Code::BodyNotPermitted), "a text that is no JSON");
    assert_eq!(house.custody.opened(), 0);
    assert!(house.intents.lock().unwrap().is_empty());
}

/// The same, where the refusal is no security event.
async fn refused_plain(house: &House, payload: &[u8]) -> (String, Option<Code>) {
    let mut reason = String::new();
    let ended = channel(house, Set::default(), async |mut workload, mut upstream| {
        workload.say(Opcode::Text, payload).await;
        let (code, why) = workload.closed().await;
        assert_eq!((code, upstream.closed().await.0), (1008, 1001));
        reason = why;
    })
    .await;
    (reason, ended.refusal.map(|refusal| refusal.code()))
}

#[tokio::test]
async fn t15_a_placeholder_in_a_message_is_a_stray_where_the_handshake_carried_it() {
    let house = House::in_the_handshake();
    let own = login(&house.placeholder);
    let (_, code) = refused(&house, &[], Opcode::Text, own.as_bytes()).await;
    assert_eq!(code, Some(Code::PlaceNotPermitted));
}

#[tokio::test]
async fn nothing_is_opened_for_a_message_that_cannot_be_recorded() {
    let mut house = House::in_a_message();
    house.refuse = Some(Code::JournalUnavailable);
    let own = login(&house.placeholder);
    let (reason, code) = refused_plain(&house, own.as_bytes()).await;
    assert_eq!((reason.as_str(), code), ("journal-unavailable", Some(Code::JournalUnavailable)));
    assert_eq!(house.custody.opened(), 0);
}
