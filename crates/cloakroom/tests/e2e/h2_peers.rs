//! HTTP/2 with implementations that share no code with the broker's: Python's h2 and hpack, httpx, nghttp2.

use crate::clients::{BEARER, Peer, installed, run, script, service, surroundings};
use crate::support::{BINARY, policy, setup};
use cloakroom_testkit::{BrokerBuilder, Request, Setup, TestAuthority, TlsUpstream, Way, shaped};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

#[test]
fn no_secret_enters_a_table_of_hpack_wherever_it_stands() {
    let Some(clients) = installed() else { return };
    let setup = setup();
    let files = setup.authority.leaf_files("h2", &["localhost", "127.0.0.1"]);
    let mut server = Command::new(clients.join("venv/bin/python"));
    server.arg(script("use_h2.py")).args(&files);
    let server = Peer::start(server);
    let authority = format!("127.0.0.1:{}", server.port);
    let to = format!("https://{authority}");
    setup.broker.deposit("c", "bearer", &[&to], &shaped("sk-"));
    for (call, place, carrier) in [
        ("GET /a", "header authorization bearer", "authorization"),
        ("GET /a", "header x-api-key", "x-api-key"),
        ("GET /a", "cookie session", "cookie"),
        ("GET /a", "query key", ":path"),
        ("GET /a/{token}/b", "path token", ":path"),
    ] {
        let placeholder = setup.broker.permit("c", "robot", &policy(&to, call, place, ""), &[]).text;
        let request =
            match place {
                "header authorization bearer" => Request::new("GET", &authority, "/a")
                    .with("authorization", &format!("Bearer {placeholder}")),
                "header x-api-key" => Request::new("GET", &authority, "/a").with("x-api-key", &placeholder),
                "cookie session" => Request::new("GET", &authority, "/a")
                    .with("cookie", &format!("a=b; session={placeholder}")),
                "query key" => Request::new("GET", &authority, &format!("/a?key={placeholder}")),
                _ => Request::new("GET", &authority, &format!("/a/{placeholder}/b")),
            };
        // The second call would find in the table what the first left there.
        for round in 0..2 {
            let answer = setup.broker.call(Way::BaseUrl, Some(&setup.robot), &request);
            assert_eq!(answer.status, 200, "{place}: {}", answer.text());
            let told = answer.json();
            let holding: Vec<_> = told["fields"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|field| field[1].as_str().unwrap().contains(&placeholder))
                .map(|field| (field[0].as_str().unwrap(), field[2].as_bool().unwrap()))
                .collect();
            assert_eq!(holding, [(carrier, true)], "{place}, call {round}: {told}");
            assert!(!told["table"].to_string().contains(&placeholder), "{place}, call {round}: {told}");
        }
    }
}

fn stage() -> (Setup, TlsUpstream, String) {
    let authority = TestAuthority::new();
    let builder = BrokerBuilder::new(BINARY, &authority).argument("--allow-address").argument("::1/128");
    let broker = builder.start();
    let robot = broker.workload("robot");
    let setup = Setup { broker, authority, robot };
    let upstream = TlsUpstream::start(&setup.authority, service);
    let to = format!("https://localhost:{}", upstream.port());
    setup.broker.deposit("c", "bearer", &[&to], &shaped("sk-"));
    let permit = policy(&to, "GET /v1/whoami\", \"POST /v1/echo", BEARER, "");
    let placeholder = setup.broker.permit("c", "robot", &permit, &[]).text;
    (setup, upstream, placeholder)
}

/// Carries connections of programs that know no proxy through CONNECT; gives the port.
fn through_connect(setup: &Setup, authority: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let head = format!(
        "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {}\r\n\r\n",
        setup.robot.basic()
    );
    let broker = setup.broker.listen();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let head = head.clone();
            std::thread::spawn(move || {
                let mut tunnel = TcpStream::connect(broker).unwrap();
                tunnel.write_all(head.as_bytes()).unwrap();
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    tunnel.read_exact(&mut byte).unwrap();
                    answer.push(byte[0]);
                }
                let (mut from, mut to) = (client.try_clone().unwrap(), tunnel.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
                let mut client = client;
                let _ = std::io::copy(&mut tunnel, &mut client);
                let _ = client.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    port
}

#[test]
fn httpx_speaks_http_2_through_interception_and_to_a_base_url() {
    let Some(clients) = installed() else { return };
    let (setup, upstream, placeholder) = stage();
    let target = format!("localhost:{}", upstream.port());
    for mode in ["proxy", "base-url"] {
        let mut command = Command::new(clients.join("venv/bin/python"));
        command.arg(script("use_httpx_http2.py")).arg(mode);
        surroundings(&mut command, &setup.broker, &setup.robot);
        command
            .env("DESTINATION", format!("https://{target}"))
            .env("BASE", format!("http://{}/to/{target}", setup.broker.listen()))
            .env("PLACEHOLDER", &placeholder);
        if mode == "base-url" {
            command.env_remove("HTTPS_PROXY");
        }
        assert!(run(&setup.broker, command).contains(&placeholder));
    }
    assert_eq!(upstream.requests().len(), 2 * 62);
}

#[test]
fn nghttp_and_h2load_speak_http_2_through_interception_and_to_a_base_url() {
    if installed().is_none() {
        return;
    }
    let (setup, upstream, placeholder) = stage();
    let target = format!("localhost:{}", upstream.port());
    let port = through_connect(&setup, &target);
    let authorization = format!("authorization: Bearer {placeholder}");
    let workload = format!("cloakroom-workload: {}:{}", setup.robot.name, setup.robot.key);
    let base = format!("http://{}/to/{target}/v1/whoami", setup.broker.listen());
    let nghttp = |arguments: &[&str]| {
        let mut command = Command::new("nghttp");
        command.args(["--header", &authorization]).args(arguments);
        run(&setup.broker, command)
    };
    let authority = format!(":authority: {target}");
    let tunnelled = format!("https://localhost:{port}/v1/whoami");
    for arguments in [&["--header", &authority, &tunnelled][..], &["--header", &workload, &base]] {
        let told = nghttp(arguments);
        assert!(told.contains(&placeholder) && told.contains("\"ok\":true"), "{arguments:?}: {told}");
    }
    // An upload, with flow control, and the whole of it back.
    let body = setup.authority.directory().join("upload");
    std::fs::write(&body, vec![b'y'; 2_000_000]).unwrap();
    let upload = format!("https://localhost:{port}/v1/echo");
    let told = nghttp(&["--header", &authority, "--data", &body.to_string_lossy(), &upload]);
    assert!(told.contains(&"y".repeat(2_000_000)), "{} bytes", told.len());
    let before = upstream.requests().len();
    let direct = format!("https://{target}/v1/whoami");
    let connect_to = format!("--connect-to=localhost:{port}");
    for arguments in [&[connect_to.as_str(), &direct][..], &["--header", &workload, &base]] {
        let mut command = Command::new("h2load");
        command.args(["-n", "400", "-c", "4", "-m", "25", "--header", &authorization]).args(arguments);
        let told = run(&setup.broker, command);
        assert!(told.contains("400 succeeded, 0 failed, 0 errored, 0 timeout"), "{told}");
        assert!(told.contains("status codes: 400 2xx"), "{told}");
    }
    assert_eq!(upstream.requests().len() - before, 800);
}
