//! WebSockets through the whole broker: raw peers, and unmodified libraries on both sides.

use crate::clients::{Peer, installed, run, script, surroundings};
use crate::support::{BINARY, eventually, policy, setup};
use bytes::Bytes;
use cloakroom_testkit::{
    BrokerBuilder, H2Client, Request, Response, Setup, TestAuthority, TlsUpstream, WS_FIELDS, Way, Wire,
    WsFrame, WsUpstream, echo, next_data, send_all, shaped, ws_accept,
};
use http::Method;
use std::process::Command;

const BEARER: &str = "header authorization bearer";
const UPGRADE: &str = "upgrade = \"websocket\"";

fn bearer() -> String {
    format!("Bearer {}", shaped("sk-"))
}

/// Tells the credential of the handshake at once, and before whatever it hears.
fn parrot(setup: &Setup) -> WsUpstream {
    WsUpstream::start(&setup.authority, "Set-Cookie: seen=1\r\n", |request, frame| {
        let credential = request.header("authorization").unwrap_or_default();
        match frame {
            None => vec![WsFrame::text(credential)],
            Some(frame) if frame.opcode == 8 => vec![frame.clone()],
            Some(frame) => vec![WsFrame::text(&format!("{credential}: {}", frame.as_text()))],
        }
    })
}

fn issue(setup: &Setup, to: &str, place: &str, rest: &str, more: &[&str]) -> cloakroom_testkit::Issued {
    setup.broker.deposit("c", "bearer", &[to], &shaped("sk-"));
    setup.broker.permit("c", "robot", &policy(to, "GET /chat", place, rest), more)
}

/// The handshake, with what else the test wants in it.
fn handshake(authority: &str, path: &str, more: &[(&str, &str)]) -> Request {
    let request = Request::new("GET", authority, path);
    WS_FIELDS.iter().chain(more).fold(request, |request, (name, value)| request.with(name, value))
}

/// Says the handshake in this way in, and hears the answer.
fn greet(setup: &Setup, way: Way, request: &Request) -> (Wire, Response) {
    let mut wire = match way {
        Way::Connect => setup.broker.tunnel(&request.authority, Some(&setup.robot)).unwrap(),
        Way::Absolute | Way::BaseUrl => setup.broker.wire(),
    };
    wire.send(&request.bytes(way, Some(&setup.robot)));
    let answer = wire.receive("GET").unwrap();
    (wire, answer)
}

#[test]
fn a_websocket_is_armed_in_its_handshake_and_scrubbed_in_its_messages_in_every_way_in() {
    let setup = setup();
    let upstream = parrot(&setup);
    let placeholder = issue(&setup, &upstream.url(), BEARER, UPGRADE, &[]).text;
    let told = format!("Bearer {placeholder}");
    for way in Way::ALL {
        let request = handshake(&upstream.authority(), "/chat", &[("authorization", &told)]);
        let (mut wire, answer) = greet(&setup, way, &request);
        assert_eq!(answer.status, 101, "{way:?}: {}", answer.text());
        let field = |name: &str| answer.header(name).map(str::to_owned);
        assert_eq!(field("sec-websocket-accept"), Some(ws_accept("dGhlIHNhbXBsZSBub25jZQ==")));
        assert_eq!(
            (field("upgrade"), field("set-cookie")),
            (Some("websocket".into()), Some("seen=1".into()))
        );
        assert!(field("cloakroom-request").is_some());
        assert_eq!(wire.hear().unwrap(), WsFrame::text(&told));
        wire.say(&WsFrame::part(false, 1, b"in pie"));
        wire.say(&WsFrame::part(true, 9, b"ping"));
        wire.say(&WsFrame::part(true, 0, b"ces"));
        let heard = [wire.hear().unwrap(), wire.hear().unwrap()];
        assert!(heard.contains(&WsFrame::text(&format!("{told}: in pieces"))), "{heard:?}");
        wire.say(&WsFrame::close(1000, "done"));
        assert_eq!(wire.hear().unwrap().closes(), Some((1000, "done".into())));
        assert!(wire.hear().is_err());
    }
    let (request, frames) = upstream.heard().pop().unwrap();
    assert_eq!(request.header("authorization"), Some(bearer().as_str()));
    assert!(frames.contains(&WsFrame::text("in pieces")), "{frames:?}");
    eventually("each outcome is on record", || {
        let shown = setup.broker.cli(&["journal", "show"]).stdout;
        (shown.matches("status=101").count() == 3).then_some(())
    });
    setup.broker.verify_journal();
}

