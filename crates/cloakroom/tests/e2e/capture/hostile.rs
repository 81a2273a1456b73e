//! What a workload may try with exchanges: against others who share its credential, against the broker, and after the end.

use super::*;
use crate::support::eventually;
use cloakroom_testkit::{BrokerBuilder, TestAuthority};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Another access token each time.
fn another(expires_in: u64) -> impl Fn(&Received) -> Reply + Send {
    let count = AtomicUsize::new(0);
    move |_| {
        let mut reply = google();
        reply["access_token"] = shaped(&format!("ya29.{}-", count.fetch_add(1, Ordering::SeqCst))).into();
        reply["expires_in"] = expires_in.into();
        Reply::ok("application/json", reply.to_string())
    }
}

/// What the service shows of the first call that it had.
fn first_seen(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-first").unwrap().to_owned()
}

fn rows(stage: &Stage, which: &str) -> String {
    format!("{:?}", stage.broker().peek(&format!("SELECT count(*) FROM captured WHERE {which}")))
}

#[test]
fn t106_another_grant_does_not_replace_a_refresh_token_that_others_share() {
    let stage = Stage::refreshing();
    let other = stage.broker().workload("other");
    let permits = policy(&stage.endpoint.url(), &stage.service.url(), "form refresh_token", "");
    let theirs = stage.broker().permit("c", "other", &permits, &[]);
    let sent_by_other = || {
        let form = format!("grant_type=refresh_token&client_id=app&refresh_token={}", theirs.text);
        let answer = stage.broker().call(Way::Connect, Some(&other), &stage.form(&form));
        assert_eq!(answer.status, 200, "{}", answer.text());
        String::from_utf8(stage.endpoint.last().body).unwrap()
    };
    let grants = |refresh: &str| {
        let mut reply = google();
        reply["refresh_token"] = refresh.into();
        stage.answers(granting(reply));
    };
    for (round, form) in [
        "grant_type=authorization_code&code=mine&refresh_token=",
        "grant_type=refresh_token&code=mine&refresh_token=",
        "grant_type=refresh_token&grant.type=authorization_code&refresh_token=",
        "refresh_token=",
    ]
    .into_iter()
    .enumerate()
    {
        grants(&shaped(&format!("1//0mine{round}")));
        let answer = stage.send(&stage.form(&format!("{form}{}", stage.issued.text)));
        let own = text(&answer.json()["refresh_token"]);
        assert_ne!(own, stage.issued.text, "{form}");
        stage.answers(granting(google()));
        let sent = sent_by_other();
        assert!(sent.ends_with(&shaped("1//0g").replace('/', "%2F")), "{form}: {sent}");
    }
    // A refresh does.
    grants(&shaped("1//0next"));
    assert_eq!(text(&stage.refresh().json()["refresh_token"]), stage.issued.text);
    stage.answers(granting(google()));
    let sent = sent_by_other();
    assert!(sent.ends_with(&shaped("1//0next").replace('/', "%2F")), "{sent}");
}

#[test]
fn t97_an_exchange_is_under_way_until_it_ends_whoever_hangs_up() {
    let authority = TestAuthority::new();
    let settings = authority.directory().join("limits.toml");
    std::fs::write(&settings, "[limits]\ncalls-per-workload = 2\n").unwrap();
    let broker = BrokerBuilder::new(crate::support::BINARY, &authority)
        .argument("--config")
        .argument(settings)
        .start();
    let robot = broker.workload("robot");
    let (arrived, arrivals) = mpsc::channel::<()>();
    let (release, gate) = mpsc::channel::<()>();
    let (arrived, gate) = (Mutex::new(arrived), Mutex::new(gate));
    let endpoint = TlsUpstream::start(&authority, move |_| {
        let _ = arrived.lock().unwrap().send(());
        let _ = gate.lock().unwrap().recv();
        Reply::ok("application/json", google().to_string())
    });
    broker.deposit("c", "bearer", &[&endpoint.url()], &shaped("1//0g"));
    let permits = policy(&endpoint.url(), &endpoint.url(), "form refresh_token", "");
    let issued = broker.permit("c", "robot", &permits, &[]);
    let request = Request::new("POST", &endpoint.authority(), "/token").with_body(
        "application/x-www-form-urlencoded",
        format!("grant_type=refresh_token&refresh_token={}", issued.text),
    );
    for _ in 0..2 {
        let Ok(mut wire) = broker.tunnel(&endpoint.authority(), Some(&robot)) else { panic!("no tunnel") };
        wire.send(&request.bytes(Way::Connect, Some(&robot)));
        arrivals.recv().unwrap();
    }
    for _ in 0..20 {
        let answer = broker.call(Way::Connect, Some(&robot), &request);
        assert_eq!(answer.code().as_deref(), Some("rate-limited"), "{}", answer.text());
    }
    assert!(arrivals.try_recv().is_err(), "nothing more went out");
    drop(release);
    eventually("the exchanges have ended", || {
        (broker.call(Way::Connect, Some(&robot), &request).status == 200).then_some(())
    });
}

