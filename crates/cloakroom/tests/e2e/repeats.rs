//! Requests that come again: what each word of a permit lets happen, and what without it does not.

use crate::clients::{self, installed, script, service};
use crate::support::{policy, setup};
use cloakroom_testkit::{
    After, Issued, Received, Reply, Request, Response, Setup, TlsUpstream, Way, Workload, shaped,
};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
}

impl Stage {
    /// An upstream whose answer depends on the number of the request, from 1.
    fn new(answer: fn(usize, &Received) -> Reply) -> Self {
        let setup = setup();
        let count = Arc::new(AtomicUsize::new(0));
        let upstream = TlsUpstream::start(&setup.authority, move |request| {
            answer(count.fetch_add(1, Ordering::SeqCst) + 1, request)
        });
        setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        Self { setup, upstream }
    }

    fn permit(&self, rest: &str) -> Issued {
        self.permit_for("robot", rest)
    }

    fn permit_for(&self, workload: &str, rest: &str) -> Issued {
        let permit = policy(&self.upstream.url(), "POST /v1/items", "header authorization bearer", rest);
        self.setup.broker.permit("c", workload, &permit, &["--uses", "1"])
    }

    fn post(&self, issued: &Issued, body: &str, more: &[(&str, &str)]) -> Response {
        self.post_as(&self.setup.robot, issued, body, more)
    }

    fn post_as(&self, who: &Workload, issued: &Issued, body: &str, more: &[(&str, &str)]) -> Response {
        let mut request = Request::new("POST", &self.upstream.authority(), "/v1/items")
            .with("authorization", &format!("Bearer {}", issued.text))
            .with_body("text/plain", body);
        for (name, value) in more {
            request = request.with(name, value);
        }
        self.setup.broker.call(Way::Absolute, Some(who), &request)
    }

    fn sent(&self) -> usize {
        self.upstream.requests().len()
    }

    fn used(&self, issued: &Issued) -> u64 {
        self.setup.broker.cli_json(&["placeholder", "show", &issued.id])["used"].as_u64().unwrap()
    }
}

/// Fails the first request after it was read, and answers the others.
fn fails_once(number: usize, _: &Received) -> Reply {
    match number {
        1 => Reply::raw("", After::Close),
        number => Reply::ok("text/plain", format!("reply {number}")),
    }
}

fn is_spent(answer: &Response) -> bool {
    answer.code().as_deref() == Some("placeholder-spent")
}

#[test]
fn t66_without_a_word_in_the_permit_a_repeat_does_not_go_out() {
    let stage = Stage::new(fails_once);
    let issued = stage.permit("");
    let key = [("idempotency-key", "k1")];
    assert_eq!(stage.post(&issued, "a", &key).code().as_deref(), Some("upstream-unreachable"));
    assert!(is_spent(&stage.post(&issued, "a", &key)));
    assert_eq!((stage.sent(), stage.used(&issued)), (1, 1));
}

#[test]
fn t66_the_same_request_goes_out_again_under_its_use_where_the_permit_says_so() {
    let stage = Stage::new(fails_once);
    let issued = stage.permit("retry = \"same-request\"");
    assert_eq!(stage.post(&issued, "a", &[]).code().as_deref(), Some("upstream-unreachable"));
    // A count of attempts is no part of the request; anything else is.
    assert!(is_spent(&stage.post(&issued, "b", &[])));
    assert!(is_spent(&stage.post(&issued, "a", &[("x-more", "1")])));
    let again = stage.post(&issued, "a", &[("x-stainless-retry-count", "1")]);
    assert_eq!((again.status, again.text().as_ref()), (200, "reply 2"));
    assert_eq!((stage.sent(), stage.used(&issued)), (2, 1));
    let journal = stage.setup.broker.cli(&["journal", "show", "--json"]).stdout;
    assert_eq!(journal.matches("\"repeats\":").count(), 1);
    // At most five times in all, however often it is asked for.
    for _ in 0..3 {
        assert_eq!(stage.post(&issued, "a", &[]).status, 200);
    }
    assert!(is_spent(&stage.post(&issued, "a", &[])));
    assert_eq!((stage.sent(), stage.used(&issued)), (5, 1));
}

