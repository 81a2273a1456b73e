//! What operators see from outside: metrics, health, spans, logs. None of it names what a workload wrote.

use crate::clients::{installed, script};
use crate::support::{BINARY, Furnished, eventually, item, items};
use cloakroom_testkit::{
    BrokerBuilder, Issued, Request, Response, TestAuthority, TlsUpstream, Way, echo, hunt, shaped,
};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// What a page of the console answers: status and body.
fn page(console: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(console).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {console}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

fn metrics(stage: &Furnished) -> String {
    let (status, text) = page(stage.broker.console(), "/metrics").unwrap();
    assert_eq!(status, 200);
    text
}

fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not told\n{metrics}")).parse().unwrap()
}

fn call(stage: &Furnished, issued: &Issued, more: Option<(&str, &str)>) -> Response {
    let request = item(&stage.upstream, "1", &issued.text);
    let request = more.into_iter().fold(request, |request, (name, value)| request.with(name, value));
    stage.broker.call(Way::Absolute, Some(&stage.robot), &request)
}

#[test]
fn metrics_count_calls_refusals_and_stages_and_real_parsers_read_them() {
    let stage = Furnished::with("");
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    for _ in 0..3 {
        assert_eq!(call(&stage, &issued, None).status, 200);
    }
    let elsewhere = Request::new("GET", &stage.upstream.authority(), "/v2")
        .with("authorization", &format!("Bearer {}", issued.text));
    assert_eq!(stage.broker.call(Way::Absolute, Some(&stage.robot), &elsewhere).status, 403);
    let text = eventually("the last reply is counted", || {
        let text = metrics(&stage);
        (value(&text, "cloakroom_call_stage_seconds_count{stage=\"scrub\"}") == 3.0).then_some(text)
    });
    for (series, expected) in [
        ("cloakroom_calls_total", 3.0),
        ("cloakroom_ready", 1.0),
        ("cloakroom_journal_writable", 1.0),
        ("cloakroom_refusals_total{code=\"call-not-permitted\"}", 1.0),
        ("cloakroom_call_stage_seconds_count{stage=\"authorize\"}", 4.0),
        ("cloakroom_call_stage_seconds_count{stage=\"arm\"}", 3.0),
        ("cloakroom_call_stage_seconds_count{stage=\"send\"}", 3.0),
        ("cloakroom_call_stage_seconds_bucket{stage=\"send\",le=\"+Inf\"}", 3.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}");
    }
    assert!(value(&text, "cloakroom_journal_flush_seconds_count") > 0.0);
    assert!(value(&text, "cloakroom_upstream_connections_total") >= 1.0);
    for hidden in [
        &issued.text,
        &issued.id,
        &stage.robot.key,
        &stage.robot.name,
        &stage.upstream.authority(),
        &"/v1".to_owned(),
    ] {
        assert!(!text.contains(hidden.as_str()), "{hidden} in {text}");
    }
    let Some(clients) = installed() else { return };
    let parsed = fed(Command::new(clients.join("venv/bin/python")).arg(script("check_metrics.py")), &text);
    assert!(parsed.contains("cloakroom_call_stage_seconds"), "{parsed}");
    let checked = fed(Command::new("promtool").args(["check", "metrics"]), &text);
    assert_eq!(checked, "", "promtool has nothing to say");
}

