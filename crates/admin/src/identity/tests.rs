//! Who may do what, and how it is known who asks: every route, every role, and everything that is one step wrong.

use crate::api::{Route, routes};
use crate::house::{House, Told, ends, golden, issue_body};
use crate::identity::{Begun, Newcomer, Spans};
use crate::listen::Ends;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use cloakroom_model::{MemberId, MemberRecord, Name, Role, Roles, Timestamp};
use cloakroom_policy::base64url;
use http::{HeaderMap, header};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

mod leavers;
mod sign_on;

const ORIGIN: &str = "http://localhost:8481";

const MATRIX: &str = "\
# Who may do what: a person with one role, and, where it is said, only with what is their own.
# The API token of an operator may do what an operator may but for what is marked (person).

";

/// A browser that has logged in.
pub(crate) struct Browser {
    pub(crate) cookie: String,
    pub(crate) half: String,
}

impl Browser {
    /// Somebody who came by single sign-on with these roles.
    pub(crate) async fn with(house: &House, name: &str, roles: Roles) -> Self {
        let newcomer = Newcomer { name: name.to_owned(), key: None, roles };
        Self::of(house.admin.begin_session(newcomer, &HeaderMap::new()).await.unwrap())
    }

    fn of(Begun { cookie, half }: Begun) -> Self {
        Self { cookie: cookie.to_str().unwrap().split(';').next().unwrap().to_owned(), half }
    }

    /// Somebody who has logged in and was told so.
    fn told(told: &Told) -> Self {
        let half = told.json()["half"].as_str().unwrap().to_owned();
        Self::of(Begun { cookie: told.headers[header::SET_COOKIE].clone(), half })
    }

    /// Sends a form as a page of its session does.
    pub(crate) async fn form(&self, house: &House, path: &str, form: &str) -> Told {
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let fields = [("cookie", self.cookie.as_str()), ("origin", ORIGIN), kind];
        house.ask("POST", path, &fields, &format!("{form}&csrf={}", self.half)).await
    }

    async fn ask(&self, house: &House, method: &str, path: &str, body: Option<Value>) -> Told {
        let fields = [
            ("cookie", self.cookie.as_str()),
            ("cloakroom-csrf", self.half.as_str()),
            ("origin", ORIGIN),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
        ];
        house.ask(method, path, &fields, &body.map_or_else(String::new, |body| body.to_string())).await
    }
}

fn roles(roles: &[Role]) -> Roles {
    roles.iter().copied().collect()
}

/// A path of this route at which nothing is, so that whoever may ask is told so and nothing is changed.
fn nothing_at(path: &str) -> String {
    let mut at = String::new();
    for part in path.split_inclusive(['{', '}']) {
        match part.strip_suffix('}') {
            Some(_) => at.push_str("nothing"),
            None => at.push_str(part.trim_end_matches('{')),
        }
    }
    at
}

#[tokio::test]
async fn t84_every_route_of_the_api_is_refused_to_whoever_shows_nothing_or_what_opens_nothing() {
    let house = House::new();
    for Route { method, path, .. } in routes() {
        let path = nothing_at(path);
        let told = house.ask(method, &path, &[], "").await;
        assert_eq!((told.status, told.code().as_str()), (401, "not-authenticated"), "{method} {path}");
        assert_eq!(told.headers[header::WWW_AUTHENTICATE], "Bearer");
    }
    let shown = [
        ("authorization", "Bearer ckt_0000000000000000000000000000000000000000000"),
        ("authorization", "Basic b3BlcmF0b3I6b3BlcmF0b3I="),
        ("cookie", "cloakroom-8481=cks_0000000000000000000000000000000000000000000"),
    ];
    for field in shown {
        assert_eq!(house.ask("GET", "/api/v1/health", &[field], "").await.status, 401, "{field:?}");
    }
    assert!(house.acts().is_empty());
}

