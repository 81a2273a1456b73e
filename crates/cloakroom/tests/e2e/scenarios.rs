//! The files in `scenarios/calls`: a call that works in each way in, and the same call one step wrong.

use crate::support::setup;
use cloakroom_testkit::{Meanings, Scenario, Setup, TlsUpstream, Way, echo, shaped};
use std::path::Path;

fn scenario(file: &str) -> Scenario {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/calls");
    let text = std::fs::read_to_string(directory.join(file)).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn holds(file: &str) {
    let scenario = scenario(file);
    let Setup { broker, authority, robot } = setup();
    let other = broker.workload("other");
    let upstream = TlsUpstream::start(&authority, echo);
    let secret = shaped(&scenario.prefix);
    let meanings = |placeholder| Meanings { authority: "", placeholder, secret: &secret };
    let to = upstream.authority();
    let policy = Meanings { authority: &to, ..meanings("") }.fill(&scenario.policy);
    broker.deposit("c", &scenario.kind, &[&upstream.url()], &secret);
    let issued = broker.permit("c", "robot", &policy, &[]);
    let meanings = Meanings { authority: &to, ..meanings(&issued.text) };
    let mut complaints = Vec::new();
    for step in &scenario.wrong {
        let request = scenario.changed_by(step, &meanings);
        let who = if step.workload.as_deref() == Some("other") { &other } else { &robot };
        for way in step.ways() {
            let answer = broker.call(way, Some(who), &request);
            let code = answer.code().unwrap_or_else(|| format!("{} {}", answer.status, answer.text()));
            if code != step.code {
                complaints.push(format!("{} by {way:?}: {code} instead of {}", step.name, step.code));
            }
        }
        if upstream.connections() > 0 {
            complaints.push(format!("{}: the upstream was dialled", step.name));
            break;
        }
    }
    assert!(complaints.is_empty(), "{file}:\n{}", complaints.join("\n"));
    for way in Way::ALL {
        let answer = broker.call(way, Some(&robot), &scenario.right(&meanings));
        assert_eq!(answer.status, 200, "{file} by {way:?}: {}", answer.text());
        let received = upstream.last();
        let received = [&received.head[..], &received.raw_body].concat();
        let received = String::from_utf8_lossy(&received);
        for text in &scenario.arrives {
            assert!(received.contains(&meanings.fill(text)), "{file} by {way:?} lacks {text:?}: {received}");
        }
    }
    broker.verify_journal();
}

#[test]
fn t14_t22_t24_t28_t29_t30_t32_t34_a_form_call_works_and_one_step_beside_it_does_not() {
    holds("bearer-form.toml");
}

#[test]
fn t31_t32_a_json_call_works_and_one_step_beside_it_does_not() {
    holds("header-json.toml");
}

#[test]
fn t20_t21_a_basic_call_works_and_one_step_beside_it_does_not() {
    holds("basic-password.toml");
}

#[test]
fn t16_t18_a_query_call_works_and_one_step_beside_it_does_not() {
    holds("query-key.toml");
}

#[test]
fn t14_t31_a_call_with_the_credential_in_json_works_and_one_step_beside_it_does_not() {
    holds("json-member.toml");
}

#[test]
fn every_scenario_file_is_held_by_a_test() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/calls");
    let here = include_str!("scenarios.rs");
    for entry in std::fs::read_dir(&directory).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assert!(here.contains(&format!("holds(\"{name}\")")), "no test holds {name}");
    }
    assert!(!Scenario::all(&directory).is_empty());
}
