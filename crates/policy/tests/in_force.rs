//! What is in force: approvals that verify, states of placeholders, rates, and the stages' outcome.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod kit;

use cloakroom_model::*;
use cloakroom_policy::{Approvers, Identified, PolicySet, Spot};
use kit::{Desk, NOW, bearer, by_key, call, code, decide, policy};
use std::sync::Arc;
use std::time::Duration;

const URL: &str = "https://api.example.com/v1/me";
const READ: &str = "name = \"read\"\nto = \"https://api.example.com\"\ncall = \"GET /v1/me\"";

/// A desk with one workload and one active placeholder.
fn desk() -> (Desk, WorkloadId, PlaceholderId, String) {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let (id, text) = desk.issue_active(robot, &policy(READ));
    (desk, robot, id, text)
}

fn outcome(desk: &Desk, set: &PolicySet, robot: WorkloadId, text: &str) -> String {
    code(decide(bearer("GET", URL, text), desk.principal(robot), set, NOW))
}

#[test]
fn an_approved_call_is_authorized_with_its_bounds() {
    let (desk, robot, id, text) = desk();
    let authorized = decide(bearer("GET", URL, &text), desk.principal(robot), &desk.set(), NOW).unwrap();
    let intent = authorized.intent();
    assert_eq!(
        (intent.method.as_str(), intent.path.as_str(), intent.workload, intent.at),
        ("GET", "/v1/me", robot, NOW)
    );
    assert_eq!(
        (intent.uses[0].placeholder, intent.uses[0].permit.as_str(), intent.uses[0].counted),
        (id, "read", false)
    );
    let (_, principal, uses, at) = authorized.into_parts();
    assert_eq!((principal.workload(), at, uses.len()), (robot, NOW, 1));
    assert_eq!((uses[0].text(), uses[0].range_allowed()), (text.as_str(), false));
    assert_eq!(uses[0].spot(), &Spot::Header(http::header::AUTHORIZATION, HeaderForm::Bearer));
}

#[test]
fn a_placeholder_in_the_path_is_not_written_into_the_intent() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let text = "version = 1\n[[permit]]\nto = \"https://b.example\"\ncall = \"GET /bot/{t}/me\"\nplace = \"path t\"\nrange = \"pass\"";
    let (_, ph) = desk.issue_active(robot, &cloakroom_policy::Policy::parse("p", text).unwrap());
    let call = call("GET", &format!("https://b.example/bot/{ph}/me"), &[], b"").unwrap();
    let authorized = decide(call, desk.principal(robot), &desk.set(), NOW).unwrap();
    assert_eq!(authorized.intent().path, "/bot/{…}/me");
    assert!(authorized.uses()[0].range_allowed());
    assert!(!format!("{authorized:?}").contains(&ph));
}

#[test]
fn t78_every_state_but_active_refuses() {
    let (mut desk, robot, id, text) = desk();
    for (state, expected) in [
        (PlaceholderState::Pending, "placeholder-pending"),
        (PlaceholderState::Denied, "approval-denied"),
        (PlaceholderState::Revoked, "placeholder-revoked"),
        (PlaceholderState::Active, "allowed"),
    ] {
        desk.row(id).state = state;
        assert_eq!(outcome(&desk, &desk.set(), robot, &text), expected);
    }
}

#[test]
fn an_expired_placeholder_refuses_and_a_counted_one_says_so() {
    let (mut desk, robot, id, text) = desk();
    desk.row(id).expires = Some(NOW.plus(Duration::from_millis(1)));
    desk.row(id).uses = Some(2);
    desk.row(id).used = 1;
    desk.approve(id);
    let set = desk.set();
    assert_eq!(outcome(&desk, &set, robot, &text), "allowed");
    let later =
        decide(bearer("GET", URL, &text), desk.principal(robot), &set, NOW.plus(Duration::from_millis(1)));
    assert_eq!(code(later), "placeholder-expired");
    let counted = decide(bearer("GET", URL, &text), desk.principal(robot), &set, NOW).unwrap();
    assert!(counted.intent().uses[0].counted);
    // How often it was used is not a matter of policy: the ledger knows.
    desk.row(id).used = 2;
    assert_eq!(outcome(&desk, &desk.set(), robot, &text), "allowed");
}