#[tokio::test]
async fn what_each_role_may_do_on_each_route_is_as_the_matrix_says() {
    let house = House::new();
    house.admin.feeds.end();
    let mut browsers = Vec::new();
    for role in Role::ALL {
        browsers.push(Browser::with(&house, role.as_str(), roles(&[role])).await);
    }
    let mut matrix = String::from(MATRIX);
    let _ = writeln!(matrix, "{:<62} operator approver auditor reader", "");
    let operator = house.token(Role::Operator).await;
    for Route { method, path, .. } in routes() {
        let mut cells = Vec::new();
        for (role, browser) in Role::ALL.iter().zip(&browsers) {
            let own = own_cell(&house, browser, *role, method, path).await;
            let cell = match own {
                Some(cell) => cell,
                None => {
                    cell_of(&browser.ask(&house, method, &nothing_at(path), Some(json!({}))).await).to_owned()
                }
            };
            cells.push(format!("{cell:<6}"));
        }
        let by_token = house.ask_with(&operator, method, &nothing_at(path), Some(json!({}))).await;
        let person = cells[0].trim() == "yes" && by_token.code() == "role-missing";
        let mark = if person { "(person)" } else { "" };
        let line = format!("{:<62} {} {mark}", format!("{method} {path}"), cells.join(" "));
        let _ = writeln!(matrix, "{}", line.trim_end());
    }
    golden("src/api/authorization.txt", &matrix);
}

fn cell_of(told: &Told) -> &'static str {
    match (told.status, told.code().as_str()) {
        (403, "role-missing") => "no",
        (401, _) => "?",
        _ => "yes",
    }
}

/// Where ownership matters: whether the caller's own may be touched, and another's.
async fn own_cell(house: &House, browser: &Browser, role: Role, method: &str, path: &str) -> Option<String> {
    if let ("GET", "/api/v1/sessions" | "/api/v1/tokens") = (method, path) {
        return Some(own_rows(house, browser, role, path).await);
    }
    let name = format!("own-{role}");
    let (own, other) = match (method, path) {
        ("DELETE", "/api/v1/tokens/{token}") => {
            let body = json!({ "name": name, "roles": [role], "expires_in": 60 });
            let made = browser.ask(house, "POST", "/api/v1/tokens", Some(body.clone())).await.json();
            let others = json!({ "name": format!("other-{role}"), "roles": [role], "expires_in": 60 });
            let others = house.ok("POST", "/api/v1/tokens", Some(others)).await;
            (made["id"].clone(), others["id"].clone())
        }
        ("DELETE", "/api/v1/sessions/{session}") => {
            let (again, other) = (
                Browser::with(house, role.as_str(), roles(&[role])).await,
                Browser::with(house, "somebody", roles(&[Role::Reader])).await,
            );
            let id = async |browser: &Browser| {
                browser.ask(house, "GET", "/api/v1/whoami", None).await.json()["session"].clone()
            };
            (id(&again).await, id(&other).await)
        }
        _ => return None,
    };
    let at = |id: &Value| path.split('{').next().unwrap().to_owned() + id.as_str().unwrap();
    let own = browser.ask(house, method, &at(&own), None).await;
    let other = browser.ask(house, method, &at(&other), None).await;
    Some(match (own.status, cell_of(&other)) {
        (200, "no") => "own".into(),
        (200, "yes") => "yes".into(),
        _ => format!("? {own:?} {other:?}"),
    })
}

/// Whether a list has what is the caller's own alone, or what is others' too.
async fn own_rows(house: &House, browser: &Browser, role: Role, path: &str) -> String {
    if path.ends_with("tokens") {
        let named =
            |name: &str| json!({ "name": format!("{name}-{role}"), "roles": [role], "expires_in": 60 });
        browser.ask(house, "POST", "/api/v1/tokens", Some(named("listed"))).await;
        house.ok("POST", "/api/v1/tokens", Some(named("unlisted"))).await;
    }
    let own = browser.ask(house, "GET", "/api/v1/whoami", None).await.json()["name"].clone();
    let listed = browser.ask(house, "GET", path, None).await.json();
    let owner = if path.ends_with("tokens") { "owner" } else { "name" };
    let is_own = |row: &Value| own.as_str().is_some_and(|own| own.contains(row[owner].as_str().unwrap()));
    let (own, others): (Vec<&Value>, Vec<&Value>) =
        listed.as_array().unwrap().iter().partition(|row| is_own(row));
    match (own.is_empty(), others.is_empty()) {
        (false, true) => "own".into(),
        (false, false) => "yes".into(),
        _ => format!("? {listed}"),
    }
}

