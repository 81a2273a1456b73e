//! Containment: no policy is said to be inside another that refuses one of its calls.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_policy::{Containment, Policy, Verdict};

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
        ("approve = \"each-call\"\nspeaks = \"graphql\"\n", "refuse = \"writes\"\nspeaks = \"graphql\"\n"),
        (
            "refuse = \"writes\"\nspeaks = \"graphql\"\nreads = [\"POST /a\"]\n",
            "refuse = \"writes\"\nspeaks = \"graphql\"\n",
        ),
    ] {
        let (one, two) = (policy(&["POST /a"], one), policy(&["POST /a"], two));
        assert!(!inside(&one, &two) && !inside(&two, &one), "{}\n{}", one.to_toml(), two.to_toml());
    }
}

#[test]
fn t35_a_policy_whose_calls_are_all_refused_is_inside_every_other() {
    let (nothing, once) = (policy(&["POST /a"], "refuse = \"writes\"\n"), policy(&["POST /a"], ""));
    assert!(inside(&nothing, &policy(&["GET /b"], "")) && !inside(&once, &nothing));
    // A GET without a body reads, so nobody is asked about it; with one, nobody knows.
    let asked = policy(&["GET /a"], "approve = \"writes\"\n");
    assert!(inside(&policy(&["GET /a"], "body = { type = \"none\" }\n"), &asked));
    assert!(!inside(&policy(&["GET /a"], ""), &asked));
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

/// Permits that differ in one line each.
fn union(lines: &[&str]) -> Policy {
    let permit = |(number, line): (usize, &&str)| {
        format!(
            "[[permit]]\nname = \"{number}\"\nto = \"https://a.example\"\ncall = \"POST /a\"\nplace = \"header x\"\n{line}\n"
        )
    };
    let permits: String = lines.iter().enumerate().map(permit).collect();
    Policy::parse("p.toml", &format!("version = 1\n{permits}")).unwrap()
}

#[test]
fn several_permits_together_contain_what_none_of_them_does() {
    let form = |fields: &str| format!("body = {{ type = \"form\", fields = {{ {fields} }} }}");
    let json = |fields: &str| format!("body = {{ type = \"json\", only = true, fields = {{ {fields} }} }}");
    let query = |fields: &str| format!("query = {{ fields = {{ {fields} }} }}");
    for (whole, parts, last) in [
        // Number intervals: they meet, or leave a gap of fractions, or of nothing where only integers count.
        (
            form("n = { min = 0, max = 9 }"),
            [form("n = { max = 5 }"), form("n = { min = 5 }")],
            form("n = { min = 6 }"),
        ),
        (
            json("n = { type = \"integer\" }"),
            [json("n = { type = \"integer\", max = 5 }"), json("n = { type = \"integer\", min = 6 }")],
            json("n = { type = \"integer\", min = 7 }"),
        ),
        // Finite sets.
        (
            query("q = { in = [\"a\", \"b\", 3] }"),
            [query("q = { in = [\"a\", 3] }"), query("q = { const = \"b\" }")],
            query("q = { const = \"c\" }"),
        ),
        // Types.
        (
            json("n = { in = [true, false, \"x\"] }"),
            [json("n = { type = \"boolean\" }"), json("n = { type = \"string\" }")],
            json("n = { type = \"null\" }"),
        ),
        // Presence.
        (
            form("a = {}, b = {}"),
            [form("a = {}"), form("a = {}, b = { required = true }")],
            form("a = { required = true }, b = { required = true }"),
        ),
        // Lengths.
        (
            query("q = { type = \"string\" }"),
            [query("q = { max_length = 3 }"), query("q = {}")],
            query("q = { const = \"abcd\" }"),
        ),
    ] {
        let whole = union(&[&whole]);
        let [one, other] = &parts;
        assert!(inside(&whole, &union(&[one, other])), "{parts:?}");
        assert!(!inside(&whole, &union(&[one])), "{one}");
        assert!(!inside(&whole, &union(&[one, &last])), "{one} {last}");
    }
}

#[test]
fn the_name_of_a_parameter_means_nothing_even_where_the_placeholder_stands() {
    let with = |call: &str, place: &str| {
        let text = format!(
            "version = 1\n[[permit]]\nto = \"https://a.example\"\ncall = \"{call}\"\nplace = \"{place}\"\n"
        );
        Policy::parse("p.toml", &text).unwrap()
    };
    let wide = with("GET /{bot}/{method}", "path bot");
    assert!(inside(&with("GET /{key}/send", "path key"), &wide));
    assert!(!inside(&with("GET /send/{key}", "path key"), &wide));
    assert!(!inside(&with("GET /{key}/send", "header x"), &wide));
}

#[test]
fn what_is_too_long_to_be_built_is_compared_all_the_same() {
    let most = |length: &str| {
        union(&[&format!("body = {{ type = \"json\", fields = {{ t = {{ max_length = {length} }} }} }}")])
    };
    assert!(inside(&most("100000"), &most("100000")));
    assert!(inside(&most("100000"), &most("100001")));
    assert!(!inside(&most("100001"), &most("100000")));
    let diff = Policy::diff(&most("70000"), &most("80000"));
    assert_eq!((diff.verdict, diff.exact), (Verdict::Wider, false));
}

#[test]
fn each_kind_of_change_is_shown_by_a_call() {
    let websocket = |messages: u8| {
        let text = format!(
            "version = 1\n[[permit]]\nto = \"https://a.example\"\ncall = \"GET /s\"\nplace = \"websocket json /d/t\"\nmessages = {messages}\n"
        );
        Policy::parse("p.toml", &text).unwrap()
    };
    let body = |line: &str| union(&[&format!("body = {{ {line} }}")]);
    for (old, new, rule) in [
        (union(&["approve = \"each-call\""]), union(&[""]), "without: approve: each call waits for a human"),
        (
            union(&["rate = \"1/min\""]),
            union(&["rate = \"2/min\""]),
            "rate: 2/min; more than the other policy gives these calls",
        ),
        (union(&[""]), union(&["range = \"pass\""]), "range requests: forwarded; not: not forwarded"),
        (
            union(&["headers = { x-tenant = { const = \"a\", required = true } }"]),
            union(&["headers = { x-tenant = { in = [\"a\", \"b\"], required = true } }"]),
            "header \"x-tenant\": one of \"a\" or \"b\", required, at most one of this name; not: one of \"a\", required, at most one of this name",
        ),
        (websocket(2), websocket(5), "messages that may carry the credential: the first 5; not: the first 2"),
        (
            body("type = \"json\", fields = { \"/a/b\" = { max = 5 } }"),
            body("type = \"json\", fields = { \"/a/b\" = { max = 9 } }"),
            "json \"/a/b\": number, at most 9; not: number, at most 5",
        ),
        (
            body("type = \"json\", only = true, fields = { a = {} }"),
            body("type = \"json\", fields = { a = {} }"),
            "other members of json body: any; not: none",
        ),
        (
            body("type = \"form\", max_bytes = 100, fields = { a = {} }"),
            body("type = \"form\", max_bytes = 200, fields = { a = {} }"),
            "size of the body: at most 200 bytes; not: at most 100 bytes",
        ),
        (
            body("type = \"form\""),
            body("type = \"any\", max_bytes = \"1MiB\""),
            "body: neither a form nor json that can be read",
        ),
    ] {
        let diff = Policy::diff(&old, &new);
        let change = diff.allowed.iter().find(|change| change.rules.iter().any(|own| own == rule));
        let change = change.unwrap_or_else(|| panic!("{rule}: {:#?}", diff.allowed));
        assert!(change.example.is_some(), "{change:#?}");
        assert_eq!((diff.verdict, diff.exact), (Verdict::Wider, true), "{rule}: {:#?}", diff.refused);
    }
}
