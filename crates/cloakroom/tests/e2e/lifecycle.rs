//! The life of a placeholder: what changes counts for the very next call, and survives a restart.

use crate::support::{eventually, item, items, policy, setup};
use cloakroom_testkit::{
    Broker, Issued, Request, Response, Setup, TAIL, TlsUpstream, Way, Workload, echo, shaped,
};

pub(crate) struct Stage {
    pub(crate) setup: Setup,
    pub(crate) upstream: TlsUpstream,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let setup = setup();
        let upstream = TlsUpstream::start(&setup.authority, echo);
        setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        Self { setup, upstream }
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.setup.broker
    }

    pub(crate) fn permit(&self, more: &[&str]) -> Issued {
        self.broker().permit("c", "robot", &items(&self.upstream), more)
    }

    pub(crate) fn call_as(&self, who: Option<&Workload>, placeholder: &str, way: Way) -> Response {
        self.broker().call(way, who, &item(&self.upstream, "1", placeholder))
    }

    pub(crate) fn call(&self, issued: &Issued) -> Response {
        self.call_as(Some(&self.setup.robot), &issued.text, Way::Absolute)
    }

    pub(crate) fn assert_refused(&self, issued: &Issued, code: &str) {
        let before = self.upstream.requests().len();
        for way in Way::ALL {
            let answer = self.call_as(Some(&self.setup.robot), &issued.text, way);
            assert_eq!(answer.code().as_deref(), Some(code), "by {way:?}: {}", answer.text());
        }
        assert_eq!(self.upstream.requests().len(), before, "a refused call reached the upstream");
    }

    pub(crate) fn assert_works(&self, issued: &Issued) {
        let answer = self.call(issued);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn a_revoked_placeholder_is_refused_from_the_next_call_on_and_after_a_restart() {
    let mut stage = Stage::new();
    let (kept, revoked) = (stage.permit(&[]), stage.permit(&[]));
    stage.assert_works(&revoked);
    stage.broker().cli(&["placeholder", "revoke", &revoked.id]);
    stage.assert_refused(&revoked, "placeholder-revoked");
    stage.assert_works(&kept);
    stage.setup.broker.restart();
    stage.assert_refused(&revoked, "placeholder-revoked");
    stage.assert_works(&kept);
    stage.broker().verify_journal();
}

#[test]
fn a_rotated_credential_is_used_from_the_next_call_on_under_the_same_placeholder() {
    let mut stage = Stage::new();
    let issued = stage.permit(&[]);
    stage.assert_works(&issued);
    let renewed = shaped("sk_live_renewed_");
    let answer = stage.broker().run_with(&["credential", "rotate", "c"], &renewed);
    assert!(answer.status.success(), "{answer:?}");
    for _ in 0..2 {
        stage.assert_works(&issued);
        assert_eq!(stage.upstream.last().header("authorization"), Some(format!("Bearer {renewed}").as_str()));
        stage.setup.broker.restart();
    }
}

#[test]
fn the_placeholders_of_a_removed_credential_are_refused() {
    let mut stage = Stage::new();
    // Another credential keeps the destination reachable, so that only the removal is at issue.
    stage.broker().deposit("d", "bearer", &[&stage.upstream.url()], &shaped("ghp_"));
    let kept = stage.broker().permit("d", "robot", &items(&stage.upstream), &[]);
    let issued = stage.permit(&[]);
    stage.assert_works(&issued);
    stage.broker().cli(&["credential", "remove", "c"]);
    stage.assert_refused(&issued, "placeholder-revoked");
    stage.setup.broker.restart();
    stage.assert_refused(&issued, "placeholder-revoked");
    stage.assert_works(&kept);
    stage.broker().cli(&["credential", "remove", "d"]);
    // Now nothing active names the destination; the answer still says why.
    stage.assert_refused(&kept, "placeholder-revoked");
}

#[test]
fn a_removed_workload_is_unknown() {
    let stage = Stage::new();
    let issued = stage.permit(&[]);
    stage.assert_works(&issued);
    stage.broker().cli(&["workload", "remove", "robot"]);
    stage.assert_refused(&issued, "unknown-workload");
}

#[test]
fn a_placeholder_waits_for_its_approval() {
    let stage = Stage::new();
    let issued = stage.broker().issue("c", "robot", &items(&stage.upstream), &[]);
    let before = stage.call(&issued);
    assert_ne!(before.status, 200, "{}", before.text());
    let text = stage.broker().cli(&["approval", "show", &issued.approval]).stdout;
    for needle in ["/v1/items/", "GET", "robot", &stage.upstream.url(), "authorization"] {
        assert!(text.contains(needle), "the approval does not show {needle:?}:\n{text}");
    }
    stage.broker().cli(&["approval", "grant", &issued.approval, "--yes"]);
    stage.assert_works(&issued);
}

#[test]
fn an_approval_is_granted_by_the_bare_command_where_there_is_no_terminal() {
    let stage = Stage::new();
    for more in [&[][..], &["--json"], &["--yes"]] {
        let issued = stage.broker().issue("c", "robot", &items(&stage.upstream), &[]);
        stage.assert_refused(&issued, "placeholder-pending");
        let arguments = [&["approval", "grant", &issued.approval][..], more].concat();
        let answer = stage.broker().cli(&arguments);
        // The text that was signed is shown to whoever keeps the log; with --json it is asked for with `show`.
        assert_eq!(answer.stderr.contains("may GET"), !more.contains(&"--json"), "{}", answer.stderr);
        stage.assert_works(&issued);
    }
}

#[test]
fn a_pending_and_a_denied_placeholder_are_refused_by_their_names() {
    let stage = Stage::new();
    // Another placeholder makes the destination reachable at all.
    let active = stage.permit(&[]);
    let issued = stage.broker().issue("c", "robot", &items(&stage.upstream), &[]);
    stage.assert_refused(&issued, "placeholder-pending");
    stage.broker().cli(&["approval", "deny", &issued.approval]);
    stage.assert_refused(&issued, "approval-denied");
    assert!(!stage.broker().run(&["approval", "grant", &issued.approval, "--yes"]).status.success());
    stage.assert_refused(&issued, "approval-denied");
    stage.assert_works(&active);
}

#[test]
fn an_expired_placeholder_is_refused() {
    let stage = Stage::new();
    let kept = stage.permit(&[]);
    let issued = stage.permit(&["--expires", "1s"]);
    eventually("the placeholder expires", || {
        stage.call(&issued).code().filter(|code| code == "placeholder-expired")
    });
    stage.assert_refused(&issued, "placeholder-expired");
    stage.assert_works(&kept);
}

#[test]
fn a_counted_placeholder_is_spent_after_its_uses_and_stays_spent() {
    let mut stage = Stage::new();
    let issued = stage.permit(&["--uses", "2"]);
    stage.assert_works(&issued);
    stage.setup.broker.kill();
    stage.setup.broker.launch();
    stage.assert_works(&issued);
    stage.assert_refused(&issued, "placeholder-spent");
    stage.setup.broker.restart();
    stage.assert_refused(&issued, "placeholder-spent");
    assert_eq!(stage.upstream.requests().len(), 2);
}

#[test]
fn t63_a_single_use_placeholder_reaches_the_upstream_once_under_a_race() {
    let stage = Stage::new();
    let issued = stage.permit(&["--uses", "1"]);
    let codes: Vec<(u16, Option<String>)> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..24)
            .map(|n| {
                let (stage, issued) = (&stage, &issued);
                scope.spawn(move || stage.call_as(Some(&stage.setup.robot), &issued.text, Way::ALL[n % 3]))
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).map(|a| (a.status, a.code())).collect()
    });
    assert_eq!(codes.iter().filter(|(status, _)| *status == 200).count(), 1, "{codes:?}");
    let spent = codes.iter().filter(|(_, code)| code.as_deref() == Some("placeholder-spent")).count();
    assert_eq!(spent, 23, "{codes:?}");
    assert_eq!(stage.upstream.requests().len(), 1);
}