#[tokio::test]
async fn an_api_token_has_no_more_than_its_maker_ends_and_is_never_shown_again() {
    let house = House::new();
    let text = house.token(Role::Auditor).await;
    assert_eq!(house.ask_with(&text, "GET", "/api/v1/members", None).await.status, 200);
    assert_eq!(house.ask_with(&text, "GET", "/api/v1/intake", None).await.code(), "role-missing");
    let wider = json!({ "name": "more", "roles": ["reader"], "expires_in": 60 });
    let told = house.ask_with(&text, "POST", "/api/v1/tokens", Some(wider.clone())).await;
    assert_eq!(told.code(), "role-missing", "an API token makes no other");
    let reader = Browser::with(&house, "ann", roles(&[Role::Reader])).await;
    assert_eq!(reader.ask(&house, "POST", "/api/v1/tokens", Some(wider)).await.status, 200);
    for (body, code) in [
        (json!({ "name": "x", "roles": ["operator"], "expires_in": 60 }), "role-missing"),
        (json!({ "name": "x", "roles": [], "expires_in": 60 }), "malformed-request"),
        (json!({ "name": "x", "roles": ["reader"], "expires_in": 0 }), "malformed-request"),
        (json!({ "name": "x", "roles": ["reader"], "expires_in": 400 * 86_400 }), "malformed-request"),
        (json!({ "name": "more", "roles": ["reader"], "expires_in": 60 }), "name-taken"),
    ] {
        assert_eq!(reader.ask(&house, "POST", "/api/v1/tokens", Some(body)).await.code(), code);
    }
    let listed = house.ok("GET", "/api/v1/tokens", None).await;
    assert!(!listed.to_string().contains(&text) && !listed.to_string().contains("hash"));
    let rows = house.admin.store.api_tokens().await.unwrap();
    assert!(!format!("{rows:?}").contains(&text));
    house.ok("DELETE", "/api/v1/tokens/for-auditor", None).await;
    assert_eq!(house.ask_with(&text, "GET", "/api/v1/health", None).await.status, 401, "revoked");
    let short = house
        .ok("POST", "/api/v1/tokens", Some(json!({ "name": "short", "roles": ["reader"], "expires_in": 1 })))
        .await;
    let mut row = house.admin.store.api_tokens().await.unwrap().pop().unwrap();
    assert_eq!(row.id.to_string(), short["id"].as_str().unwrap());
    row.id = cloakroom_model::ApiTokenId::fresh().unwrap();
    (row.name, row.expires) = (Name::parse("ended").unwrap(), Timestamp::now());
    row.hash = house.admin.api_token_hash("ckt_ended");
    house.admin.store.add_api_token(row).await.unwrap();
    assert_eq!(house.ask_with("ckt_ended", "GET", "/api/v1/health", None).await.status, 401, "ended");
}

#[tokio::test]
async fn t82_what_a_page_of_another_site_has_the_browser_send_is_refused() {
    let house = House::new();
    let ann = Browser::with(&house, "ann", roles(&[Role::Operator])).await;
    let eve = Browser::with(&house, "eve", roles(&[Role::Operator])).await;
    let body = r#"{"name":"robot"}"#;
    let good = [
        ("cookie", ann.cookie.as_str()),
        ("origin", ORIGIN),
        ("sec-fetch-site", "same-origin"),
        ("cloakroom-csrf", ann.half.as_str()),
        ("content-type", "application/json"),
    ];
    for (step, change) in [
        ("another site", ("sec-fetch-site", "cross-site")),
        ("a neighbour", ("sec-fetch-site", "same-site")),
        ("another origin", ("origin", "https://evil.example")),
        ("a sandboxed frame", ("origin", "null")),
        (
            "another session's",
            ("cloakroom-csrf", "0000000000000000000000000000000000000000000000000000000000000000"),
        ),
        ("none", ("cloakroom-csrf", "")),
        ("another's", ("cloakroom-csrf", eve.half.as_str())),
        ("the cookie's text", ("cloakroom-csrf", ann.cookie.split_once('=').unwrap().1)),
    ] {
        let mut fields: Vec<(&str, &str)> = good.into_iter().filter(|(name, _)| *name != change.0).collect();
        fields.push(change);
        let told = house.ask("POST", "/api/v1/workloads", &fields, body).await;
        assert_eq!((told.status, told.code().as_str()), (403, "cross-site"), "{step}: {told:?}");
    }
    assert!(house.acts().is_empty());
    let bare: Vec<(&str, &str)> =
        good.into_iter().filter(|(name, _)| !["origin", "sec-fetch-site"].contains(name)).collect();
    assert_eq!(house.ask("POST", "/api/v1/workloads", &bare, body).await.code(), "cross-site");
    assert_eq!(house.ask("POST", "/api/v1/workloads", &good, body).await.status, 200);
    // Whoever holds an API token is no browser: nothing is sent without being asked for.
    let token = house.token(Role::Operator).await;
    let told = house.ask_with(&token, "POST", "/api/v1/workloads", Some(json!({ "name": "other" }))).await;
    assert_eq!(told.status, 200, "{told:?}");
}

