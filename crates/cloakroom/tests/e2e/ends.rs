//! How placeholders end, and what is on record of it.

use crate::lifecycle::Stage;
use crate::support::{eventually, item, items};
use cloakroom_testkit::{Issued, Way, shaped};

/// The acts on record about this placeholder, with who did them.
fn acts(stage: &Stage, issued: &Issued) -> Vec<(String, String)> {
    let journal = stage.broker().cli_json(&["journal", "show"]);
    let entries = journal.as_array().unwrap().iter().map(|record| &record["entry"]);
    let of = entries.filter(|entry| entry["kind"] == "act" && entry["subject"] == issued.id.as_str());
    of.map(|entry| [&entry["act"], &entry["by"]].map(|text| text.as_str().unwrap().to_owned()).into())
        .collect()
}

fn by_the_broker(act: &str) -> (String, String) {
    (act.to_owned(), "the broker".to_owned())
}

#[test]
fn what_nobody_does_is_on_record_too_once_and_also_what_ended_while_no_broker_ran() {
    let mut stage = Stage::new();
    let (spent, expired) = (stage.permit(&["--uses", "1"]), stage.permit(&["--expires", "1s"]));
    let (later, kept) = (stage.permit(&["--expires", "3s"]), stage.permit(&["--uses", "2"]));
    let issued = std::time::Instant::now();
    stage.assert_works(&spent);
    stage.assert_works(&kept);
    stage.setup.broker.stop();
    eventually("its time is over", || (issued.elapsed().as_secs() > 3).then_some(()));
    stage.setup.broker.launch();
    for (issued, act) in
        [(&spent, "placeholder spent"), (&expired, "placeholder expired"), (&later, "placeholder expired")]
    {
        eventually(act, || acts(&stage, issued).contains(&by_the_broker(act)).then_some(()));
    }
    stage.setup.broker.restart();
    stage.assert_works(&kept);
    eventually("its last use is on record", || {
        acts(&stage, &kept).contains(&by_the_broker("placeholder spent")).then_some(())
    });
    for issued in [&spent, &expired, &later, &kept] {
        let by_itself = acts(&stage, issued).into_iter().filter(|(_, by)| by == "the broker").count();
        assert_eq!(by_itself, 1, "{:?}", acts(&stage, issued));
    }
    let answer = stage.broker().run(&["placeholder", "freeze", &expired.id]);
    assert!(
        !answer.status.success() && answer.stderr.contains("is expired, which is for good"),
        "{answer:?}"
    );
}

#[test]
fn t67_the_record_states_the_last_use_before_the_end_and_the_first_refusal_after() {
    let stage = Stage::new();
    let issued = stage.permit(&[]);
    let show = || stage.broker().cli_json(&["placeholder", "show", &issued.id])["history"].take();
    assert!(show()["last_use"].is_null());
    let mut last = String::new();
    for _ in 0..2 {
        last = stage.call(&issued).header("cloakroom-request").unwrap().to_owned();
    }
    let before = show();
    assert_eq!(before["last_use"]["request"], last.as_str());
    assert_eq!(before["last_use"]["peer"], "127.0.0.1");
    assert!(before["ended"].is_null() && before["first_refusal"].is_null(), "{before}");
    stage.broker().cli(&["placeholder", "revoke", &issued.id]);
    let stranger = stage.broker().workload("stranger");
    let refused: Vec<String> = [&stage.setup.robot, &stranger]
        .map(|who| stage.call_as(Some(who), &issued.text, Way::Absolute))
        .map(|answer| answer.header("cloakroom-request").unwrap().to_owned())
        .into();
    let after = show();
    assert_eq!(after["last_use"], before["last_use"]);
    assert_eq!(after["ended"]["act"], "placeholder revoked");
    assert_eq!(after["first_refusal"]["request"], refused[0].as_str());
    assert_eq!(after["first_refusal"]["code"], "placeholder-revoked");
    let text = stage.broker().cli(&["placeholder", "show", &issued.id]).stdout;
    for line in ["last use", "first refused", &last, &refused[0]] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let explained = stage.broker().cli(&["explain", &last]).stdout;
    assert!(explained.contains("peer") && explained.contains("127.0.0.1"), "{explained}");
}

#[test]
fn each_that_ends_with_its_family_is_on_record() {
    let stage = Stage::new();
    let first = stage.permit(&["--on-misuse", "revoke-family"]);
    let child = stage.permit(&["--parent", &first.id]);
    let grandchild = stage.permit(&["--parent", &child.id]);
    let beside = stage.permit(&[]);
    let stranger = stage.broker().workload("stranger");
    let answer = stage.call_as(Some(&stranger), &first.text, Way::Absolute);
    assert_eq!(answer.code().as_deref(), Some("wrong-workload"));
    for one in [&first, &child, &grandchild] {
        let ended = ("placeholder revoked".to_owned(), "misuse: other-workload".to_owned());
        assert_eq!(acts(&stage, one).last(), Some(&ended));
        stage.assert_refused(one, "placeholder-revoked");
    }
    stage.assert_works(&beside);
}

#[test]
fn t67_a_kept_connection_carries_nothing_of_what_was_revoked() {
    let stage = Stage::new();
    stage.broker().deposit("d", "bearer", &[&stage.upstream.url()], &shaped("ghp_"));
    let (revoked, same) = (stage.permit(&[]), stage.permit(&[]));
    let other = stage.broker().permit("d", "robot", &items(&stage.upstream), &[]);
    let mut wire = stage.broker().tunnel(&stage.upstream.authority(), Some(&stage.setup.robot)).unwrap();
    let mut call = |issued: &Issued| {
        wire.send(&item(&stage.upstream, "1", &issued.text).bytes(Way::Connect, None));
        wire.receive("GET").unwrap()
    };
    for issued in [&revoked, &other] {
        assert_eq!(call(issued).status, 200);
    }
    let (requests, connections) = (stage.upstream.requests().len(), stage.upstream.connections());
    stage.broker().cli(&["placeholder", "revoke", &revoked.id]);
    // The tunnel is kept, and so are the connections behind it; the call that was revoked reaches none of them.
    assert_eq!(call(&revoked).code().as_deref(), Some("placeholder-revoked"));
    assert_eq!(stage.upstream.requests().len(), requests);
    for (issued, credential) in [(&same, "sk_live_"), (&other, "ghp_"), (&same, "sk_live_")] {
        let answer = call(issued);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = stage.upstream.last();
        assert_eq!(sent.header("authorization"), Some(format!("Bearer {}", shaped(credential)).as_str()));
        assert!(
            !String::from_utf8_lossy(&answer.raw).contains(&revoked.text),
            "another's placeholder in the answer"
        );
    }
    assert_eq!(stage.upstream.connections(), connections, "the kept connections were used on");
}
