use super::Lesson;
use crate::Policy;
use bytes::Bytes;
use cloakroom_model::{Call, Destination, Path, Payload, Query, RequestId, Timestamp, Way};
use http::{HeaderMap, HeaderName, HeaderValue};

fn call(method: &str, path: &str, query: &str, headers: &[(&str, &str)], body: &[u8]) -> Call {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Call {
        request: RequestId::new(Timestamp::from_millis(0), [0; 10]),
        way: Way::Connect,
        method: method.parse().unwrap(),
        destination: Destination::parse("https://api.example.com").unwrap(),
        path: Path::parse(path).unwrap(),
        query: Query::parse(query).unwrap(),
        headers: map,
        upgrade: None,
        body: Payload::complete(Bytes::copy_from_slice(body)),
    }
}

const BEARER: (&str, &str) = ("authorization", "Bearer ticket");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");

fn learned(calls: &[Call]) -> Lesson {
    let mut lesson = Lesson::default();
    for call in calls {
        lesson.observe(call, |text| text == "ticket");
    }
    lesson
}

fn proposed(calls: &[Call]) -> String {
    let toml = learned(calls).propose().toml;
    Policy::parse("proposal", &toml).unwrap_or_else(|complaints| panic!("{complaints:?}\n{toml}"));
    toml
}

#[test]
fn what_was_seen_is_proposed_by_names_and_types() {
    let toml = proposed(&[
        call("GET", "/v1/charges/ch_1A2b3C", "limit=10", &[BEARER], b""),
        call("GET", "/v1/charges/ch_9Z8y7X", "limit=20&expand[]=a&expand[]=b", &[BEARER], b""),
        call("POST", "/v1/charges", "", &[BEARER, FORM], b"amount=500&currency=usd&live=true"),
        call(
            "POST",
            "/v1/notes",
            "",
            &[BEARER, JSON],
            br#"{"text":"hi","tags":["a"],"by":{"id":7},"x":null}"#,
        ),
    ]);
    assert_eq!(
        toml,
        r#"# Proposed from 4 calls, none of which was sent. Nothing is permitted by this file: read it, narrow it,
# issue a placeholder with it, and have that approved.
version = 1

# GET /v1/charges/{id}: 2 calls
# generalised: {id} stands for any segment (each looks like an identifier with a prefix)
# generalised: values of query keys by type, lengths rounded up
[[permit]]
name = "learned 1: GET /v1/charges/{id}"
to = "https://api.example.com"
call = ["GET /v1/charges/{id}"]
place = "header authorization bearer"
query = { repeat = ["expand[]"], fields = { "expand[]" = { type = "string", max_length = 16 }, "limit" = { type = "integer" } } }
body = { type = "none" }

# POST /v1/charges: 1 calls
# generalised: values of form fields by type, lengths rounded up
[[permit]]
name = "learned 2: POST /v1/charges"
to = "https://api.example.com"
call = ["POST /v1/charges"]
place = "header authorization bearer"
body = { type = "form", max_bytes = 1024, fields = { "amount" = { type = "integer" }, "currency" = { type = "string", max_length = 16 }, "live" = { type = "boolean" } } }

# POST /v1/notes: 1 calls
# generalised: json values by type, lengths rounded up; arrays with any items
[[permit]]
name = "learned 3: POST /v1/notes"
to = "https://api.example.com"
call = ["POST /v1/notes"]
place = "header authorization bearer"
body = { type = "json", max_bytes = 1024, only = true, fields = { "/by/id" = { type = "integer" }, "/tags" = { type = "array" }, "/text" = { type = "string", max_length = 16 }, "/x" = { type = "null" } } }
"#
    );
}

#[test]
fn identifiers_become_parameters_and_words_do_not() {
    for (path, template) in [
        ("/v1/users/42", "/v1/users/{id}"),
        ("/u/0b8fa4d6-3c7e-4f7a-9a54-2f1f0c6b7a11/keys", "/u/{id}/keys"),
        ("/r/01HF7YAT00QTXS9F8T1S4ZKZ8M", "/r/{id}"),
        ("/git/3fa9c1d2e4", "/git/{id}"),
        ("/a/cus_Nf9x12/b/7", "/a/{id}/b/{id2}"),
        ("/d/2026-11-29", "/d/{id}"),
        ("/v1/charges/search", "/v1/charges/search"),
        ("/repos/octo/hello-world", "/repos/octo/hello-world"),
        ("/deadbeef", "/deadbeef"),
        ("/a/*", "/a/{id}"),
        ("/a/", "/a/"),
        ("/", "/"),
    ] {
        let toml = proposed(&[call("GET", path, "", &[BEARER], b"")]);
        assert!(toml.contains(&format!("call = [\"GET {template}\"]")), "{path}\n{toml}");
    }
}