/// Runs a program that has to succeed on this input; what it said.
fn fed(command: &mut Command, input: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

#[test]
fn t91_a_broker_that_cannot_record_or_stops_is_alive_and_not_ready() {
    let authority = TestAuthority::new();
    let broker = BrokerBuilder::new(BINARY, &authority).with_a_disk_that_can_fill().start();
    let upstream = TlsUpstream::start(&authority, echo);
    broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let robot = broker.workload("robot");
    let mut stage = Furnished { broker, upstream, robot, authority };
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &["--uses", "9"]);
    let asks = |stage: &Furnished, path: &str| page(stage.broker.console(), path);
    assert_eq!(asks(&stage, "/healthz"), Some((200, "ok\n".into())));
    assert_eq!(asks(&stage, "/readyz"), Some((200, "ready\n".into())));
    stage.broker.limit_file_size(Some(1));
    assert_eq!(call(&stage, &issued, None).code().as_deref(), Some("journal-unavailable"));
    assert_eq!(asks(&stage, "/readyz"), Some((503, "journal-unavailable\n".into())));
    assert_eq!(asks(&stage, "/healthz"), Some((200, "ok\n".into())));
    stage.broker.limit_file_size(None);
    eventually("it is ready again by itself", || {
        let again = call(&stage, &issued, None).status == 200;
        (again && asks(&stage, "/readyz") == Some((200, "ready\n".into()))).then_some(())
    });
    // A call that has begun holds the broker up; until it ends the console says so.
    let mut held = stage.broker.wire();
    held.send(b"POST /.cloakroom/requests HTTP/1.1\r\nhost: b\r\ncontent-length: 9\r\n\r\n");
    terminate(stage.broker.pid());
    let said = eventually("it says that it stops", || {
        page(stage.broker.console(), "/readyz").filter(|(status, _)| *status == 503)
    });
    assert_eq!(said.1, "draining\n");
    drop(held);
    assert!(stage.broker.wait().success());
}

fn terminate(pid: u32) {
    let killed = Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
}

/// A collector, until it is dropped.
struct Collector {
    child: Child,
    port: u16,
    spans: Arc<Mutex<Vec<Value>>>,
}