#[test]
fn t66_with_an_idempotency_key_alone_only_requests_with_one_go_out_again() {
    let stage = Stage::new(fails_once);
    let issued = stage.permit("retry = \"idempotency-key\"");
    let key = [("idempotency-key", "k1")];
    assert_eq!(stage.post(&issued, "a", &key).code().as_deref(), Some("upstream-unreachable"));
    for more in
        [&[][..], &[("idempotency-key", "k2")], &[("idempotency-key", "k1"), ("idempotency-key", "k1")]]
    {
        assert!(is_spent(&stage.post(&issued, "a", more)), "{more:?}");
    }
    assert!(is_spent(&stage.post(&issued, "b", &key)), "the same key with another request");
    assert_eq!(stage.post(&issued, "a", &key).status, 200);
    assert_eq!((stage.sent(), stage.used(&issued)), (2, 1));
    // Without one the first attempt is all there is.
    let other = stage.permit("retry = \"idempotency-key\"");
    assert_eq!(stage.post(&other, "a", &[]).status, 200);
    assert!(is_spent(&stage.post(&other, "a", &[])));
}

#[test]
fn t66_a_reply_that_is_kept_answers_the_same_request_and_nothing_is_sent() {
    let mut stage = Stage::new(|number, request| {
        let sent = String::from_utf8_lossy(&request.body).into_owned();
        let secret = request.header("authorization").unwrap_or_default().to_owned();
        Reply::ok("text/plain", format!("reply {number} to {sent}: {secret}"))
            .with("x-number", &number.to_string())
    });
    let issued = stage.permit("store = \"response\"");
    let first = stage.post(&issued, "a", &[]);
    for _ in 0..7 {
        let again = stage.post(&issued, "a", &[]);
        assert_eq!((again.status, &again.body), (200, &first.body));
        assert!(
            again.text().contains(&issued.text),
            "the placeholder stands for the secret: {}",
            again.text()
        );
        assert_eq!((again.header("x-number"), again.header("content-type")), (Some("1"), Some("text/plain")));
        assert_eq!(again.header("cloakroom-replayed"), first.header("cloakroom-request"));
        assert_ne!(again.header("cloakroom-request"), first.header("cloakroom-request"));
    }
    assert!(is_spent(&stage.post(&issued, "b", &[])));
    assert_eq!((stage.sent(), stage.used(&issued)), (1, 1));
    let journal = stage.setup.broker.cli(&["journal", "show", "--json"]).stdout;
    assert_eq!(journal.matches("\"kind\":\"replayed\"").count(), 7);
    let request = stage.post(&issued, "a", &[]).header("cloakroom-request").unwrap().to_owned();
    let explained = stage.setup.broker.cli(&["explain", &request]).stdout;
    assert!(explained.contains("nothing was sent"), "{explained}");
    // Revoked means now, for what is kept too; and nothing is kept over a restart.
    let other = stage.permit("store = \"response\"");
    assert_eq!(stage.post(&other, "a", &[]).status, 200);
    stage.setup.broker.cli(&["placeholder", "revoke", &other.id]);
    assert_eq!(stage.post(&other, "a", &[]).code().as_deref(), Some("placeholder-revoked"));
    stage.setup.broker.restart();
    assert!(is_spent(&stage.post(&issued, "a", &[])));
    assert_eq!(stage.sent(), 2);
}

#[test]
fn t66_what_is_kept_is_whole_final_and_of_its_own_workload() {
    let stage = Stage::new(|number, request| match &request.body[..] {
        b"large" => Reply::ok("text/plain", "x".repeat(300 << 10)),
        b"fails" => Reply::status("503 Service Unavailable").with_body("later"),
        b"breaks" => Reply::raw("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nxx", After::Close),
        b"trailer" => Reply::ok("text/plain", "x").in_chunks_of(1).with_trailer("x-sum", "1"),
        _ => Reply::ok("text/plain", format!("reply {number}")),
    });
    for body in ["large", "fails", "breaks", "trailer"] {
        let issued = stage.permit("store = \"response\"");
        stage.post(&issued, body, &[]);
        assert!(is_spent(&stage.post(&issued, body, &[])), "{body}");
    }
    let other = stage.setup.broker.workload("other");
    let (issued, of_other) =
        (stage.permit("store = \"response\""), stage.permit_for("other", "store = \"response\""));
    assert_eq!(stage.post(&issued, "mine", &[]).status, 200);
    let theirs = stage.post_as(&other, &issued, "mine", &[]);
    assert_eq!(theirs.code().as_deref(), Some("wrong-workload"), "{}", theirs.text());
    let fresh = stage.post_as(&other, &of_other, "mine", &[]);
    assert_eq!((fresh.status, fresh.header("cloakroom-replayed")), (200, None));
}