/// SECURITY: a cookie goes to every port of its host, thus to whatever else serves there.
#[tokio::test]
async fn t82_the_cookie_alone_changes_nothing_on_any_route_and_no_answer_has_the_other_half() {
    let house = House::new();
    house.admin.feeds.end();
    let ann = Browser::with(&house, "ann", Roles::all()).await;
    let mut changing = 0;
    for Route { method, path, .. } in routes() {
        let path = nothing_at(path);
        for kind in ["application/json", "application/x-www-form-urlencoded", "text/plain", ""] {
            let fields = [("cookie", ann.cookie.as_str()), ("origin", ORIGIN), ("content-type", kind)];
            let told = house.ask(method, &path, &fields, "").await;
            assert!(!told.text.contains(&ann.half), "{method} {path}");
            if method != "GET" {
                assert_eq!(told.code(), "cross-site", "{method} {path} {kind:?}: {told:?}");
                changing += 1;
            }
        }
    }
    assert!(changing > 100 && house.acts().is_empty());
    let rows = house.admin.store.sessions().await.unwrap();
    assert!(!format!("{rows:?}").contains(&ann.half));
}

#[tokio::test]
async fn t84_figures_are_for_this_machine_and_elsewhere_for_whoever_has_a_role() {
    let house = House::new();
    let bearer = format!("Bearer {}", house.token(Role::Reader).await);
    let from = |remote: &str| Ends { remote: remote.parse().unwrap(), ..ends() };
    for (remote, shown, status) in [
        ("127.0.0.1:1", None, 200),
        ("[::ffff:127.0.0.1]:1", None, 200),
        ("10.0.0.7:1", None, 401),
        ("10.0.0.7:1", Some("Bearer ckt_x"), 401),
        ("10.0.0.7:1", Some(bearer.as_str()), 200),
    ] {
        let fields: Vec<_> = shown.into_iter().map(|shown| ("authorization", shown)).collect();
        let told = house.ask_from(from(remote), "GET", "/metrics", &fields, "").await;
        assert_eq!(told.status, status, "{remote} {shown:?}: {told:?}");
        assert_eq!(told.text.contains("cloakroom_ready"), status == 200);
    }
}