/// Edits rows after approval.
type Edit = fn(&mut Desk, PlaceholderId);

#[test]
fn t74_an_edited_row_is_not_a_permit() {
    let edits: [(&str, Edit); 12] = [
        ("the policy", |desk, id| {
            let row = desk.row(id);
            row.policy = row.policy.replace("/v1/me", "/v1/{x}");
        }),
        ("the policy's rate", |desk, id| {
            let row = desk.row(id);
            row.policy = row.policy.replace("\"rate\":null", "\"rate\":{\"count\":9,\"per\":\"day\"}");
        }),
        ("a policy that does not parse", |desk, id| desk.row(id).policy = "{}".into()),
        ("the end", |desk, id| desk.row(id).expires = Some(NOW.plus(Duration::from_secs(1)))),
        ("the uses", |desk, id| desk.row(id).uses = Some(1000)),
        ("the text", |desk, id| desk.row(id).text = desk.key.placeholder_hash("another")),
        ("the workload", |desk, id| {
            let other = desk.workload("other");
            desk.row(id).workload = other;
        }),
        ("the credential", |desk, id| {
            let to = [Destination::parse("https://api.example.com").unwrap()];
            let other = desk.credential("other", &to);
            desk.row(id).credential = other;
        }),
        ("the credential's kind", |desk, _| desk.rows.credentials[0].kind = CredentialKind::Basic),
        ("the credential's destinations", |desk, _| desk.rows.credentials[0].destinations.clear()),
        ("no signature", |desk, id| desk.approval(id).signatures.clear()),
        ("a denied approval", |desk, id| desk.approval(id).denied = true),
    ];
    for (what, edit) in edits {
        let (mut desk, robot, id, text) = desk();
        let sound = desk.set();
        edit(&mut desk, id);
        // Nor where the snapshot before took the row for sound.
        for previous in [None, Some(&sound)] {
            let (set, ignored) = desk.activate(previous);
            assert_eq!(ignored.len(), 1, "{what}");
            assert_eq!(ignored[0].placeholder, id, "{what}");
            assert_ne!(outcome(&desk, &set, robot, &text), "allowed", "{what}");
        }
    }
}

#[test]
fn t74_only_an_enrolled_approver_counts_and_only_for_this_grant() {
    let (mut desk, robot, id, text) = desk();
    let nobody = PolicySet::assert_active(&desk.rows, &Approvers::default(), Arc::clone(&desk.key), None);
    assert_eq!(
        (nobody.1.len(), outcome(&desk, &nobody.0, robot, &text).as_str()),
        (1, "placeholder-revoked")
    );
    // Nor does the memory of another set of approvers count.
    let set = desk.set();
    let again =
        PolicySet::assert_active(&desk.rows, &Approvers::default(), Arc::clone(&desk.key), Some(&set));
    assert_eq!(again.1.len(), 1);
    // A signature over another placeholder's grant.
    let (second, _) = desk.issue_active(robot, &policy(READ));
    let signature = desk.approval(second).signatures.clone();
    desk.approval(id).signatures = signature;
    assert_eq!(desk.activate(None).1.len(), 1);
    // A broken signature.
    desk.approve(id);
    desk.approval(id).signatures[0].signature = "AAAA".into();
    assert_eq!(desk.activate(None).1.len(), 1);
    assert!(Approvers::new(["short".to_owned()]).is_err());
}

#[test]
fn t70_a_workload_that_was_given_the_key_of_another_is_not_the_one_that_was_approved() {
    let (mut desk, robot, id, text) = desk();
    let thief = desk.workload("thief");
    assert_eq!(outcome(&desk, &desk.set(), robot, &text), "allowed");
    let key = |desk: &Desk, id| desk.rows.workloads.iter().position(|row| row.id == id).unwrap();
    let (of_robot, of_thief) = (key(&desk, robot), key(&desk, thief));
    let (taken, given) = (desk.rows.workloads[of_thief].key, desk.rows.workloads[of_robot].key);
    desk.rows.workloads[of_robot].key = taken;
    desk.rows.workloads[of_thief].key = given;
    let (set, ignored) = desk.activate(None);
    assert_eq!(by_key(&set, "key of thief"), Some(robot));
    assert_eq!(ignored.first().map(|ignored| ignored.placeholder), Some(id));
    assert_eq!(outcome(&desk, &set, robot, &text), "placeholder-revoked");
}