impl Collector {
    fn start() -> Option<Self> {
        let mut command = Command::new(installed()?.join("venv/bin/python"));
        let mut child = command
            .arg(script("collect_spans.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.next().unwrap().parse().unwrap();
        let spans: Arc<Mutex<Vec<Value>>> = Arc::default();
        let into = Arc::clone(&spans);
        std::thread::spawn(move || {
            lines.for_each(|line| into.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
        });
        Some(Self { child, port, spans })
    }

    fn settings(&self, share: &str) -> String {
        let port = self.port;
        format!(
            "[traces]\nurl = \"http://127.0.0.1:{port}/v1/traces\"\nshare = {share}\nallow-address = [\"127.0.0.0/8\"]\n"
        )
    }

    /// All spans, once there are so many.
    fn spans(&self, count: usize) -> Vec<Value> {
        eventually("the spans come", || {
            let spans = self.spans.lock().unwrap();
            (spans.len() >= count).then(|| spans.clone())
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_call_is_a_span_with_one_for_each_stage_in_the_workloads_own_trace() {
    let Some(collector) = Collector::start() else { return };
    let stage = Furnished::with(&collector.settings("1.0"));
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    let answer = call(&stage, &issued, Some(("traceparent", PARENT)));
    assert_eq!(answer.status, 200);
    let spans = collector.spans(5);
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["GET", "authorize", "arm", "send", "scrub"]);
    assert!(spans.iter().all(|span| span["trace"] == "4bf92f3577b34da6a3ce929d0e0e4736" && span["service"] == "cloakroom"));
    assert_eq!((&spans[0]["parent"], &spans[0]["kind"]), (&"00f067aa0ba902b7".into(), &2.into()));
    assert!(spans[1..].iter().all(|span| span["parent"] == spans[0]["span"]));
    let attributes = &spans[0]["attributes"];
    assert_eq!(attributes["cloakroom.request"], answer.header("cloakroom-request").unwrap());
    assert_eq!(
        (&attributes["http.response.status_code"], &attributes["cloakroom.workload"]),
        (&200.into(), &"robot".into())
    );
    assert_eq!(attributes["server.address"], "127.0.0.1");
    // What the workload wrote itself reaches the destination as it was.
    assert_eq!(stage.upstream.last().header("traceparent"), Some(PARENT));
    assert_eq!(value(&metrics(&stage), "cloakroom_spans_total{outcome=\"taken\"}"), 5.0);
}

#[test]
fn t12_a_span_tells_no_path_no_query_no_placeholder_and_no_name_that_nobody_permitted() {
    let Some(collector) = Collector::start() else { return };
    let stage = Furnished::with(&collector.settings("1.0"));
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    assert_eq!(call(&stage, &issued, None).status, 200);
    let hostile = Request::new("SECRETMETHOD", "secret-name.example", "/v1/secret-path?secret-query=1")
        .with("authorization", &format!("Bearer {}", issued.text));
    let refused = stage.broker.call(Way::Absolute, Some(&stage.robot), &hostile);
    assert_eq!(refused.code().as_deref(), Some("destination-not-permitted"));
    let spans = collector.spans(6);
    let refusal =
        spans.iter().find(|span| span["attributes"]["error.type"] == "destination-not-permitted").unwrap();
    assert_eq!(
        (&refusal["name"], &refusal["attributes"]["http.request.method"]),
        (&"_OTHER".into(), &"_OTHER".into())
    );
    let told = serde_json::to_string(&spans).unwrap();
    for hidden in ["secret-", "SECRETMETHOD", "/v1", &issued.text, &issued.id, &stage.robot.key] {
        assert!(!told.contains(hidden), "{hidden} in {told}");
    }
    assert!(hunt(told.as_bytes()).is_empty());
}

#[test]
fn a_workload_decides_whether_its_own_trace_is_kept_and_the_share_about_the_others() {
    let Some(collector) = Collector::start() else { return };
    let stage = Furnished::with(&collector.settings("0.0"));
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    assert_eq!(call(&stage, &issued, None).status, 200);
    assert_eq!(call(&stage, &issued, Some(("traceparent", &PARENT.replace("-01", "-00")))).status, 200);
    assert_eq!(call(&stage, &issued, Some(("traceparent", "00-not-hex-01"))).status, 200);
    assert_eq!(call(&stage, &issued, Some(("traceparent", PARENT))).status, 200);
    // They are sent in order: with the last one there, the others would be.
    let spans = collector.spans(5);
    assert_eq!(spans.iter().filter(|span| span["name"] == "GET").count(), 1, "{spans:?}");
}

#[test]
fn spans_that_no_collector_takes_are_counted_and_hold_up_no_call() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = format!(
        "[traces]\nurl = \"http://127.0.0.1:{closed}/v1/traces\"\nallow-address = [\"127.0.0.0/8\"]\n"
    );
    let stage = Furnished::with(&settings);
    let issued = stage.broker.permit("c", "robot", &items(&stage.upstream), &[]);
    assert_eq!(call(&stage, &issued, None).status, 200);
    eventually("they are counted as dropped", || {
        (value(&metrics(&stage), "cloakroom_spans_total{outcome=\"dropped\"}") == 5.0).then_some(())
    });
}

#[test]
fn t89_the_log_is_json_a_line_each_and_repeats_nothing_that_was_sent() {
    let authority = TestAuthority::new();
    let builder = BrokerBuilder::new(BINARY, &authority).argument("--log-format").argument("json");
    let mut broker = builder.start();
    let robot = broker.workload("robot");
    let hostile = Request::new("GET", "secret-name.example", "/secret-path?secret-query=1")
        .with("authorization", "Bearer secret-value")
        .with("x-forged", "secret-field {\"level\":\"ERROR\"}");
    assert_eq!(broker.call(Way::Absolute, Some(&robot), &hostile).status, 403);
    assert!(broker.stop().success());
    let output = broker.output();
    let lines: Vec<Value> = output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let refused: Vec<&Value> = lines.iter().filter(|line| line["message"] == "refused").collect();
    assert_eq!(refused.len(), 1, "{output}");
    assert_eq!(
        (&refused[0]["code"], &refused[0]["workload"]),
        (&"destination-not-permitted".into(), &"robot".into())
    );
    for hidden in ["secret-", &robot.key] {
        assert!(!output.contains(hidden), "{hidden} in {output}");
    }
}