#[test]
fn a_websocket_over_http_2_is_asked_for_by_extended_connect() {
    let setup = setup();
    let upstream = parrot(&setup);
    let placeholder = issue(&setup, &upstream.url(), BEARER, UPGRADE, &[]).text;
    let told = format!("Bearer {placeholder}");
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    // Its SETTINGS are here with its first answer.
    let plain =
        http::Request::get(format!("https://{}/chat", upstream.authority())).body(Bytes::new()).unwrap();
    assert_eq!(client.call(plain).unwrap().status, 403);
    assert!(client.offers_extended_connect());
    let asked = |path: &str, field: &str| {
        http::Request::builder()
            .method(Method::CONNECT)
            .uri(format!("https://{}{path}", upstream.authority()))
            .header("sec-websocket-version", "13")
            .header("authorization", field)
            .extension(h2::ext::Protocol::from_static("websocket"))
            .body(())
            .unwrap()
    };
    let mut call = client.open(asked("/chat", &told));
    let (head, mut body) = client.wait(call.response).unwrap().into_parts();
    assert_eq!(head.status, 200, "{head:?}");
    assert!(!head.headers.contains_key("sec-websocket-accept") && !head.headers.contains_key("upgrade"));
    let mut ahead = Vec::new();
    let mut hear = |client: &H2Client| loop {
        if let Ok(frame) = WsFrame::read(&mut ahead.as_slice()) {
            ahead.drain(..frame.bytes(false).len());
            return frame;
        }
        ahead.extend_from_slice(&client.wait(next_data(&mut body)).unwrap().unwrap());
    };
    assert_eq!(hear(&client), WsFrame::text(&told));
    for frame in [WsFrame::text("hello"), WsFrame::text(&"x".repeat(200_000))] {
        client.wait(send_all(&mut call.send, Bytes::from(frame.bytes(true)), false)).unwrap();
        assert_eq!(hear(&client), WsFrame::text(&format!("{told}: {}", frame.as_text())));
    }
    // Other streams go on beside it, and each is refused for itself.
    let mut refused = |path: &str, field: &str| {
        let call = client.open(asked(path, field));
        let answer = client.wait(call.response).unwrap();
        answer.status()
    };
    assert_eq!(refused("/other", &told), 403);
    assert_eq!(refused("/chat", "Bearer sk-nothing"), 403);
    let close = WsFrame::close(1000, "");
    client.wait(send_all(&mut call.send, Bytes::from(close.bytes(true)), false)).unwrap();
    assert_eq!(hear(&client), close);
    assert_eq!(upstream.heard().len(), 1);
    setup.broker.verify_journal();
}

#[test]
fn a_credential_in_a_message_is_counted_and_exchanged_there() {
    let setup = setup();
    let upstream = WsUpstream::start(&setup.authority, "", |_, frame| {
        frame
            .map(|frame| if frame.opcode == 8 { frame.clone() } else { WsFrame::text(&frame.as_text()) })
            .into_iter()
            .collect()
    });
    let place = "websocket json /d/token";
    let issued = issue(&setup, &upstream.url(), place, "messages = 2", &["--uses", "1"]);
    let request = handshake(&upstream.authority(), "/chat", &[]);
    let login = WsFrame::text(&format!("{{\"d\": {{\"token\": \"{}\"}}}}", issued.text));
    // A handshake spends nothing.
    let (mut idle, answer) = greet(&setup, Way::Connect, &request);
    assert_eq!(answer.status, 101, "{}", answer.text());
    let (mut wire, answer) = greet(&setup, Way::Connect, &request);
    assert_eq!(answer.status, 101);
    wire.say(&WsFrame::text("{\"hello\": 1}"));
    assert_eq!(wire.hear().unwrap(), WsFrame::text("{\"hello\": 1}"));
    wire.say(&login);
    assert_eq!(wire.hear().unwrap(), login);
    let sent = upstream.heard().pop().unwrap().1.pop().unwrap().as_text();
    assert_eq!(sent, format!("{{\"d\": {{\"token\": \"{}\"}}}}", shaped("sk-")));
    idle.say(&login);
    assert_eq!(idle.hear().unwrap().closes(), Some((1008, "placeholder-spent".into())));
}

#[test]
fn t67_revocation_closes_a_websocket() {
    let setup = setup();
    let upstream = parrot(&setup);
    let issued = issue(&setup, &upstream.url(), BEARER, UPGRADE, &[]);
    let told = format!("Bearer {}", issued.text);
    let request = handshake(&upstream.authority(), "/chat", &[("authorization", &told)]);
    let (mut wire, _) = greet(&setup, Way::Connect, &request);
    assert_eq!(wire.hear().unwrap(), WsFrame::text(&told));
    setup.broker.cli(&["placeholder", "revoke", &issued.id]);
    assert_eq!(wire.hear().unwrap().closes(), Some((1008, "placeholder-revoked".into())));
    assert!(wire.hear().is_err());
    let (_, answer) = greet(&setup, Way::BaseUrl, &request);
    assert_eq!(answer.code().as_deref(), Some("placeholder-revoked"));
}

