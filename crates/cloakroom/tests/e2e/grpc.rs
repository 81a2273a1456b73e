//! gRPC through interception: every kind of call, deadlines, cancellation, and refusals in its own words.

use crate::clients::{Peer, installed, run, script, surroundings};
use crate::support::{policy, setup};
use bytes::{Buf, Bytes, BytesMut};
use cloakroom_testkit::{
    H2Answer, H2Client, H2Upstream, Setup, TlsUpstream, echo, next_data, send_all, shaped,
};
use http::{HeaderMap, HeaderValue, Request, Response};
use std::process::Command;

fn placeholder(setup: &Setup, to: &str) -> String {
    setup.broker.deposit("c", "bearer", &[to], &shaped("sk-"));
    let permit = policy(to, "POST /test.Echo/{method}", "header authorization bearer", "");
    setup.broker.permit("c", "robot", &permit, &[]).text
}

fn head(authority: &str, path: &str, placeholder: &str) -> Request<()> {
    Request::post(format!("https://{authority}{path}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {placeholder}"))
        .body(())
        .unwrap()
}

/// A message as it stands in a body: not compressed, with its length.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0], &length[..], text.as_bytes()].concat().into()
}

/// A server that answers each message with the credential and the message, and tells the credential in its trailers.
fn parrot(setup: &Setup) -> H2Upstream {
    H2Upstream::start_with(&setup.authority, |request, mut respond| async move {
        let credential = request.headers()["authorization"].clone();
        assert_eq!(request.headers()["te"], "trailers");
        let mut body = request.into_body();
        let head = Response::builder().header("content-type", "application/grpc+proto").body(()).unwrap();
        let mut stream = respond.send_response(head, false).unwrap();
        let mut ahead = BytesMut::new();
        while let Some(Ok(data)) = next_data(&mut body).await {
            ahead.extend_from_slice(&data);
            while ahead.len() >= 5 {
                let length = usize::try_from((&ahead[1..5]).get_u32()).unwrap();
                if ahead.len() < 5 + length {
                    break;
                }
                let text = ahead.split_to(5 + length);
                let text =
                    format!("{} {}", credential.to_str().unwrap(), String::from_utf8_lossy(&text[5..]));
                send_all(&mut stream, message(&text), false).await.unwrap();
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-echo", credential);
        stream.send_trailers(trailers).unwrap();
    })
}

#[test]
fn each_message_of_a_stream_is_answered_before_the_next_is_sent() {
    let setup = setup();
    let upstream = parrot(&setup);
    let placeholder = placeholder(&setup, &upstream.url());
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let mut call = client.open(head(&upstream.authority(), "/test.Echo/Both", &placeholder));
    let mut response = Some(call.response);
    let mut body = None;
    for number in 0..10 {
        client.wait(send_all(&mut call.send, message(&format!("number {number}")), false)).unwrap();
        if let Some(response) = response.take() {
            body = Some(client.wait(response).unwrap().into_body());
        }
        let expected = message(&format!("Bearer {placeholder} number {number}"));
        let mut answer = BytesMut::new();
        while answer.len() < expected.len() {
            answer.extend_from_slice(&client.wait(next_data(body.as_mut().unwrap())).unwrap().unwrap());
        }
        assert_eq!(answer, expected);
    }
    call.send.send_data(Bytes::new(), true).unwrap();
    let mut body = body.unwrap();
    assert_eq!(client.wait(next_data(&mut body)), None);
    let trailers = client.wait(body.trailers()).unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers["x-echo"], format!("Bearer {placeholder}"));
}

fn refused(answer: &H2Answer, status: &str, code: &str) {
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{answer:?}");
    assert_eq!(answer.field("content-type").as_deref(), Some("application/grpc"));
    assert_eq!(answer.field("grpc-status").as_deref(), Some(status), "{answer:?}");
    assert!(answer.field("grpc-message").unwrap().starts_with(&format!("{code}: ")), "{answer:?}");
    for name in ["grpc-status-details-bin", "cloakroom-request", "proxy-status"] {
        assert!(answer.field(name).is_some(), "{name}");
    }
}

#[test]
fn a_refusal_is_a_status_of_grpc_for_those_who_speak_it() {
    let setup = setup();
    let upstream = parrot(&setup);
    let placeholder = placeholder(&setup, &upstream.url());
    let to = upstream.authority();
    let mut client = H2Client::tunnel(&setup.broker, &to, &setup.robot);
    let mut call = |path: &str, placeholder: &str, more: (&'static str, &'static str)| {
        let mut head = head(&to, path, placeholder).map(|()| message("hello"));
        head.headers_mut().insert(more.0, HeaderValue::from_static(more.1));
        client.call(head).unwrap()
    };
    let none = ("x-none", "");
    let answer = call("/test.Echo/Unary", &placeholder, none);
    assert_eq!((answer.status, answer.field("grpc-status").as_deref()), (200, Some("0")), "{answer:?}");
    refused(&call("/test.Other/Unary", &placeholder, none), "7", "call-not-permitted");
    refused(&call("/test.Echo/Unary", "sk-nothing", none), "7", "unknown-placeholder");
    refused(&call("/test.Echo/../x", &placeholder, none), "3", "ambiguous-call");
    refused(&call("/test.Echo/Unary", &placeholder, ("host", "other.example")), "3", "ambiguous-call");
    refused(&call("/test.Echo/Unary", &placeholder, ("expect", "200-ok")), "3", "malformed-call");
    // Everybody else is told as ever.
    let answer = call("/test.Other/Unary", &placeholder, ("content-type", "application/grpc-web"));
    assert_eq!((answer.status, answer.code().as_deref()), (403, Some("call-not-permitted")));
    assert_eq!(upstream.requests(), 1);

    let mut stranger = H2Client::plain(&setup.broker);
    let head = Request::post(format!("http://{}/to/{to}/test.Echo/Unary", setup.broker.listen()))
        .header("content-type", "application/grpc")
        .body(message("hello"))
        .unwrap();
    refused(&stranger.call(head).unwrap(), "16", "unknown-workload");
}

#[test]
fn grpc_to_a_destination_without_http_2_is_refused_and_says_why() {
    let setup = setup();
    let upstream = TlsUpstream::start(&setup.authority, echo);
    let placeholder = placeholder(&setup, &upstream.url());
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let request = head(&upstream.authority(), "/test.Echo/Unary", &placeholder).map(|()| message("hello"));
    let answer = client.call(request).unwrap();
    refused(&answer, "14", "upstream-unreachable");
    assert!(answer.field("grpc-message").unwrap().contains("HTTP/2"));
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn grpcio_works_unmodified_in_every_kind_of_call() {
    let Some(clients) = installed() else { return };
    let setup = setup();
    let python = clients.join("venv/bin/python");
    let files = setup.authority.leaf_files("grpc", &["localhost", "127.0.0.1"]);
    let mut server = Command::new(&python);
    server.arg(script("use_grpc.py")).arg("serve").args(&files);
    server.env("EXPECTED", format!("Bearer {}", shaped("sk-")));
    let server = Peer::start(server);
    let target = format!("127.0.0.1:{}", server.port);
    let to = format!("https://{target}");
    setup.broker.deposit("c", "bearer", &[&to], &shaped("sk-"));
    let methods = ["Unary", "Down", "Up", "Both", "Slow", "Fail", "CalledOff"];
    let calls = methods.map(|method| format!("POST /test.Echo/{method}")).join("\", \"");
    let permit = policy(&to, &calls, "header authorization bearer", "");
    let placeholder = setup.broker.permit("c", "robot", &permit, &[]).text;
    let mut command = Command::new(&python);
    command.arg(script("use_grpc.py")).arg("call").arg(&target);
    surroundings(&mut command, &setup.broker, &setup.robot);
    let proxy = format!("http://{}:{}@{}", setup.robot.name, setup.robot.key, setup.broker.listen());
    command
        .env("https_proxy", proxy)
        .env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", setup.broker.ca_file())
        .env("PLACEHOLDER", &placeholder);
    let told = run(&setup.broker, command);
    assert!(told.contains(&placeholder) && told.contains("done"), "{told}");
}
