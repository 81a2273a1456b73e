//! Who is slow, who pauses and who hammers: it costs them their connections and calls, and nobody else anything.

use crate::support::{BINARY, eventually, item, items, policy};
use bytes::Bytes;
use cloakroom_testkit::{
    After, Broker, BrokerBuilder, H2Client, Issued, Response, TestAuthority, TlsUpstream, Way, Workload,
    echo, shaped,
};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

struct Stage {
    broker: Broker,
    authority: TestAuthority,
    robot: Workload,
}

/// A broker with these settings, and a workload.
fn stage(settings: &str) -> Stage {
    let authority = TestAuthority::new();
    let file = authority.directory().join("settings.toml");
    std::fs::write(&file, settings).unwrap();
    let broker = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(file).start();
    let robot = broker.workload("robot");
    Stage { broker, authority, robot }
}

impl Stage {
    /// A credential of this name for an upstream, and a placeholder of a workload.
    fn permit(&self, name: &str, prefix: &str, workload: &str, to: &str, policy: &str) -> Issued {
        self.broker.deposit(name, "bearer", &[to], &shaped(prefix));
        self.broker.permit(name, workload, policy, &[])
    }

    /// The head of a base-URL call of the robot, without its end.
    fn head(&self, method: &str, authority: &str, path: &str, placeholder: &str) -> String {
        let Workload { name, key } = &self.robot;
        format!(
            "{method} /to/{authority}{path} HTTP/1.1\r\nHost: broker\r\nCloakroom-Workload: {name}:{key}\r\n\
             Authorization: Bearer {placeholder}\r\n"
        )
    }
}

/// A connection that sends a byte whenever it is asked to, and takes an answer only where it is said to.
struct Slow {
    socket: TcpStream,
    answer: Vec<u8>,
    reads: bool,
    ended: bool,
}

impl Slow {
    fn begin(stage: &Stage, bytes: &str, reads: bool) -> Self {
        let mut socket = TcpStream::connect(stage.broker.listen()).unwrap();
        socket.write_all(bytes.as_bytes()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, answer: Vec::new(), reads, ended: false }
    }

    fn drip(&mut self) {
        if self.ended {
            return;
        }
        if self.reads {
            self.read();
        }
        // Where the other side has closed, the first byte after that is answered with a reset.
        match self.socket.write(b"a") {
            Err(error) if error.kind() != ErrorKind::WouldBlock => self.ended = true,
            _ => {}
        }
    }