#[test]
fn a_stop_says_goodbye_to_websockets() {
    let mut setup = setup();
    let upstream = parrot(&setup);
    let told = format!("Bearer {}", issue(&setup, &upstream.url(), BEARER, UPGRADE, &[]).text);
    let request = handshake(&upstream.authority(), "/chat", &[("authorization", &told)]);
    let (mut wire, _) = greet(&setup, Way::Connect, &request);
    assert_eq!(wire.hear().unwrap(), WsFrame::text(&told));
    let stopping = std::thread::spawn(move || {
        let status = setup.broker.stop();
        (setup, status)
    });
    assert_eq!(wire.hear().unwrap().closes(), Some((1001, "the broker stops".into())));
    drop(wire);
    assert!(stopping.join().unwrap().1.success());
}

#[test]
fn t39_bytes_before_the_101_are_never_a_request_and_nothing_follows_a_refused_upgrade() {
    let setup = setup();
    let sockets = parrot(&setup);
    let plain = TlsUpstream::start(&setup.authority, echo);
    let placeholder = issue(&setup, &sockets.url(), BEARER, UPGRADE, &[]).text;
    setup.broker.deposit("d", "bearer", &[&plain.url()], &shaped("sk-"));
    let either = policy(&plain.url(), "GET /chat", BEARER, UPGRADE)
        + &policy(&plain.url(), "GET /chat", BEARER, "")
            .replace("version = 1\n", "")
            .replace("the permit", "plain");
    let declined = setup.broker.permit("d", "robot", &either, &[]).text;
    let smuggled = |authority: &str, text: &str| {
        let first = handshake(authority, "/chat", &[("authorization", &format!("Bearer {text}"))]);
        let second = Request::new("GET", authority, "/chat").with("authorization", &format!("Bearer {text}"));
        let mut wire = setup.broker.tunnel(authority, Some(&setup.robot)).unwrap();
        let mut bytes = first.bytes(Way::Connect, None);
        bytes.extend(second.bytes(Way::Connect, None));
        wire.send(&bytes);
        let answer = wire.receive("GET").unwrap();
        (wire, answer)
    };
    // Accepted: what came early is read as frames, and is none.
    let (mut wire, answer) = smuggled(&sockets.authority(), &placeholder);
    assert_eq!(answer.status, 101);
    let mut last = wire.hear().unwrap();
    while let Ok(frame) = wire.hear() {
        last = frame;
    }
    assert_eq!(last.closes().map(|(status, _)| status), Some(1002));
    let heard = sockets.heard();
    assert_eq!(heard.len(), 1);
    assert!(heard[0].1.iter().all(|frame| frame.opcode == 8), "{heard:?}");
    // Declined: the connection ends with the answer.
    let (mut wire, answer) = smuggled(&plain.authority(), &declined);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{}", answer.text());
    assert!(wire.receive("GET").is_err());
    assert_eq!(plain.requests().len(), 1);
}

#[test]
fn t43_what_is_no_frame_or_no_answer_to_the_handshake_never_reaches_the_workload() {
    let setup = setup();
    let told = |id: &str, url: &str| {
        setup.broker.deposit(id, "bearer", &[url], &shaped("sk-"));
        let permit = policy(url, "GET /chat", BEARER, UPGRADE);
        format!("Bearer {}", setup.broker.permit(id, "robot", &permit, &[]).text)
    };
    let secret = shaped("sk-");
    // A frame with a reserved opcode, one that is masked, one with a reserved bit: each holds the secret.
    for (id, first) in [("a", 0x83), ("b", 0x81), ("c", 0xc1)] {
        let secret = secret.clone();
        let upstream = TlsUpstream::start_with(&setup.authority, move |request, out| {
            let accept = ws_accept(request.header("sec-websocket-key").unwrap());
            write!(
                out,
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            )?;
            let mask = if first == 0x81 { 0x80 } else { 0 };
            let mut frame = vec![first, mask | u8::try_from(secret.len()).unwrap()];
            if mask != 0 {
                frame.extend([0; 4]);
            }
            frame.extend(secret.as_bytes());
            out.write_all(&frame)?;
            out.flush()?;
            Ok(cloakroom_testkit::After::Hang)
        });
        let authorization = told(id, &upstream.url());
        let request = handshake(&upstream.authority(), "/chat", &[("authorization", &authorization)]);
        let (mut wire, answer) = greet(&setup, Way::Connect, &request);
        assert_eq!(answer.status, 101);
        let (status, reason) = wire.hear().unwrap().closes().unwrap();
        assert_eq!((status, reason.as_str()), (1014, "the destination broke the protocol"), "{first:x}");
    }
    let upstream = WsUpstream::start(
        &setup.authority,
        "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        |_, _| vec![],
    );
    let authorization = told("d", &upstream.url());
    let request = handshake(&upstream.authority(), "/chat", &[("authorization", &authorization)]);
    let (_, answer) = greet(&setup, Way::Connect, &request);
    assert_eq!((answer.status, answer.code().as_deref()), (502, Some("upstream-unreachable")));
    for wrong in [("sec-websocket-version", "12"), ("sec-websocket-key", "short")] {
        let mut request = handshake(&upstream.authority(), "/chat", &[("authorization", &authorization)]);
        request.headers.retain(|(name, _)| name != wrong.0);
        let (_, answer) = greet(&setup, Way::Connect, &request.with(wrong.0, wrong.1));
        assert_eq!((answer.status, answer.code().as_deref()), (400, Some("malformed-call")), "{wrong:?}");
    }
}