#[test]
fn t70_a_placeholder_works_for_its_own_workload_alone() {
    let stage = Stage::new();
    let issued = stage.permit(&[]);
    let other = stage.broker().workload("other");
    // Gives the other workload the same destination, so that only the placeholder is wrong.
    let own = stage.broker().permit("c", "other", &items(&stage.upstream), &[]);
    for way in Way::ALL {
        let answer = stage.call_as(Some(&other), &issued.text, way);
        assert_eq!(answer.code().as_deref(), Some("wrong-workload"), "{}", answer.text());
        let answer = stage.call_as(Some(&other), &own.text, way);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn t11_without_a_valid_workload_key_nothing_is_said_but_the_code() {
    let stage = Stage::new();
    let issued = stage.permit(&[]);
    let robot = &stage.setup.robot;
    let wrong_key = Workload { key: format!("{}x", robot.key), ..robot.clone() };
    let wrong_name = Workload { name: "nobody".into(), ..robot.clone() };
    for who in [None, Some(&wrong_key), Some(&wrong_name)] {
        for way in Way::ALL {
            let answer = stage.call_as(who, &issued.text, way);
            assert_eq!(
                (answer.status, answer.code().as_deref()),
                (407, Some("unknown-workload")),
                "{}",
                answer.text()
            );
            assert!(!answer.text().contains("the permit"), "{}", answer.text());
        }
        // A placeholder that exists and one that does not look the same to a stranger.
        let known = stage.call_as(who, &issued.text, Way::Absolute);
        let unknown = stage.call_as(who, "sk_live_0000000000000000000000000", Way::Absolute);
        let told = |answer: &Response| {
            let mut problem = answer.json();
            problem["instance"].take();
            (answer.status, answer.body.len(), problem)
        };
        assert_eq!(told(&known), told(&unknown));
    }
    assert_eq!(stage.upstream.connections(), 0);
}

#[test]
fn the_rate_of_a_permit_is_kept() {
    let stage = Stage::new();
    let to = stage.upstream.url();
    let permit = policy(&to, "GET /v1/items/{id}", "header authorization bearer", "rate = \"2/hour\"");
    let issued = stage.broker().permit("c", "robot", &permit, &[]);
    stage.assert_works(&issued);
    stage.assert_works(&issued);
    let answer = stage.call(&issued);
    assert_eq!((answer.status, answer.code().as_deref()), (429, Some("rate-limited")), "{}", answer.text());
    assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    assert_eq!(stage.upstream.requests().len(), 2);
}

#[test]
fn t78_a_permit_that_asks_a_human_each_time_refuses_while_no_human_answers() {
    let stage = Stage::new();
    let to = stage.upstream.url();
    let permit = policy(&to, "GET /v1/items/{id}", "header authorization bearer", "approve = \"each-call\"");
    let issued = stage.broker().permit("c", "robot", &permit, &[]);
    stage.assert_refused(&issued, "approval-required");
}

#[test]
fn a_credential_goes_only_where_it_was_deposited_for() {
    let stage = Stage::new();
    let elsewhere = policy("https://127.0.0.1:9", "GET /", "header authorization bearer", "");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    std::fs::write(&file, elsewhere).unwrap();
    let file = file.to_str().unwrap();
    let answer = stage.broker().run(&[
        "placeholder",
        "issue",
        "--credential",
        "c",
        "--workload",
        "robot",
        "--policy",
        file,
        "--json",
    ]);
    assert!(!answer.status.success(), "{answer:?}");
    assert!(answer.stderr.contains("destination-outside-credential"), "{answer:?}");
}

#[test]
fn t19_a_placeholder_works_at_its_own_destination_alone() {
    let stage = Stage::new();
    let second = TlsUpstream::start(&stage.setup.authority, echo);
    stage.broker().deposit("d", "bearer", &[&second.url()], &shaped("ghp_"));
    let (first_issued, second_issued) =
        (stage.permit(&[]), stage.broker().permit("d", "robot", &items(&second), &[]));
    let robot = Some(&stage.setup.robot);
    for way in Way::ALL {
        for (upstream, issued) in [(&second, &first_issued), (&stage.upstream, &second_issued)] {
            let answer = stage.broker().call(way, robot, &item(upstream, "1", &issued.text));
            assert_eq!(answer.code().as_deref(), Some("destination-not-permitted"), "{}", answer.text());
        }
    }
    assert_eq!((stage.upstream.connections(), second.connections()), (0, 0));
    stage.assert_works(&first_issued);
    assert_eq!(
        stage.broker().call(Way::Connect, robot, &item(&second, "1", &second_issued.text)).status,
        200
    );
    assert!(second.last().header("authorization").unwrap().contains(TAIL));
}

#[test]
fn a_refusal_can_be_explained_by_its_request_id() {
    let stage = Stage::new();
    let issued = stage.permit(&[]);
    let request = Request::new("DELETE", &stage.upstream.authority(), "/v1/items/1")
        .with("authorization", &format!("Bearer {}", issued.text));
    let answer = stage.broker().call(Way::BaseUrl, Some(&stage.setup.robot), &request);
    let problem = answer.json();
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.header("proxy-status").is_some(), "{:?}", answer.headers);
    for member in ["type", "title", "status", "detail", "instance", "code", "hint"] {
        assert!(!problem[member].is_null(), "no {member} in {problem}");
    }
    let instance = problem["instance"].as_str().unwrap();
    let request_id = &instance[instance.len() - 26..];
    let explained = stage.broker().cli(&["explain", request_id]).stdout;
    assert!(explained.contains("call-not-permitted"), "{explained}");
}

#[test]
fn t13_two_workloads_at_once_see_nothing_of_each_other() {
    let stage = Stage::new();
    let other = stage.broker().workload("other");
    stage.broker().deposit("d", "bearer", &[&stage.upstream.url()], &shaped("ghp_"));
    let (ours, theirs) =
        (stage.permit(&[]), stage.broker().permit("d", "other", &items(&stage.upstream), &[]));
    std::thread::scope(|scope| {
        for (who, own, foreign) in [(&stage.setup.robot, &ours, &theirs), (&other, &theirs, &ours)] {
            let stage = &stage;
            scope.spawn(move || {
                for n in 0..60 {
                    let answer = stage.call_as(Some(who), &own.text, Way::ALL[n % 3]);
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    let seen = String::from_utf8_lossy(&answer.raw).into_owned();
                    assert!(
                        seen.contains(&own.text) && !seen.contains(&foreign.text) && !seen.contains(TAIL)
                    );
                }
            });
        }
    });
}

#[test]
fn a_frozen_placeholder_is_refused_until_it_is_thawed_and_after_a_restart() {
    let mut stage = Stage::new();
    let (kept, frozen) = (stage.permit(&[]), stage.permit(&["--uses", "2"]));
    stage.assert_works(&frozen);
    let shown = stage.broker().cli_json(&["placeholder", "freeze", &frozen.id]);
    assert_eq!((shown["state"].as_str(), shown["frozen"].is_string()), (Some("frozen"), true));
    stage.assert_refused(&frozen, "placeholder-frozen");
    stage.assert_works(&kept);
    stage.setup.broker.restart();
    stage.assert_refused(&frozen, "placeholder-frozen");
    assert_eq!(stage.broker().cli_json(&["placeholder", "thaw", &frozen.id])["state"], "active");
    stage.assert_works(&frozen);
    stage.assert_refused(&frozen, "placeholder-spent");
}

#[test]
fn what_was_revoked_or_denied_is_neither_frozen_nor_thawed() {
    let stage = Stage::new();
    let revoked = stage.permit(&[]);
    stage.broker().cli(&["placeholder", "revoke", &revoked.id]);
    for what in ["freeze", "thaw"] {
        let answer = stage.broker().run(&["placeholder", what, &revoked.id]);
        assert!(!answer.status.success() && answer.stderr.contains("for good"), "{answer:?}");
    }
    stage.assert_refused(&revoked, "placeholder-revoked");
}

#[test]
fn freezing_counts_for_the_next_call_on_a_kept_connection() {
    let stage = Stage::new();
    let issued = stage.permit(&[]);
    let mut wire = stage.broker().tunnel(&stage.upstream.authority(), Some(&stage.setup.robot)).unwrap();
    wire.send(&item(&stage.upstream, "1", &issued.text).bytes(Way::Connect, Some(&stage.setup.robot)));
    assert_eq!(wire.receive("GET").unwrap().status, 200);
    stage.broker().cli(&["placeholder", "freeze", &issued.id]);
    // The connection is kept; nothing armed with the placeholder goes over it any more.
    wire.send(&item(&stage.upstream, "1", &issued.text).bytes(Way::Connect, Some(&stage.setup.robot)));
    assert_eq!(wire.receive("GET").unwrap().code().as_deref(), Some("placeholder-frozen"));
}

#[test]
fn a_placeholder_does_not_count_before_its_beginning() {
    let stage = Stage::new();
    let later = stage.permit(&["--not-before", "1h", "--expires", "2h"]);
    stage.assert_refused(&later, "placeholder-not-yet");
    let shown = stage.broker().cli_json(&["placeholder", "show", &later.id]);
    assert_eq!((shown["state"].as_str(), shown["not_before"].is_string()), (Some("not-yet"), true));
    let text = stage.broker().cli(&["approval", "show", &later.approval]).stdout;
    assert!(text.contains("\nnot before: "), "{text}");
    let soon = stage.permit(&["--not-before", "1s"]);
    eventually("its time comes", || (stage.call(&soon).status == 200).then_some(()));
}

#[test]
fn an_end_before_the_beginning_is_refused() {
    let stage = Stage::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), items(&stage.upstream)).unwrap();
    let file = file.path().display().to_string();
    let arguments = ["placeholder", "issue", "--credential", "c", "--workload", "robot", "--policy", &file];
    let answer = stage.broker().run(&[&arguments[..], &["--not-before", "2h", "--expires", "1h"]].concat());
    assert!(!answer.status.success() && answer.stderr.contains("before it begins"), "{answer:?}");
}

