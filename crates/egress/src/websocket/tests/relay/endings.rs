//! How channels end: in order, by a side, by policy, by the broker.

use super::*;
use std::time::Instant;

#[tokio::test]
async fn t67_a_channel_ends_at_once_when_its_placeholder_is_revoked() {
    for mut house in [House::in_the_handshake(), House::in_a_message()] {
        house.revoke();
        let revoked = Arc::new(house.desk.set());
        let mut took = None;
        let ended = channel(&house, Set::default(), async |mut workload, mut upstream| {
            upstream.text("still here").await;
            workload.heard_text().await;
            let before = Instant::now();
            house.policies.store(revoked);
            assert_eq!(workload.closed().await, (1008, "placeholder-revoked".into()));
            took = Some(before.elapsed());
            assert_eq!(upstream.closed().await, (1001, String::new()));
        })
        .await;
        assert_eq!(ended.refusal.map(|refusal| refusal.code()), Some(Code::PlaceholderRevoked));
        assert!(!ended.tally.complete);
        // Thirty milliseconds and a busy machine.
        assert!(took.unwrap() < Duration::from_secs(2), "{took:?}");
    }
}

#[tokio::test]
async fn t67_a_revoked_channel_ends_though_its_workload_does_not_read() {
    let mut house = House::in_the_handshake();
    house.revoke();
    let revoked = Arc::new(house.desk.set());
    let ended = channel(&house, Set::default(), async |workload, mut upstream| {
        for _ in 0..4 {
            upstream.say(Opcode::Binary, &[0; PIPE / 2]).await;
        }
        house.policies.store(revoked);
        let mut rest = Vec::new();
        upstream.io.read_to_end(&mut rest).await.unwrap();
        drop(workload);
    })
    .await;
    assert_eq!(ended.refusal.map(|refusal| refusal.code()), Some(Code::PlaceholderRevoked));
}

#[tokio::test]
async fn another_change_of_policies_leaves_a_channel_alone() {
    let mut house = House::in_the_handshake();
    house.desk.workload("newcomer");
    let changed = Arc::new(house.desk.set());
    let ended = channel(&house, Set::default(), async |mut workload, mut upstream| {
        house.policies.store(changed);
        // Twice as long as a change takes to be seen.
        tokio::time::timeout(Duration::from_millis(100), upstream.hear()).await.unwrap_err();
        workload.text("on").await;
        assert_eq!(upstream.heard_text().await, "on");
        end(workload, upstream).await;
    })
    .await;
    assert!(ended.tally.complete);
}

#[tokio::test]
async fn a_broker_that_stops_says_so_to_both_sides() {
    let house = House::in_the_handshake();
    let (tell, told) = tokio::sync::oneshot::channel::<()>();
    let stop = async { drop(told.await) };
    let ended = channel_until(&house, Set::default(), stop, async |mut workload, mut upstream| {
        tell.send(()).unwrap();
        assert_eq!(workload.closed().await.0, 1001);
        assert_eq!(upstream.closed().await.0, 1001);
        assert_eq!((workload.hear().await, upstream.hear().await), (None, None));
    })
    .await;
    assert!(!ended.tally.complete && ended.refusal.is_none());
}

#[tokio::test]
async fn t95_a_silent_channel_ends() {
    let house = House::in_the_handshake();
    let limits = ChannelLimits { idle: Duration::from_millis(100), ..Set::default().limits };
    let begun = Instant::now();
    channel(&house, Set { limits, ..Set::default() }, async |mut workload, mut upstream| {
        // Half a frame is not something said.
        upstream.write(&[0x81]).await;
        assert_eq!(workload.closed().await.0, 1001);
        assert_eq!(upstream.closed().await.0, 1001);
    })
    .await;
    assert!(begun.elapsed() >= limits.idle);
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_the_channel_and_each_side_is_told_its_part() {
    let house = House::in_the_handshake();
    let masked = |payload: &[u8], opcode| {
        let mut frame = Vec::new();
        write(&mut frame, opcode, false, Some(MASK), payload);
        frame
    };
    let large = vec![0; 2000];
    let mut unmasked = Vec::new();
    write(&mut unmasked, Opcode::Binary, false, None, &large);
    let limits = ChannelLimits { message: 1000, ..Set::default().limits };
    for (name, from, bytes, workload_told, upstream_told) in [
        ("a workload's frame without mask", Sender::Workload, vec![0x81, 0x01, b'x'], 1002, 1001),
        ("a workload's bad text", Sender::Workload, masked(&[0xFF], Opcode::Text), 1007, 1001),
        ("a workload's large message", Sender::Workload, masked(&large, Opcode::Binary), 1009, 1001),
        ("an upstream's masked frame", Sender::Upstream, masked(b"x", Opcode::Text), 1014, 1002),
        ("an upstream's reserved opcode", Sender::Upstream, vec![0x83, 0], 1014, 1002),
        ("an upstream's compressed frame", Sender::Upstream, vec![0xC1, 0], 1014, 1002),
        ("an upstream's large message", Sender::Upstream, unmasked.clone(), 1009, 1009),
    ] {
        let ended = channel(&house, Set { limits, ..Set::default() }, async |mut workload, mut upstream| {
            match from {
                Sender::Workload => workload.write(&bytes).await,
                Sender::Upstream => upstream.write(&bytes).await,
            }
            assert_eq!(workload.closed().await.0, workload_told, "{name}");
            assert_eq!(upstream.closed().await.0, upstream_told, "{name}");
        })
        .await;
        assert!(!ended.tally.complete, "{name}");
    }
}

#[tokio::test]
async fn t96_a_compressed_message_that_grows_beyond_the_bound_ends_the_channel() {
    let house = House::in_the_handshake();
    let deflate = Deflate { workload: false, upstream: true };
    channel(&house, Set { deflate, ..Set::default() }, async |mut workload, mut upstream| {
        upstream.text(&" ".repeat((1 << 20) + 1)).await;
        assert_eq!(workload.closed().await.0, 1009);
        assert_eq!(upstream.closed().await.0, 1009);
    })
    .await;
}

#[tokio::test]
async fn a_side_that_goes_away_takes_the_channel_with_it() {
    let house = House::in_the_handshake();
    let ended = channel(&house, Set::default(), async |mut workload, upstream| {
        drop(upstream);
        assert_eq!(workload.closed().await, (1014, "the destination went away".into()));
    })
    .await;
    assert!(!ended.tally.complete);
    let ended = channel(&house, Set::default(), async |workload, mut upstream| {
        drop(workload);
        assert_eq!(upstream.closed().await, (1001, String::new()));
    })
    .await;
    assert!(!ended.tally.complete);
}

#[tokio::test]
async fn an_upstream_that_ends_the_channel_is_answered_by_the_workload() {
    let house = House::in_the_handshake();
    let ended = channel(&house, Set::default(), async |mut workload, mut upstream| {
        upstream.text("last").await;
        upstream.close(1012, "restart").await;
        assert_eq!(workload.heard_text().await, "last");
        assert_eq!(workload.closed().await, (1012, "restart".into()));
        workload.say(Opcode::Close, b"").await;
        assert_eq!(upstream.hear().await, Some(Event::Close(None)));
        assert_eq!((upstream.hear().await, workload.hear().await), (None, None));
    })
    .await;
    assert!(ended.tally.complete);
}