#[test]
fn a_grant_says_first_what_it_is() {
    let (desk, _, id, _) = desk();
    let grant = desk.grant_of(id);
    let text = grant.canonical_text();
    let first: Vec<&str> = text.lines().take(8).map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        first,
        [
            "placeholder",
            "placeholder text (keyed hash)",
            "credential",
            "workload",
            "workload key (keyed hash)",
            "expires",
            "uses",
            "permits"
        ]
    );
    assert_eq!(grant.signing_bytes(), [b"cloakroom approval v1\n", text.as_bytes()].concat());
    assert!(text.is_ascii() && text.contains("  may GET https://api.example.com/v1/me\n"));
}

#[test]
fn a_removed_credential_or_workload_revokes_without_noise() {
    let (mut desk, robot, _, text) = desk();
    desk.rows.credentials[0].removed = Some(NOW);
    assert_eq!(outcome(&desk, &desk.set(), robot, &text), "placeholder-revoked");
    desk.rows.credentials[0].removed = None;
    desk.rows.workloads[0].removed = Some(NOW);
    let set = desk.set();
    assert_eq!(outcome(&desk, &set, robot, &text), "placeholder-revoked");
    assert!(by_key(&set, "key of robot").is_none());
}

#[test]
fn misuse_is_a_security_event_and_carelessness_is_not() {
    let (mut desk, robot, id, text) = desk();
    let stranger = desk.workload("stranger");
    let set = desk.set();
    let refuse = |set: &PolicySet, call: Call, who| decide(call, desk.principal(who), set, NOW).unwrap_err();
    for (call, who, expected, event) in [
        (bearer("GET", "https://evil.example/", &text), robot, "destination-not-permitted", true),
        (bearer("GET", URL, &text), stranger, "wrong-workload", true),
        (bearer("GET", URL, &format!("{text}x")), robot, "place-not-permitted", true),
        (bearer("PUT", URL, &text), robot, "call-not-permitted", false),
        (bearer("GET", URL, "nothing"), robot, "unknown-placeholder", false),
    ] {
        let refusal = refuse(&set, call, who);
        assert_eq!((refusal.code().as_str(), refusal.event().is_some()), (expected, event));
        assert!(refusal.facts().workload.is_some() && refusal.facts().destination.is_some());
    }
    // An unidentified relation is not told whose credential it is.
    assert_eq!(refuse(&set, bearer("GET", URL, &text), stranger).facts().credential, None);
    let closest = refuse(&set, bearer("PUT", URL, &text), robot);
    assert_eq!(closest.facts().permit.as_deref(), Some("read"));
    assert_eq!(closest.facts().rule.as_deref(), Some("GET"));
    desk.row(id).state = PlaceholderState::Revoked;
    let revoked = decide(bearer("GET", URL, &text), desk.principal(robot), &desk.set(), NOW).unwrap_err();
    assert_eq!(revoked.event(), Some(Severity::Warning));
}

#[test]
fn a_placeholder_of_our_key_without_a_row_is_unknown() {
    let (mut desk, robot, _, text) = desk();
    desk.rows.placeholders.clear();
    assert_eq!(outcome(&desk, &desk.set(), robot, &text), "unknown-placeholder");
}

#[test]
fn t76_authorize_decides_by_the_snapshot_it_is_given() {
    let (mut desk, robot, id, text) = desk();
    let identified = Identified::new(bearer("GET", URL, &text), desk.principal(robot), &desk.set()).unwrap();
    desk.row(id).state = PlaceholderState::Revoked;
    assert_eq!(code(identified.authorize(&desk.set(), NOW)), "placeholder-revoked");
}