#[test]
fn t63_the_same_request_many_times_at_once_is_sent_one_at_a_time() {
    static UNDERWAY: AtomicUsize = AtomicUsize::new(0);
    let stage = Stage::new(|_, _| {
        assert_eq!(UNDERWAY.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
        let until = std::time::Instant::now() + std::time::Duration::from_millis(50);
        while std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        UNDERWAY.fetch_sub(1, Ordering::SeqCst);
        Reply::ok("text/plain", "one")
    });
    let issued = stage.permit("retry = \"same-request\"\nstore = \"response\"");
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..24).map(|_| scope.spawn(|| stage.post(&issued, "a", &[]))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).collect()
    });
    for answer in &answers {
        assert!(
            answer.status == 200 || answer.code().as_deref() == Some("rate-limited"),
            "{}",
            answer.text()
        );
    }
    // The first that ended was kept, so no other went out.
    assert_eq!((stage.sent(), stage.used(&issued)), (1, 1));
}

#[test]
fn the_approver_reads_what_repeats_may_do() {
    let stage = Stage::new(fails_once);
    let text = |rest: &str| {
        let permit = policy(&stage.upstream.url(), "POST /v1/items", "header authorization bearer", rest);
        let issued = stage.setup.broker.issue("c", "robot", &permit, &[]);
        stage.setup.broker.cli(&["approval", "show", &issued.approval]).stdout
    };
    let retry = "retry: the same request, repeated within 10 minutes, goes out again without taking a use, 4 times at most";
    let warning = "! one use may reach the destination 5 times";
    let store = "the same request is answered with the kept one, and neither goes out nor takes a use";
    let plain = text("");
    assert!(![retry, warning, store].iter().any(|line| plain.contains(line)), "{plain}");
    let both = text("retry = \"same-request\"\nstore = \"response\"");
    assert!([retry, warning, store].iter().all(|line| both.contains(line)), "{both}");
}

#[test]
fn libraries_that_retry_by_themselves_get_by_with_one_use() {
    let Some(clients) = installed() else { return };
    for (library, call, rest) in [
        ("stripe", "POST /v1/customers", "retry = \"idempotency-key\""),
        ("openai", "POST /v1/chat/completions", "retry = \"same-request\""),
    ] {
        for breaks in [true, false] {
            let setup = setup();
            let count = AtomicUsize::new(0);
            let upstream = TlsUpstream::start(&setup.authority, move |request| {
                match (count.fetch_add(1, Ordering::SeqCst), breaks) {
                    (0, true) => Reply::raw("", After::Close),
                    (0, false) => Reply::status("500 Internal Server Error").with_body("{}"),
                    _ => service(request),
                }
            });
            setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk-"));
            let permit = policy(&upstream.url(), call, "header authorization bearer", rest);
            let issued = setup.broker.permit("c", "robot", &permit, &["--uses", "1"]);
            let mut command = Command::new(clients.join("venv/bin/python"));
            command.arg(script("use_retries.py")).arg("proxy");
            clients::surroundings(&mut command, &setup.broker, &setup.robot);
            command
                .env("LIBRARY", library)
                .env("DESTINATION", upstream.url())
                .env("PLACEHOLDER", &issued.text);
            let told = clients::run(&setup.broker, command);
            assert!(told.contains("refused:"), "{told}");
            assert_eq!(upstream.requests().len(), 2, "{library}, breaks: {breaks}");
            let shown = setup.broker.cli_json(&["placeholder", "show", &issued.id]);
            assert_eq!(shown["used"], 1, "{shown}");
        }
    }
}