    fn read(&mut self) {
        let mut space = [0; 4096];
        loop {
            match self.socket.read(&mut space) {
                Ok(0) => self.ended = true,
                Ok(read) => {
                    self.answer.extend_from_slice(&space[..read]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.ended = true,
            }
            return;
        }
    }
}

#[test]
fn t94_a_thousand_slow_connections_end_at_their_deadlines_and_a_good_one_gets_every_answer() {
    let stage = stage(
        "[limits]\nheader-time = \"3s\"\nbody-idle = \"3s\"\nbody-total = \"3s\"\nconnections-per-workload = 2000\n",
    );
    let upstream = TlsUpstream::start(&stage.authority, echo);
    // An answer without end.
    let flood = TlsUpstream::start_with(&stage.authority, |_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 9000000000\r\n\r\n")?;
        loop {
            out.write_all(&[b'x'; 16 * 1024])?;
        }
    });
    let to = upstream.url();
    let call = policy(&to, "POST /v1/items\", \"GET /v1/items/{id}", "header authorization bearer", "");
    let placeholder = stage.permit("c", "sk_live_", "robot", &to, &call).text;
    let flooded = stage.permit("flood", "ghp_", "robot", &flood.url(), &items(&flood)).text;
    let good = stage.broker.workload("good");
    let mine = stage.broker.permit("c", "good", &items(&upstream), &[]).text;

    let heads = stage.head("GET", &upstream.authority(), "/v1/items/1", &placeholder) + "X-Slow: ";
    let bodies = stage.head("POST", &upstream.authority(), "/v1/items", &placeholder)
        + "Content-Length: 60000\r\n\r\n";
    let reads = stage.head("GET", &flood.authority(), "/v1/items/1", &flooded) + "\r\n";
    // The good one is there before the others; a connection that has served may wait longer than a new one.
    let mut wire = stage.broker.wire();
    let request = item(&upstream, "1", &mine).bytes(Way::BaseUrl, Some(&good));
    wire.send(&request);
    assert_eq!(wire.receive("GET").unwrap().status, 200);
    let begin = |bytes: &str, reads: bool, count: usize| -> Vec<Slow> {
        (0..count).map(|_| Slow::begin(&stage, bytes, reads)).collect()
    };
    let mut slow = begin(&heads, true, 490);
    slow.extend(begin(&bodies, true, 490));
    slow.extend(begin(&reads, false, 20));
    assert_eq!(slow.len(), 1000);

    let (mut asked, mut answered) = (0, 0);
    eventually("all slow connections have ended", || {
        asked += 1;
        wire.send(&request);
        let answer = wire.receive("GET").unwrap();
        answered += usize::from(answer.status == 200 && answer.text().contains(&mine));
        slow.iter_mut().for_each(Slow::drip);
        slow.iter().all(|slow| slow.ended).then_some(())
    });
    assert_eq!(answered, asked);
    assert!(asked > 10, "only {asked} calls: the test says little");
    assert_eq!(flood.requests().len(), 20);
    assert!(upstream.requests().iter().all(|request| request.method == "GET"), "a slow body went out");
    // Those that sent slowly are told so, where the answer was not lost in the reset.
    let told = slow.iter().filter(|slow| slow.answer.starts_with(b"HTTP/1.1 400 "));
    let told = told.filter(|slow| String::from_utf8_lossy(&slow.answer).contains("slow")).count();
    let journal = stage.broker.cli_json(&["journal", "show"]);
    let refused = journal.as_array().unwrap().iter().filter(|it| it["entry"]["code"] == "malformed-call");
    assert_eq!(refused.count(), 980, "{told} were told");
    assert!(told > 490, "{told}");
}

/// Looks like a request, to whom the pause made believe that the first one is over.
fn smuggled(authority: &str) -> String {
    format!("GET /v1/items/smuggled HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

#[test]
fn t42_a_body_that_pauses_never_becomes_two_requests() {
    let stage = stage("[limits]\nbody-idle = \"1s\"\n");
    let upstream = TlsUpstream::start(&stage.authority, echo);
    let (to, authority) = (upstream.url(), upstream.authority());
    let call = policy(&to, "POST /v1/items\", \"GET /v1/items/{id}", "header authorization bearer", "");
    let placeholder = stage.permit("c", "sk_live_", "robot", &to, &call).text;
    let head =
        format!("POST /v1/items HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {placeholder}\r\n");
    let half = "h".repeat(100_000);
    let mut halves = 0;
    for (framing, body) in [
        // All of it stays here, for it is read before it is judged.
        ("Content-Length: 500\r\n", "half".to_owned()),
        ("Transfer-Encoding: chunked\r\n", "1f4\r\nhalf".to_owned()),
        ("Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n".to_owned()),
        // Its beginning goes out before it pauses.
        ("Content-Length: 200000\r\n", half.clone()),
        ("Transfer-Encoding: chunked\r\n", format!("30d40\r\n{half}")),
        ("Transfer-Encoding: chunked\r\n", format!("186a0\r\n{half}\r\n")),
    ] {
        let mut wire = stage.broker.tunnel(&authority, Some(&stage.robot)).map_err(|no| no.text()).unwrap();
        wire.send(format!("{head}{framing}\r\n{body}").as_bytes());
        let answer = wire.receive("POST").unwrap();
        assert_eq!((answer.status, answer.code().as_deref()), (400, Some("malformed-call")), "{framing}");
        // What follows the pause is no request: the connection is over.
        wire.send(smuggled(&authority).as_bytes());
        assert!(wire.receive("GET").is_err(), "{framing}");
        halves += usize::from(body.len() > 1000);
        eventually("the upload is broken off", || (upstream.broken() == halves).then_some(()));
    }
    // Over HTTP/2 the stream is reset or refused, and the connection goes on.
    let mut client = H2Client::tunnel(&stage.broker, &authority, &stage.robot);
    for body in [Bytes::from_static(b"half"), half.into()] {
        halves += usize::from(body.len() > 1000);
        let post = http::Request::post(format!("https://{authority}/v1/items"))
            .header("authorization", format!("Bearer {placeholder}"))
            .header("content-length", "200000")
            .body(())
            .unwrap();
        let mut call = client.open(post);
        let status = client.wait(async {
            cloakroom_testkit::send_all(&mut call.send, body, false).await.unwrap();
            call.response.await.map(|answer| answer.status().as_u16())
        });
        assert!(matches!(status, Ok(400) | Err(_)), "{status:?}");
        eventually("the upload is broken off", || (upstream.broken() == halves).then_some(()));
    }
    // Nothing of all that was a request to the upstream, and the next one has a connection without leftovers.
    assert_eq!(upstream.requests().len(), 0);
    let answer = stage.broker.call(Way::Connect, Some(&stage.robot), &item(&upstream, "1", &placeholder));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn t97_a_quiet_workload_loses_no_call_while_a_noisy_one_is_refused_early() {
    const QUIET: usize = 100;
    let stage = stage("[limits]\ncalls = 8\ncalls-per-workload = 8\n");
    // Each of the noisy one's calls hangs until the quiet one has had an answer.
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let slow = TlsUpstream::start_with(&stage.authority, move |request, out| {
        let _ = gate.lock().unwrap().recv();
        echo(request).write_to(out, false).map(|_| After::Keep)
    });
    let upstream = TlsUpstream::start(&stage.authority, echo);
    let noisy = stage.permit("slow", "ghp_", "robot", &slow.url(), &items(&slow)).text;
    let other = stage.broker.workload("other");
    let quiet = stage.permit("c", "sk_live_", "other", &upstream.url(), &items(&upstream)).text;
    let (over, served, refused) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let hammer = || {
        let mut wire = stage.broker.wire();
        let request = item(&slow, "1", &noisy).bytes(Way::Absolute, Some(&stage.robot));
        while !over.load(Ordering::SeqCst) {
            wire.send(&request);
            let answer: Response = wire.receive("GET").unwrap();
            match (answer.status, answer.header("retry-after")) {
                (200, _) => served.fetch_add(1, Ordering::SeqCst),
                (429, Some("1")) => refused.fetch_add(1, Ordering::SeqCst),
                _ => panic!("{}", answer.text()),
            };
        }
    };
    let completed = std::thread::scope(|scope| {
        let hammers: Vec<_> = (0..10).map(|_| scope.spawn(hammer)).collect();
        eventually("the noisy one is refused", || (refused.load(Ordering::SeqCst) > 0).then_some(()));
        let mut wire = stage.broker.wire();
        let request = item(&upstream, "1", &quiet).bytes(Way::Absolute, Some(&other));
        let mut completed = 0;
        for _ in 0..QUIET {
            wire.send(&request);
            completed += usize::from(wire.receive("GET").unwrap().status == 200);
            release.send(()).unwrap();
        }
        over.store(true, Ordering::SeqCst);
        drop(release);
        hammers.into_iter().for_each(|hammer| hammer.join().unwrap());
        completed
    });
    let (served, refused) = (served.into_inner(), refused.into_inner());
    // All of the quiet one's calls; and of the noisy one's no more than were let go, with the six that hung.
    assert_eq!(completed, QUIET);
    assert!((QUIET / 2..=QUIET + 10).contains(&served), "{served} served, {refused} refused");
    assert!(refused >= 10, "{served} served, {refused} refused");
    // What was refused never went out.
    assert_eq!(slow.requests().len(), served);
}
