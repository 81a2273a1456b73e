//! Every place of a credential through every way in: the secret arrives, and does not come back.

use crate::support::{BINARY, policy, setup};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_testkit::{
    BrokerBuilder, H2Upstream, Received, Reply, Request, Setup, TestAuthority, TlsUpstream, Way, echo, shaped,
};

/// One place: its kind, its notation, and how a call looks with something in that place.
struct Case {
    name: &'static str,
    kind: &'static str,
    place: &'static str,
    call: &'static str,
    rest: &'static str,
    build: fn(&str, &str) -> Request,
    arrives: fn(&str) -> String,
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

const CASES: [Case; 10] = [
    Case {
        name: "bearer",
        kind: "bearer",
        place: "header authorization bearer",
        call: "GET /bearer",
        rest: "",
        build: |to, p| Request::new("GET", to, "/bearer").with("authorization", &format!("Bearer {p}")),
        arrives: |secret| format!("authorization: Bearer {secret}\r\n"),
    },
    Case {
        name: "raw-header",
        kind: "header",
        place: "header x-api-key",
        call: "GET /raw",
        rest: "",
        build: |to, p| Request::new("GET", to, "/raw").with("X-Api-Key", p),
        arrives: |secret| format!("x-api-key: {secret}\r\n"),
    },
    Case {
        name: "github-scheme",
        kind: "bearer",
        place: "header authorization bearer",
        call: "GET /scheme",
        rest: "",
        build: |to, p| Request::new("GET", to, "/scheme").with("authorization", &format!("token {p}")),
        arrives: |secret| format!("authorization: token {secret}\r\n"),
    },
    Case {
        name: "basic-user",
        kind: "basic",
        place: "header authorization basic-user",
        call: "GET /basic-user",
        rest: "",
        build: |to, p| Request::new("GET", to, "/basic-user").with("authorization", &basic(p, "x:y")),
        arrives: |secret| format!("authorization: {}\r\n", basic(secret, "x:y")),
    },
    Case {
        name: "basic-password",
        kind: "basic",
        place: "header authorization basic-password",
        call: "GET /basic-password",
        rest: "",
        build: |to, p| Request::new("GET", to, "/basic-password").with("authorization", &basic("robot", p)),
        arrives: |secret| format!("authorization: {}\r\n", basic("robot", secret)),
    },
    Case {
        name: "cookie",
        kind: "cookie",
        place: "cookie sid",
        call: "GET /cookie",
        rest: "",
        build: |to, p| {
            Request::new("GET", to, "/cookie").with("cookie", &format!("theme=dark; sid={p}; n=1"))
        },
        arrives: |secret| format!("cookie: theme=dark; sid={secret}; n=1\r\n"),
    },
    Case {
        name: "query",
        kind: "query",
        place: "query key",
        call: "GET /query",
        rest: "query = { allow = [\"key\", \"city\"] }",
        build: |to, p| Request::new("GET", to, &format!("/query?city=Z%c3%bcrich&key={p}")),
        arrives: |secret| format!("GET /query?city=Z%C3%BCrich&key={secret} HTTP/1.1\r\n"),
    },
    Case {
        name: "path",
        kind: "path",
        place: "path key",
        call: "GET /bot/{key}/me",
        rest: "",
        build: |to, p| Request::new("GET", to, &format!("/bot/{p}/me")),
        arrives: |secret| format!("GET /bot/{secret}/me HTTP/1.1\r\n"),
    },
    Case {
        name: "json",
        kind: "json",
        place: "json /login/0/secret",
        call: "POST /json",
        rest: "body = { type = \"json\" }",
        build: |to, p| {
            let body = format!("{{ \"n\": 1.50, \"login\":[{{\"secret\" :\"{p}\"}}] }}");
            Request::new("POST", to, "/json").with_body("application/json", body)
        },
        arrives: |secret| format!("{{ \"n\": 1.50, \"login\":[{{\"secret\" :\"{secret}\"}}] }}"),
    },
    Case {
        name: "form",
        kind: "form",
        place: "form client_secret",
        call: "POST /form",
        rest: "body = { type = \"form\" }",
        build: |to, p| {
            let body = format!("a=b+c%21&client_secret={p}&z=");
            Request::new("POST", to, "/form").with_body("application/x-www-form-urlencoded", body)
        },
        arrives: |secret| format!("a=b+c%21&client_secret={secret}&z="),
    },
];

fn everything(received: &Received) -> String {
    String::from_utf8_lossy(&[&received.head[..], &received.raw_body].concat()).into_owned()
}

fn every_place_works(way: Way) {
    let Setup { broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    for case in &CASES {
        // Longer than a placeholder has to be, so that lengths change on the way.
        let secret = shaped("sk_live_");
        broker.deposit(case.name, case.kind, &[&upstream.url()], &secret);
        let permit = policy(&upstream.url(), case.call, case.place, case.rest);
        let issued = broker.permit(case.name, "robot", &permit, &[]);
        let answer = broker.call(way, Some(&robot), &(case.build)(&upstream.authority(), &issued.text));
        assert_eq!(answer.status, 200, "{} by {way:?}: {}", case.name, answer.text());
        let received = upstream.last();
        let wanted = (case.arrives)(&secret);
        assert!(everything(&received).contains(&wanted), "{}: {}", case.name, everything(&received));
        assert_eq!(received.header("host"), Some(upstream.authority().as_str()));
        assert_eq!((received.count("proxy-authorization"), received.count("cloakroom-workload")), (0, 0));
        assert!(!answer.text().contains(&secret), "{}: {}", case.name, answer.text());
    }
    assert_eq!(broker.verify_journal()["ok"], true);
}

#[test]
fn every_place_works_through_connect() {
    every_place_works(Way::Connect);
}

#[test]
fn every_place_works_through_absolute_form() {
    every_place_works(Way::Absolute);
}

#[test]
fn every_place_works_through_a_base_url() {
    every_place_works(Way::BaseUrl);
}

#[test]
fn the_reply_has_the_placeholder_where_the_upstream_echoed_the_secret() {
    let Setup { broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &crate::support::items(&upstream), &[]);
    for way in Way::ALL {
        let answer = broker.call(way, Some(&robot), &crate::support::item(&upstream, "1", &issued.text));
        let echoed = answer.json()["headers"].as_array().unwrap().clone();
        let echoed = echoed.iter().find(|pair| pair[0] == "authorization").unwrap()[1].clone();
        assert_eq!(echoed, format!("Bearer {}", issued.text).as_str());
    }
}

#[test]
fn an_upstream_that_speaks_http_2_is_called_in_http_2() {
    let Setup { broker, authority, robot } = setup();
    let upstream = H2Upstream::start(&authority);
    let to = format!("https://{}", upstream.authority());
    broker.deposit("c", "bearer", &[&to], &shaped("sk_live_"));
    let permit = policy(&to, "POST /v1/items", "header authorization bearer", "");
    let issued = broker.permit("c", "robot", &permit, &[]);
    for way in Way::ALL {
        let request = Request::new("POST", &upstream.authority(), "/v1/items")
            .with("authorization", &format!("Bearer {}", issued.text))
            .with_body("text/plain", "hello");
        let answer = broker.call(way, Some(&robot), &request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["body"], "hello");
        assert!(answer.text().contains(&issued.text), "{}", answer.text());
    }
    assert_eq!(upstream.requests(), 3);
    assert_eq!(upstream.connections(), 1, "upstream connections are kept");
}

#[test]
fn upstream_connections_are_kept_and_shared_by_the_ways_in() {
    let Setup { broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &crate::support::items(&upstream), &[]);
    for way in Way::ALL {
        for id in ["1", "2"] {
            let answer = broker.call(way, Some(&robot), &crate::support::item(&upstream, id, &issued.text));
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    assert_eq!(upstream.requests().len(), 6);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn t40_each_pipelined_call_is_judged_by_itself() {
    let Setup { broker, authority, robot } = setup();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &crate::support::items(&upstream), &[]);
    let good = crate::support::item(&upstream, "1", &issued.text).bytes(Way::Connect, None);
    let bad = Request::new("DELETE", &upstream.authority(), "/v1/items/1")
        .with("authorization", &format!("Bearer {}", issued.text))
        .bytes(Way::Connect, None);
    let mut wire = broker.tunnel(&upstream.authority(), Some(&robot)).map_err(|r| r.text()).unwrap();
    wire.send(&[&good[..], &bad, &good, &bad].concat());
    let statuses: Vec<u16> = (0..4).map(|_| wire.receive("GET").unwrap().status).collect();
    assert_eq!(statuses, [200, 403, 200, 403]);
    assert_eq!(upstream.requests().len(), 2);
}

#[test]
fn t53_the_brokers_own_proxy_variables_change_nothing() {
    let authority = TestAuthority::new();
    let upstream = TlsUpstream::start(&authority, echo);
    let decoy = TlsUpstream::start(&authority, |_| Reply::status("200 OK"));
    let broker = BrokerBuilder::new(BINARY, &authority)
        .variable("HTTPS_PROXY", &decoy.url())
        .variable("https_proxy", &decoy.url())
        .variable("ALL_PROXY", &decoy.url())
        .start();
    let robot = broker.workload("robot");
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let issued = broker.permit("c", "robot", &crate::support::items(&upstream), &[]);
    let answer =
        broker.call(Way::Absolute, Some(&robot), &crate::support::item(&upstream, "1", &issued.text));
    assert_eq!(answer.status, 200);
    assert_eq!(decoy.connections(), 0);
}