#[test]
fn t09_a_token_whose_placeholder_was_revoked_is_looked_for_still() {
    let stage = Stage::refreshing();
    stage.answers(another(3600));
    let permits = policy(&stage.endpoint.url(), &stage.service.url(), "form refresh_token", "");
    let second = stage.broker().permit("c", "robot", &permits, &[]);
    let revoked = stage.access_token(&stage.refresh());
    assert_eq!(first_seen(&stage.item(&revoked)), format!("Bearer {revoked}"));
    stage.broker().cli(&["placeholder", "revoke", &stage.issued.id]);
    let other = stage.access_token(&stage.refresh_with(&second.text));
    assert_eq!(first_seen(&stage.item(&other)), "Bearer another-credential");
}

#[test]
fn t09_a_token_that_newer_ones_pushed_out_is_looked_for_still() {
    let stage = Stage::refreshing();
    stage.answers(another(3600));
    let first = stage.access_token(&stage.refresh());
    assert_eq!(first_seen(&stage.item(&first)), format!("Bearer {first}"));
    let others: Vec<String> = (0..64).map(|_| stage.access_token(&stage.refresh())).collect();
    assert_ne!(stage.item(&first).status, 200, "64 are kept");
    assert_eq!(first_seen(&stage.item(&others[63])), "Bearer another-credential");
}

#[test]
fn t09_a_captured_token_works_after_a_start_and_is_looked_for() {
    let mut stage = Stage::refreshing();
    stage.answers(another(3600));
    let first = stage.access_token(&stage.refresh());
    assert_eq!(first_seen(&stage.item(&first)), format!("Bearer {first}"));
    stage.setup.broker.kill();
    stage.setup.broker.launch();
    let second = stage.access_token(&stage.refresh());
    assert_eq!(first_seen(&stage.item(&second)), "Bearer another-credential");
    assert_eq!(first_seen(&stage.item(&first)), format!("Bearer {first}"));
}

#[test]
fn t67_nothing_stays_sealed_of_an_exchange_during_which_its_placeholder_was_revoked() {
    let stage = Stage::refreshing();
    let (arrived, arrivals) = mpsc::channel::<()>();
    let (release, gate) = mpsc::channel::<()>();
    stage.answers(move |_| {
        arrived.send(()).unwrap();
        let _ = gate.recv();
        let mut reply = google();
        reply["refresh_token"] = shaped("1//0late").into();
        Reply::ok("application/json", reply.to_string())
    });
    // Not a refresh: what is granted gets placeholders of its own.
    let request =
        stage.form(&format!("grant_type=authorization_code&code=a&refresh_token={}", stage.issued.text));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| stage.send(&request));
        arrivals.recv().unwrap();
        stage.broker().cli(&["placeholder", "revoke", &stage.issued.id]);
        assert_eq!(call.join().unwrap().code().as_deref(), Some("placeholder-revoked"));
    });
    release.send(()).unwrap();
    eventually("the exchange has ended", || (rows(&stage, "true") == "Integer(2)").then_some(()));
    assert_eq!(rows(&stage, "sealed IS NOT NULL"), "Integer(0)");
}

#[test]
fn tokens_that_ended_are_recognised_up_to_a_number() {
    let stage = Stage::refreshing();
    stage.answers(another(0));
    for _ in 0..70 {
        stage.access_token(&stage.refresh());
    }
    assert_eq!(rows(&stage, "true"), "Integer(64)");
    assert_eq!(rows(&stage, "sealed IS NOT NULL"), "Integer(1)", "the next exchange erases it");
}