#[tokio::test]
async fn t82_a_form_says_what_only_pages_of_its_session_know() {
    let house = House::new();
    let ann = Browser::with(&house, "ann", roles(&[Role::Reader])).await;
    let fields = [
        ("cookie", ann.cookie.as_str()),
        ("origin", ORIGIN),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    for form in ["", "csrf=", "csrf=0", &format!("csrf={0}&csrf={0}", ann.half)] {
        assert_eq!(house.ask("POST", "/logout", &fields, form).await.code(), "cross-site", "{form}");
    }
    assert_eq!(house.ask("GET", "/account", &fields[..1], "").await.status, 200);
    let told = house.ask("POST", "/logout", &fields, &format!("csrf={}", ann.half)).await;
    assert_eq!((told.status, &told.headers[header::LOCATION]), (303, &"/login".parse().unwrap()));
    assert!(told.headers[header::SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    let told = house.ask("GET", "/account", &fields[..1], "").await;
    assert_eq!(
        (told.status, &told.headers[header::LOCATION]),
        (303, &"/login?next=/account".parse().unwrap())
    );
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_when_its_time_is_up_and_when_its_roles_are_gone() {
    let mut house = House::new();
    let alive = async |house: &House, browser: &Browser| {
        house.ask("GET", "/api/v1/whoami", &[("cookie", &browser.cookie)], "").await.status == 200
    };
    let ann = Browser::with(&house, "ann", roles(&[Role::Reader])).await;
    assert!(alive(&house, &ann).await);
    let bare = Browser::with(&house, "bob", Roles::default()).await;
    assert!(!alive(&house, &bare).await, "no role, no session");
    let set = |house: &mut House, spans| Arc::get_mut(&mut house.admin).unwrap().identity.spans = spans;
    let hour = Duration::from_secs(3600);
    set(&mut house, Spans { idle: Duration::ZERO, whole: hour });
    assert!(!alive(&house, &ann).await, "idle");
    set(&mut house, Spans { idle: hour, whole: Duration::ZERO });
    assert!(alive(&house, &ann).await, "what has begun keeps its end");
    let over = Browser::with(&house, "eve", roles(&[Role::Reader])).await;
    assert!(!alive(&house, &over).await, "over");
}

/// A passkey and its browser.
struct Passkey {
    pair: EcdsaKeyPair,
    id: &'static str,
}

impl Passkey {
    fn new(id: &'static str) -> Self {
        let (rules, random) = (&ECDSA_P256_SHA256_ASN1_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(rules, &random).unwrap();
        Self { pair: EcdsaKeyPair::from_pkcs8(rules, document.as_ref()).unwrap(), id }
    }

    fn words(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (&point[1..33], &point[33..]);
        let cose = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32][..], x, &[0x22, 0x58, 32], y].concat();
        format!("webauthn {} {} {ORIGIN} localhost 0", base64url(&cose), base64url(self.id.as_bytes()))
    }

    fn says(&self, challenge: &str, counter: u32) -> Value {
        let authenticator =
            [digest(&SHA256, b"localhost").as_ref(), &[0x05], &counter.to_be_bytes()].concat();
        let client = format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}"}}"#);
        let signed = [&authenticator[..], digest(&SHA256, client.as_bytes()).as_ref()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "passkey": base64url(self.id.as_bytes()), "authenticator_data": base64url(&authenticator),
            "client_data": base64url(client.as_bytes()), "signature": base64url(signature.as_ref()),
        })
    }

    async fn member(&self, house: &House, name: &str, roles: Roles) -> MemberId {
        let (id, key) = (MemberId::fresh().unwrap(), self.words());
        let name = Name::parse(name).unwrap();
        let row = MemberRecord { id, name, roles, key, created: Timestamp::now(), removed: None };
        house.admin.store.add_member(row).await.unwrap();
        id
    }
}

const FIELDS: [(&str, &str); 2] = [("origin", ORIGIN), ("content-type", "application/json")];

async fn asked(house: &House) -> (String, String) {
    let told = house.ask("POST", "/login/challenge", &FIELDS, "{}").await.json();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    (text("ticket"), text("challenge"))
}

async fn enter(house: &House, ticket: &str, said: &Value) -> Told {
    house.ask("POST", "/login", &FIELDS, &json!({ "ticket": ticket, "said": said }).to_string()).await
}

#[tokio::test]
async fn t85_a_passkey_logs_in_once_per_attempt_and_counts() {
    let house = House::new();
    let passkey = Passkey::new("ann's");
    let id = passkey.member(&house, "ann", roles(&[Role::Reader])).await;
    let (ticket, challenge) = asked(&house).await;
    let told = enter(&house, &ticket, &passkey.says(&challenge, 1)).await;
    assert_eq!(told.status, 200, "{told:?}");
    let cookie = told.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"), "{cookie}");
    let ann = Browser::told(&told);
    let told = ann.ask(&house, "GET", "/api/v1/whoami", None).await.json();
    assert_eq!((&told["name"], &told["roles"]), (&json!("person \"ann\""), &json!(["reader"])));
    let refused = async |ticket: String, said: Value| enter(&house, &ticket, &said).await.code();
    assert_eq!(refused(ticket, passkey.says(&challenge, 2)).await, "signature-not-valid", "a second time");
    let (ticket, _) = asked(&house).await;
    assert_eq!(
        refused(ticket, passkey.says(&challenge, 3)).await,
        "signature-not-valid",
        "another's challenge"
    );
    let (ticket, challenge) = asked(&house).await;
    let stranger = Passkey::new("ann's");
    assert_eq!(refused(ticket, stranger.says(&challenge, 4)).await, "signature-not-valid", "another key");
    let (ticket, challenge) = asked(&house).await;
    assert_eq!(refused(ticket, passkey.says(&challenge, 1)).await, "signature-not-valid", "a copy of it");
    house.admin.store.remove_member(id, Timestamp::now()).await.unwrap();
    assert_eq!(ann.ask(&house, "GET", "/api/v1/whoami", None).await.status, 401, "removed, at once");
}

#[tokio::test]
async fn t82_a_log_in_begins_a_new_session_and_ends_the_one_that_was_planted() {
    let house = House::new();
    let passkey = Passkey::new("ann's");
    passkey.member(&house, "ann", roles(&[Role::Operator])).await;
    let planted = Browser::with(&house, "eve", roles(&[Role::Reader])).await;
    let (ticket, challenge) = asked(&house).await;
    let body = json!({ "ticket": ticket, "said": passkey.says(&challenge, 1) }).to_string();
    let fields = [FIELDS[0], FIELDS[1], ("cookie", planted.cookie.as_str())];
    let told = house.ask("POST", "/login", &fields, &body).await;
    let fresh = told.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(!fresh.starts_with(&planted.cookie));
    assert_eq!(planted.ask(&house, "GET", "/api/v1/whoami", None).await.status, 401);
    let foreign = [("origin", "https://evil.example"), FIELDS[1]];
    for path in ["/login", "/login/challenge", "/enrol/x"] {
        assert_eq!(house.ask("POST", path, &foreign, "{}").await.code(), "cross-site", "{path}");
    }
}

#[tokio::test]
async fn t85_whoever_fails_too_often_waits_and_is_told_so() {
    let house = House::new();
    let passkey = Passkey::new("ann's");
    passkey.member(&house, "ann", roles(&[Role::Reader])).await;
    for _ in 0..10 {
        let told = enter(&house, "no such attempt", &passkey.says("x", 1)).await;
        assert_eq!(told.code(), "signature-not-valid");
    }
    assert_eq!(enter(&house, "no such attempt", &passkey.says("x", 1)).await.code(), "too-many-attempts");
    let told = house.ask("POST", "/login/challenge", &FIELDS, "{}").await;
    assert_eq!((told.status, told.code().as_str()), (429, "too-many-attempts"));
    let told = house.ask_with("ckt_x", "GET", "/api/v1/health", None).await;
    assert_eq!(told.code(), "too-many-attempts");
    // Whoever shares the address and shows what opens goes on.
    let token = house.token(Role::Reader).await;
    assert_eq!(house.ask_with(&token, "GET", "/api/v1/health", None).await.status, 200);
}

#[tokio::test]
async fn whoever_may_approve_follows_from_the_approvers_changes_and_from_no_row() {
    let house = House::new();
    let passkey = Passkey::new("eve's");
    // As if somebody had edited the row.
    passkey.member(&house, "eve", roles(&[Role::Approver, Role::Reader])).await;
    let (ticket, challenge) = asked(&house).await;
    let told = enter(&house, &ticket, &passkey.says(&challenge, 1)).await;
    let eve = Browser::told(&told);
    let told = eve.ask(&house, "GET", "/api/v1/whoami", None).await.json();
    assert_eq!(told["roles"], json!(["reader"]));
    house.deposit("c").await;
    house.workload("robot").await;
    let issued = house.ok("POST", "/api/v1/placeholders", Some(issue_body(crate::house::POLICY))).await;
    let path = format!("/api/v1/approvals/{}/deny", issued["approval"].as_str().unwrap());
    assert_eq!(eve.ask(&house, "POST", &path, None).await.code(), "role-missing");
}

#[tokio::test]
async fn the_first_link_is_offered_until_somebody_is_an_operator() {
    let house = House::new();
    let link = house.admin.first_link().await.unwrap().unwrap();
    assert!(link.url.starts_with("http://localhost:8481/enrol/") && link.seconds == 3600);
    let page = house.ask("GET", link.url.strip_prefix(ORIGIN).unwrap(), &[], "").await;
    assert!(page.text.contains("Make the passkey") && page.text.contains("operator"), "{page:?}");
    Passkey::new("ann's").member(&house, "ann", roles(&[Role::Operator])).await;
    assert!(house.admin.first_link().await.unwrap().is_none());
}

#[tokio::test]
async fn t82_what_leaves_the_console_is_fenced_as_the_golden_file_says() {
    let house = House::new();
    house.admin.reload().await.unwrap();
    let ann = Browser::with(&house, "ann", roles(&[Role::Reader])).await;
    let mut all = String::new();
    for (what, path) in [
        ("the front", "/"),
        ("a page with one", "/login"),
        ("a page for people", "/account"),
        ("a page of the console", "/status"),
        ("a style", "/console.css"),
        ("a script", "/passkey.js"),
        ("a refusal", "/nothing"),
        ("the API", "/api/v1/whoami"),
        ("a refusal of the API", "/api/v1/intake"),
        ("a page that is not there", "/enrol/nothing"),
    ] {
        let told = house.ask("GET", path, &[("cookie", &ann.cookie)], "").await;
        let _ = writeln!(all, "{what}: {}", told.status);
        let mut fields: Vec<_> = told.headers.iter().collect();
        fields.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in fields.into_iter().filter(|(name, _)| *name != header::CONTENT_LENGTH) {
            let value = if name == header::ETAG { "of its bytes" } else { value.to_str().unwrap() };
            let _ = writeln!(all, "  {name}: {value}");
        }
        let policy = told.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
    }
    golden("src/console/headers.txt", &all);
}