#[test]
fn t19_a_placeholder_works_only_where_its_own_policy_says() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let texts: Vec<String> = (0..12)
        .map(|n| {
            let rest = format!("to = \"https://h{n}.example\"\ncall = \"GET /p{n}\"");
            desk.issue_active(robot, &policy(&rest)).1
        })
        .collect();
    let set = desk.set();
    for (n, text) in texts.iter().enumerate() {
        for m in 0..12 {
            let call = bearer("GET", &format!("https://h{m}.example/p{m}"), text);
            let expected = if n == m { "allowed" } else { "destination-not-permitted" };
            assert_eq!(code(decide(call, desk.principal(robot), &set, NOW)), expected);
        }
    }
}

#[test]
fn several_placeholders_are_allowed_together_or_not_at_all() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let place = |place: &str, rate: &str| {
        let text = format!(
            "version = 1\n[[permit]]\nto = \"https://api.example.com\"\ncall = \"GET /v1/me\"\nplace = \"{place}\"\n{rate}"
        );
        cloakroom_policy::Policy::parse("p", &text).unwrap()
    };
    let (_, one) = desk.issue_active(robot, &place("header x-one", "rate = \"1/h\""));
    let (two_id, two) = desk.issue_active(robot, &place("header x-two", ""));
    let both = |one: &str, two: &str| {
        call("GET", URL, &[("x-one".into(), one.into()), ("x-two".into(), two.into())], b"").unwrap()
    };
    let set = desk.set();
    assert_eq!(code(decide(both(&two, &one), desk.principal(robot), &set, NOW)), "place-not-permitted");
    // The refused call took nothing from the rate.
    let allowed = decide(both(&one, &two), desk.principal(robot), &set, NOW).unwrap();
    assert_eq!(allowed.uses().len(), 2);
    assert_eq!(code(decide(both(&one, &two), desk.principal(robot), &set, NOW)), "rate-limited");
    desk.row(two_id).state = PlaceholderState::Revoked;
    let later = NOW.plus(Duration::from_secs(7200));
    assert_eq!(
        code(decide(both(&one, &two), desk.principal(robot), &desk.set(), later)),
        "placeholder-revoked"
    );
}

#[test]
fn a_rate_is_given_back_when_another_placeholder_has_none_left() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let mut issue = |place: &str| {
        let rest = "to = \"https://api.example.com\"\ncall = \"GET /v1/me\"\nrate = \"1/h\"";
        let text = format!("version = 1\n[[permit]]\nplace = \"{place}\"\n{rest}");
        desk.issue_active(robot, &cloakroom_policy::Policy::parse("p", &text).unwrap()).1
    };
    let (one, two) = (issue("header x-one"), issue("header x-two"));
    let set = desk.set();
    let decide = |headers: &[(&str, &str)]| {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        code(decide(call("GET", URL, &headers, b"").unwrap(), desk.principal(robot), &set, NOW))
    };
    assert_eq!(decide(&[("x-two", &two)]), "allowed");
    assert_eq!(decide(&[("x-one", &one), ("x-two", &two)]), "rate-limited");
    assert_eq!(decide(&[("x-one", &one)]), "allowed");
    assert_eq!(decide(&[("x-one", &one)]), "rate-limited");
}

#[test]
fn a_rate_is_kept_over_snapshots_and_says_when_to_retry() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let (_, text) = desk.issue_active(robot, &policy(&format!("{READ}\nrate = \"2/min\"")));
    let set = desk.set();
    assert_eq!(outcome(&desk, &set, robot, &text), "allowed");
    let (set, _) = desk.activate(Some(&set));
    assert_eq!(outcome(&desk, &set, robot, &text), "allowed");
    let refusal = decide(bearer("GET", URL, &text), desk.principal(robot), &set, NOW).unwrap_err();
    assert_eq!((refusal.code(), refusal.facts().retry_after), (Code::RateLimited, Some(30)));
    // A call that is refused for another reason takes nothing.
    let later = NOW.plus(Duration::from_secs(30));
    assert_eq!(
        code(decide(bearer("PUT", URL, &text), desk.principal(robot), &set, later)),
        "call-not-permitted"
    );
    assert_eq!(code(decide(bearer("GET", URL, &text), desk.principal(robot), &set, later)), "allowed");
}