#[test]
fn t71_an_edited_beginning_ends_the_approval() {
    let mut stage = Stage::new();
    let later = stage.permit(&["--not-before", "1h"]);
    stage.setup.broker.stop();
    let changed =
        stage.broker().tamper("UPDATE placeholder SET not_before = NULL WHERE id = ?1", [&later.id]);
    assert_eq!(changed, 1);
    stage.setup.broker.launch();
    stage.assert_refused(&later, "placeholder-revoked");
}

#[test]
fn all_placeholders_of_a_workload_or_a_credential_or_all_are_revoked_in_one_act() {
    let stage = Stage::new();
    stage.broker().workload("other");
    let of_other = stage.broker().permit("c", "other", &items(&stage.upstream), &[]);
    let mine = [stage.permit(&[]), stage.permit(&[])];
    let done = stage.broker().cli_json(&["placeholder", "revoke", "--workload", "robot"]);
    let ids: Vec<&str> = done["revoked"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert_eq!(ids, mine.each_ref().map(|one| one.id.as_str()));
    mine.iter().for_each(|one| stage.assert_refused(one, "placeholder-revoked"));
    assert_eq!(stage.broker().cli_json(&["placeholder", "show", &of_other.id])["state"], "active");
    let record = stage.broker().cli(&["journal", "export"]).stdout;
    for one in &mine {
        assert!(record.lines().any(|line| line.contains("placeholder revoked") && line.contains(&one.id)));
    }
    assert_eq!(
        stage.broker().cli_json(&["placeholder", "revoke", "--credential", "c"])["revoked"],
        serde_json::json!([of_other.id])
    );
    let last = stage.permit(&[]);
    assert_eq!(
        stage.broker().cli_json(&["placeholder", "revoke", "--all"])["revoked"],
        serde_json::json!([last.id])
    );
    for wrong in [&["--workload", "nobody"][..], &["--all", "--workload", "robot"], &[]] {
        let answer = stage.broker().run(&[&["placeholder", "revoke"], wrong].concat());
        assert!(!answer.status.success(), "{wrong:?}: {answer:?}");
    }
}

#[test]
fn what_descends_from_a_placeholder_ends_and_freezes_with_it_in_every_generation() {
    let mut stage = Stage::new();
    let first = stage.permit(&[]);
    let child = stage.permit(&["--parent", &first.id]);
    let grandchild = stage.permit(&["--parent", &child.id]);
    let beside = stage.permit(&[]);
    let text = stage.broker().cli(&["approval", "show", &child.approval]).stdout;
    assert!(text.contains(&format!("\ndescends from: {} ", first.id)), "{text}");
    [&first, &child, &grandchild].into_iter().for_each(|one| stage.assert_works(one));
    stage.broker().cli(&["placeholder", "freeze", &first.id]);
    [&first, &child, &grandchild].into_iter().for_each(|one| stage.assert_refused(one, "placeholder-frozen"));
    stage.broker().cli(&["placeholder", "thaw", &first.id]);
    stage.assert_works(&grandchild);
    stage.broker().cli(&["placeholder", "revoke", &child.id]);
    stage.assert_refused(&grandchild, "placeholder-revoked");
    assert_eq!(stage.broker().cli_json(&["placeholder", "show", &grandchild.id])["state"], "revoked");
    stage.assert_works(&first);
    stage.setup.broker.restart();
    stage.assert_refused(&grandchild, "placeholder-revoked");
    stage.assert_works(&beside);
}

#[test]
fn a_family_has_no_more_uses_together_than_its_first() {
    let stage = Stage::new();
    let first = stage.permit(&["--uses", "3"]);
    let child = stage.permit(&["--parent", &first.id, "--uses", "2"]);
    stage.assert_works(&first);
    stage.assert_refused(&first, "placeholder-spent");
    stage.assert_works(&child);
    stage.assert_works(&child);
    stage.assert_refused(&child, "placeholder-spent");
    assert_eq!(stage.upstream.requests().len(), 3);
}

#[test]
fn what_would_be_wider_than_its_parent_is_not_issued() {
    let stage = Stage::new();
    let first = stage.permit(&["--uses", "3", "--expires", "2h"]);
    stage.assert_works(&first);
    let narrow = items(&stage.upstream);
    let wide = narrow.replace("GET /v1/items/{id}", "GET /v1/{rest...}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let issue = |policy: &str, more: &[&str]| {
        std::fs::write(file.path(), policy).unwrap();
        let arguments =
            ["placeholder", "issue", "--credential", "c", "--workload", "robot", "--policy", &path];
        stage.broker().run(&[&arguments[..], &["--parent", &first.id], more].concat())
    };
    let fine = ["--uses", "1"];
    for (policy, more, why) in [
        (&wide, &fine[..], "policy is not proved to be within"),
        (&narrow, &["--uses", "1", "--expires", "3h"], "end later"),
        (&narrow, &["--uses", "1", "--expires", "never"], "end later"),
        (&narrow, &["--expires", "1h"], "counted"),
        (&narrow, &["--uses", "3"], "not so many uses left"),
    ] {
        let answer = issue(policy, more);
        assert!(!answer.status.success() && answer.stderr.contains(why), "{why}: {answer:?}");
    }
    assert!(issue(&narrow, &fine).status.success());
    stage.broker().cli(&["placeholder", "revoke", &first.id]);
    let answer = issue(&narrow, &fine);
    assert!(!answer.status.success() && answer.stderr.contains("is not active"), "{answer:?}");
}

#[test]
fn t71_an_edited_parent_ends_the_approval() {
    let mut stage = Stage::new();
    let first = stage.permit(&[]);
    let child = stage.permit(&["--parent", &first.id]);
    stage.setup.broker.stop();
    assert_eq!(stage.broker().tamper("UPDATE placeholder SET parent = NULL WHERE id = ?1", [&child.id]), 1);
    stage.setup.broker.launch();
    stage.assert_refused(&child, "placeholder-revoked");
}