#[test]
fn many_different_words_at_one_place_become_a_parameter_and_few_do_not() {
    let words = ["red", "green", "blue", "black", "white"];
    let calls = |count: usize| -> Vec<Call> {
        words[..count].iter().map(|word| call("GET", &format!("/c/{word}/x"), "", &[BEARER], b"")).collect()
    };
    let toml = proposed(&calls(5));
    assert!(toml.contains("call = [\"GET /c/{value}/x\"]"), "{toml}");
    assert!(
        toml.contains("# generalised: {value} stands for any segment (5 or more different ones)"),
        "{toml}"
    );
    let toml = proposed(&calls(4));
    assert!(
        toml.contains("\"GET /c/black/x\", \"GET /c/blue/x\", \"GET /c/green/x\", \"GET /c/red/x\""),
        "{toml}"
    );
}

#[test]
fn the_place_is_where_a_placeholder_stood_and_else_a_guess_that_says_so() {
    let guess = "# the place is a guess";
    for (made, place, sure) in [
        (call("GET", "/a", "", &[("x-api-key", "ticket")], b""), "header x-api-key raw", true),
        (
            call("GET", "/a", "", &[("authorization", "Basic eDp0aWNrZXQ=")], b""),
            "header authorization basic-password",
            true,
        ),
        (call("GET", "/a", "k=ticket", &[], b""), "query k", true),
        (call("GET", "/bot/ticket/send", "", &[], b""), "path credential", true),
        (
            call(
                "GET",
                "/a",
                "",
                &[(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=ticket/20261129/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0000000000000000000000000000000000000000000000000000000000000000",
                )],
                b"",
            ),
            "sigv4 eu-west-1 s3",
            true,
        ),
        (call("GET", "/a", "", &[("cookie", "a=1; sid=ticket")], b""), "cookie sid", true),
        (call("POST", "/a", "", &[FORM], b"t=ticket&n=1"), "form t", true),
        (call("POST", "/a", "", &[JSON], br#"{"auth":{"t":"ticket"},"n":1}"#), "json /auth/t", true),
        (
            call("GET", "/a", "", &[("authorization", "Bearer else")], b""),
            "header authorization bearer",
            false,
        ),
        (call("GET", "/a", "api_key=else", &[], b""), "query api_key", false),
        (call("GET", "/a", "", &[], b""), "header authorization bearer", false),
    ] {
        let toml = proposed(&[made]);
        assert!(toml.contains(&format!("place = \"{place}\"")), "{place}\n{toml}");
        assert_eq!(toml.contains(guess), !sure, "{toml}");
        assert!(!toml.contains("ticket") && !toml.contains("else\""), "{toml}");
    }
}

#[test]
fn t75_hostile_names_stay_names_and_no_value_is_kept() {
    let secret = "canary";
    let body = format!(
        "{{\"a\\nb = 1\\u001b[2J\\u202e\":\"{secret}\",\"\\\"]\\nversion = 2\":{{\"x\":\"{secret}\"}}}}"
    );
    let query = format!("%0aversion%3d2={secret}&%5b%5bpermit%5d%5d={secret}");
    let toml = proposed(&[
        call("POST", "/a", &query, &[BEARER, JSON, ("x-note", secret)], body.as_bytes()),
        call("GET", "/%23%20x%22/%5B%5Bpermit%5D%5D", "", &[BEARER], b""),
    ]);
    assert!(toml.is_ascii() && !toml.contains(secret) && !toml.contains('\u{1b}'), "{toml}");
    assert_eq!(toml.lines().filter(|line| line.starts_with("[[permit]]")).count(), 2, "{toml}");
    assert_eq!(toml.lines().filter(|line| line.starts_with("version")).count(), 1, "{toml}");
}

#[test]
fn a_lesson_is_bounded_and_says_what_it_left_out() {
    let mut lesson = Lesson::default();
    for number in 0..1100 {
        let path = format!("/{}", "a".repeat(1 + number % 110) + &"/b".repeat(number / 110));
        lesson.observe(&call("GET", &path, "", &[BEARER], b""), |_| false);
    }
    assert_eq!((lesson.calls(), lesson.left_out()), (1100, 100));
    assert!(lesson.propose().toml.contains("# left out: 100 calls: there were too many different ones"));
    let names: String = (0..100).map(|number| format!("&k{number}=1")).collect();
    let many = call("GET", "/a", &names[1..], &[BEARER], b"");
    assert!(proposed(&[many]).contains("# left out: some query keys, too many or too long"));
    let members = |number: usize| {
        let body = format!("{{\"m{number}\":{{\"n{number}\":{{\"o{number}\":1}}}}}}");
        call("POST", "/j", "", &[BEARER, JSON], body.as_bytes())
    };
    let many: Vec<Call> = (0..500).map(members).collect();
    let toml = proposed(&many);
    assert!(toml.contains("# generalised: any json body") && toml.len() < 2000, "{toml}");
    let long = call("GET", &format!("/{}", "a".repeat(500)), "", &[BEARER], b"");
    assert!(proposed(&[long]).contains("call = [\"GET /{id}\"]"));
}

#[test]
fn nothing_seen_is_nothing_proposed() {
    let proposal = Lesson::default().propose();
    assert_eq!((proposal.permits, proposal.calls), (0, 0));
    assert!(proposal.toml.contains("# There was no call to propose anything for."));
}