#[test]
fn a_permit_without_rate_left_gives_way_to_another() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let second = "[[permit]]\nplace = \"header authorization bearer\"\nname = \"spare\"\nto = \"https://api.example.com\"\ncall = \"GET /v1/{x}\"";
    let (_, text) = desk.issue_active(robot, &policy(&format!("{READ}\nrate = \"1/h\"\n{second}")));
    let set = desk.set();
    let mut used = |_| {
        decide(bearer("GET", URL, &text), desk.principal(robot), &set, NOW).unwrap().uses()[0]
            .permit()
            .to_owned()
    };
    assert_eq!([0, 1, 2].map(&mut used), ["read", "spare", "spare"]);
}

#[test]
fn t26_t33_a_permit_cannot_name_a_header_that_is_never_forwarded() {
    for name in ["X-Forwarded-Proto", "forwarded", "x-original-url", "x-http-method-override", "host"] {
        let text = format!("{READ}\nplace = \"header authorization bearer\"\nheaders = {{ {name} = {{}} }}");
        let complaints = cloakroom_policy::Policy::parse("p", &format!("version = 1\n[[permit]]\n{text}"));
        let complaints = complaints.expect_err(name);
        assert!(complaints.iter().any(|c| c.message.contains("never forwarded")), "{complaints:?}");
    }
}

#[test]
fn the_snapshot_knows_destinations_bounds_and_keys() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let stranger = desk.workload("stranger");
    let at = |to: &str, body: &str| policy(&format!("to = \"{to}\"\ncall = \"POST /x\"\n{body}"));
    desk.issue_active(robot, &at("https://a.example", "body = { type = \"json\", max_bytes = \"2KiB\" }"));
    desk.issue_active(robot, &at("https://a.example", "body = { type = \"form\", max_bytes = \"3KiB\" }"));
    desk.issue_active(robot, &at("https://a.example", "body = { max_bytes = \"1MiB\" }"));
    desk.issue_active(robot, &at("http://a.example", ""));
    desk.issue_active(robot, &at("http://plain.example:8080", ""));
    desk.issue(robot, &at("https://pending.example", ""));
    let set = desk.set();
    let find = |who, host: &str, port| {
        set.destination_for(who, &Host::parse(host).unwrap(), port).map(|destination| destination.to_string())
    };
    assert_eq!(find(robot, "a.example", None).as_deref(), Some("https://a.example"));
    assert_eq!(find(robot, "a.example", Some(80)).as_deref(), Some("http://a.example"));
    assert_eq!(find(robot, "a.example", Some(444)), None);
    assert_eq!(find(robot, "plain.example", None), None);
    assert_eq!(find(robot, "plain.example", Some(8080)).as_deref(), Some("http://plain.example:8080"));
    assert_eq!(find(robot, "pending.example", None), None);
    assert_eq!(find(stranger, "a.example", None), None);
    let bound = |to: &str| set.body_bound(robot, &Destination::parse(to).unwrap());
    assert_eq!((bound("https://a.example"), bound("http://a.example")), (Some(3072), None));
    assert_eq!(by_key(&set, "key of robot"), Some(robot));
    assert_eq!(by_key(&set, "key of nobody"), None);
}

#[test]
fn a_body_that_was_not_read_to_its_end_is_refused_where_policy_reads_it() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let rest = "to = \"https://a.example\"\ncall = \"POST /x\"\nbody = { type = \"json\" }";
    let streams = "to = \"https://s.example\"\ncall = \"POST /x\"\nbody = { max_bytes = 100 }";
    let (_, text) = desk.issue_active(robot, &policy(rest));
    let (_, streaming) = desk.issue_active(robot, &policy(streams));
    let set = desk.set();
    let long = |url: &str, text: &str, length: Option<u64>| {
        let mut call = bearer("POST", url, text);
        call.headers.insert("content-type", "application/json".parse().unwrap());
        let rest: Rest = Rest::new(http_body_util::Empty::new().map_err_never());
        call.body = Payload { head: "{}".into(), rest: Some(rest), length, trailers: None };
        code(decide(call, desk.principal(robot), &set, NOW))
    };
    assert_eq!(long("https://a.example/x", &text, Some(2)), "body-not-permitted");
    assert_eq!(long("https://s.example/x", &streaming, Some(100)), "allowed");
    assert_eq!(long("https://s.example/x", &streaming, Some(101)), "body-not-permitted");
    assert_eq!(long("https://s.example/x", &streaming, None), "body-not-permitted");
}