#[test]
fn a_stray_placeholder_on_a_websocket_is_a_security_event() {
    let setup = setup();
    let upstream = parrot(&setup);
    let issued = issue(&setup, &upstream.url(), BEARER, UPGRADE, &["--on-misuse", "freeze"]);
    let told = format!("Bearer {}", issued.text);
    let request = handshake(&upstream.authority(), "/chat", &[("authorization", &told)]);
    let (mut wire, _) = greet(&setup, Way::Connect, &request);
    assert_eq!(wire.hear().unwrap(), WsFrame::text(&told));
    wire.say(&WsFrame::part(true, 2, format!("see {}", issued.text).as_bytes()));
    assert_eq!(wire.hear().unwrap().closes(), Some((1008, "place-not-permitted".into())));
    eventually("the placeholder is frozen", || {
        let (_, answer) = greet(&setup, Way::BaseUrl, &request);
        (answer.code().as_deref() == Some("placeholder-frozen")).then_some(())
    });
    assert!(upstream.heard()[0].1.iter().all(|frame| frame.opcode == 8));
}

#[test]
fn websockets_and_ws_work_unmodified_on_both_sides_with_compression() {
    let Some(clients) = installed() else { return };
    let authority = TestAuthority::new();
    // Behind a proxy, ws takes the certificate of an address for a wrong one, and `localhost` has two addresses.
    let builder = BrokerBuilder::new(BINARY, &authority).argument("--allow-address").argument("::1/128");
    let broker = builder.start();
    let robot = broker.workload("robot");
    let setup = Setup { broker, authority, robot };
    let python = clients.join("venv/bin/python");
    // Node looks for modules upwards from the script.
    let directory = tempfile::tempdir_in(clients.join("node")).unwrap();
    let node = directory.path().join("use_ws.mjs");
    std::fs::copy(script("use_ws.mjs"), &node).unwrap();
    let program = |name: &str| match name {
        "websockets" => (python.clone(), script("use_websockets.py")),
        _ => ("node".into(), node.clone()),
    };
    let files = setup.authority.leaf_files("ws", &["localhost", "127.0.0.1"]);
    for server_is in ["websockets", "ws"] {
        let (binary, script) = program(server_is);
        let mut server = Command::new(binary);
        server.arg(script).arg("serve").args(&files);
        server.env("EXPECTED", bearer());
        let server = Peer::start(server);
        let target = format!("localhost:{}", server.port);
        let to = format!("https://{target}");
        setup.broker.deposit(server_is, "bearer", &[&to], &shaped("sk-"));
        let in_handshake = policy(&to, "GET /handshake", BEARER, UPGRADE);
        let in_message = policy(&to, "GET /gateway", "websocket json /d/token", "");
        let [in_handshake, in_message] = [in_handshake, in_message]
            .map(|policy| setup.broker.permit(server_is, "robot", &policy, &[]).text);
        let mut command = Command::new(&python);
        command.arg(self::script("use_h2_websocket.py")).arg(&target);
        surroundings(&mut command, &setup.broker, &setup.robot);
        let told = run(&setup.broker, {
            command.env("PLACEHOLDER", &in_handshake);
            command
        });
        assert!(told.contains("done"), "over HTTP/2 to {server_is}: {told}");
        for client_is in ["websockets", "ws"] {
            for mode in ["proxy", "base-url"] {
                let (binary, script) = program(client_is);
                let mut command = Command::new(binary);
                command.arg(script).args(["call", mode, &target]);
                surroundings(&mut command, &setup.broker, &setup.robot);
                command
                    .env("BROKER", format!("ws://{}", setup.broker.listen()))
                    .env("PLACEHOLDER", &in_handshake)
                    .env("PLACEHOLDER_IN_MESSAGE", &in_message);
                let told = run(&setup.broker, command);
                assert!(told.contains("done"), "{client_is} to {server_is} by {mode}: {told}");
            }
        }
    }
}
