//! Containment: no policy is said to be inside another that refuses one of its calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_policy::{Containment, Policy};

fn policy(calls: &[&str], more: &str) -> Policy {
    let head = "version = 1\n[[permit]]\nname = \"n\"\nto = \"https://a.example\"\nplace = \"header x\"\n";
    Policy::parse("p.toml", &format!("{head}call = {calls:?}\n{more}")).unwrap()
}

fn inside(inner: &Policy, outer: &Policy) -> bool {
    outer.contains(inner) == Containment::Contained
}

fn allows(policy: &Policy, path: &str) -> bool {
    policy.explain("GET", &format!("https://a.example{path}")).unwrap().iter().any(|one| one.allowed)
}

/// Every path of at most four segments over three letters, with and without a slash at the end. No template names `z`.
fn paths() -> Vec<String> {
    let (mut all, mut level) = (vec!["/".to_owned()], vec![String::new()]);
    for _ in 0..4 {
        level =
            level.iter().flat_map(|path| ["a", "b", "z"].map(|letter| format!("{path}/{letter}"))).collect();
        all.extend(level.iter().flat_map(|path| [path.clone(), format!("{path}/")]));
    }
    all
}

#[test]
fn containment_of_paths_agrees_with_enumeration() {
    let calls = [
        "GET /",
        "GET /a",
        "GET /b",
        "GET /{x}",
        "GET /a/",
        "GET /{x}/",
        "GET /{x...}",
        "GET /a/{x}",
        "GET /{x}/a",
        "GET /{x}/{y}",
        "GET /a/{x...}",
        "GET /{x}/{y...}",
        "GET /{x}/{y}/",
        "GET /{x}/{y}/{z...}",
    ];
    let mut policies: Vec<Vec<&str>> = calls.iter().map(|call| vec![*call]).collect();
    for (at, one) in calls.iter().enumerate() {
        policies.extend(calls[at + 1..].iter().map(|two| vec![*one, *two]));
    }
    policies.push(vec!["GET /{x}", "GET /{x}/", "GET /{x}/{y...}"]);
    let paths = paths();
    let judged: Vec<(Policy, Vec<bool>)> = policies
        .iter()
        .map(|calls| policy(calls, ""))
        .map(|policy| (policy.clone(), paths.iter().map(|path| allows(&policy, path)).collect()))
        .collect();
    for (inner, inner_allows) in &judged {
        for (outer, outer_allows) in &judged {
            let enumerated = inner_allows.iter().zip(outer_allows).all(|(own, other)| !own || *other);
            assert_eq!(inside(inner, outer), enumerated, "{}\n{}", inner.to_toml(), outer.to_toml());
        }
    }
}

#[test]
fn each_rule_that_is_narrower_is_inside_and_the_other_way_is_not() {
    for (narrow, wide) in [
        ("rate = \"1/min\"\n", ""),
        ("rate = \"1/min\"\n", "rate = \"2/min\"\n"),
        ("approve = \"each-call\"\n", ""),
        ("approve = \"writes\"\n", ""),
        ("approve = \"each-call\"\nspeaks = \"mcp\"\n", "approve = \"writes\"\nspeaks = \"mcp\"\n"),
        ("speaks = \"graphql\"\n", ""),
        ("refuse = \"writes\"\n", ""),
        ("speaks = \"mcp\"\nrefuse = \"writes\"\n", "speaks = \"mcp\"\n"),
        ("", "range = \"pass\"\n"),
        ("", "query = { allow = [\"q\"] }\n"),
        ("headers = { h = { in = [\"1\"] } }\n", ""),
        ("body = { type = \"none\" }\n", ""),
        (
            "body = { type = \"form\", fields = { n = { max = 5 } } }\n",
            "body = { type = \"form\", fields = { n = { max = 9 } } }\n",
        ),
        ("body = { type = \"json\", fields = { \"/n\" = { max = 5 } } }\n", "body = { type = \"json\" }\n"),
        (
            "body = { type = \"json\", fields = { \"/n\" = { in = [5] } } }\n",
            "body = { type = \"json\", fields = { \"/n\" = { min = 1 } } }\n",
        ),
    ] {
        let (inner, outer) = (policy(&["POST /a"], narrow), policy(&["POST /a"], wide));
        assert!(inside(&inner, &outer), "{narrow} {wide}");
        assert!(!inside(&outer, &inner), "{narrow} {wide}");
    }
}

#[test]
fn t35_what_counts_as_a_read_is_compared_before_a_policy_is_said_to_be_inside_another() {
    for (one, two) in [
        ("approve = \"writes\"\n", "approve = \"writes\"\nreads = [\"POST /a\"]\n"),
        ("approve = \"writes\"\n", "approve = \"writes\"\nspeaks = \"graphql\"\n"),
        ("approve = \"each-call\"\n", "refuse = \"writes\"\n"),
        ("refuse = \"writes\"\nreads = [\"POST /a\"]\n", "refuse = \"writes\"\n"),
    ] {
        let (one, two) = (policy(&["POST /a"], one), policy(&["POST /a"], two));
        assert!(!inside(&one, &two) && !inside(&two, &one), "{}\n{}", one.to_toml(), two.to_toml());
    }
}

#[test]
fn t35_no_parameter_and_no_tail_contains_an_endpoint_that_takes_many_operations() {
    for path in ["/graphql", "/a/$batch", "/batch/a", "/a/b/Batch", "/a/graphql/"] {
        let named = policy(&[&format!("POST {path}")], "");
        let blind =
            policy(&["POST /{r...}", "POST /{x}", "POST /{x}/{y}", "POST /a/{r...}", "POST /{x}/a"], "");
        assert!(!inside(&named, &blind), "{path}");
        let judged =
            |policy: &Policy| policy.explain("POST", &format!("https://a.example{path}")).unwrap()[0].allowed;
        assert!(judged(&named) && !judged(&blind), "{path}");
    }
    for call in ["GET /graphql", "POST /repos/graphql/issues", "POST /batches", "DELETE /batch/a"] {
        let (method, path) = call.split_once(' ').unwrap();
        let blind = policy(&[&format!("{method} /{{r...}}")], "");
        assert!(inside(&policy(&[call], ""), &blind), "{call}");
        assert!(blind.explain(method, &format!("https://a.example{path}")).unwrap()[0].allowed, "{call}");
    }
}

#[test]
fn one_rate_does_not_answer_for_two_permits() {
    let permit = |name: &str, call: &str| {
        format!(
            "[[permit]]\nname = \"{name}\"\nto = \"https://a.example\"\nplace = \"header x\"\nrate = \"1/min\"\ncall = {call}\n"
        )
    };
    let parse = |text: String| Policy::parse("p.toml", &format!("version = 1\n{text}")).unwrap();
    let together = parse(permit("both", "[\"GET /a\", \"GET /b\"]"));
    let apart = parse(permit("a", "\"GET /a\"") + &permit("b", "\"GET /b\""));
    assert!(!inside(&apart, &together));
    assert!(inside(&parse(permit("a", "\"GET /a\"")), &together));
}