/// An error type that never occurs, as a body needs it.
trait MapNever {
    fn map_err_never(
        self,
    ) -> http_body_util::combinators::MapErr<Self, fn(std::convert::Infallible) -> BodyFault>
    where
        Self: Sized + http_body::Body;
}

impl<B: http_body::Body<Error = std::convert::Infallible>> MapNever for B {
    fn map_err_never(
        self,
    ) -> http_body_util::combinators::MapErr<Self, fn(std::convert::Infallible) -> BodyFault> {
        use http_body_util::BodyExt;
        self.map_err(|never| match never {})
    }
}

#[test]
fn a_destination_without_an_active_permit_says_what_became_of_the_placeholder() {
    let (mut desk, robot, id, _) = desk();
    let why = |desk: &Desk| {
        let api = Destination::parse("https://api.example.com").unwrap();
        let refusal = desk.set().why_dormant(robot, &api, NOW);
        refusal.map(|refusal| (refusal.code(), refusal.facts().placeholder))
    };
    assert_eq!(why(&desk), None);
    desk.row(id).state = PlaceholderState::Revoked;
    assert_eq!(why(&desk), Some((Code::PlaceholderRevoked, Some(id))));
    let (newer, _) = desk.issue(robot, &policy(READ));
    assert_eq!(why(&desk), Some((Code::PlaceholderPending, Some(newer))));
    let other = desk.workload("other");
    let api = Destination::parse("https://api.example.com").unwrap();
    assert!(desk.set().why_dormant(other, &api, NOW).is_none());
}

#[test]
fn a_place_in_the_body_implies_the_type_of_an_absent_body() {
    let text = |place: &str| {
        format!(
            "version = 1\n[[permit]]\nto = \"https://b.example\"\ncall = \"POST /t\"\nplace = \"{place}\""
        )
    };
    for (place, shown) in [("json /token", "body: empty or json"), ("form token", "body: empty or form")] {
        let policy = cloakroom_policy::Policy::parse("p", &text(place)).unwrap();
        assert!(policy.canonical_text().contains(shown), "{}", policy.canonical_text());
        assert_eq!(cloakroom_policy::Policy::parse("p", &policy.to_toml()), Ok(policy));
    }
}

#[test]
fn t26_an_underscore_does_not_evade_a_constrained_header() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let (_, text) =
        desk.issue_active(robot, &policy(&format!("{READ}\nheaders = {{ x-tenant = {{ const = \"a\" }} }}")));
    let judged = |name: &str| {
        let headers =
            [("authorization", format!("Bearer {text}")), (name, "b".into())].map(|(n, v)| (n.to_owned(), v));
        code(decide(call("GET", URL, &headers, b"").unwrap(), desk.principal(robot), &desk.set(), NOW))
    };
    assert_eq!(judged("x-other"), "allowed");
    assert_eq!(judged("x-tenant"), "call-not-permitted");
    assert_eq!(judged("x_tenant"), "call-not-permitted");
}

#[test]
fn a_refusal_says_when_a_placeholder_begins_and_that_no_query_key_is_listed() {
    let mut desk = Desk::new();
    let robot = desk.workload("robot");
    let (id, text) = desk.issue(robot, &policy("to = \"https://api.example.com\"\ncall = \"GET /v1/items\""));
    desk.row(id).not_before = Some(NOW.plus(Duration::from_millis(1_500)));
    desk.approve(id);
    let (set, who) = (desk.set(), desk.principal(robot));
    let refused = |url: &str, now| {
        let call = bearer("GET", url, &text);
        decide(call, who.clone(), &set, now).map(|_| ()).unwrap_err()
    };
    let early = refused("https://api.example.com/v1/items", NOW);
    assert_eq!((early.code().as_str(), early.facts().retry_after), ("placeholder-not-yet", Some(2)));
    let asked = refused("https://api.example.com/v1/items?a=1", NOW.plus(Duration::from_secs(2)));
    let told = (asked.code().as_str(), asked.facts().rule.as_deref());
    assert_eq!(told, ("call-not-permitted", Some("no query keys")));
}
