//! The secret cut anywhere, on each carrier: DATA frames, chunks, events, fragments of a WebSocket, messages of gRPC, trailers.

use crate::support::{policy, setup};
use bytes::Bytes;
use cloakroom_testkit::{
    H2Client, H2Upstream, Request, Setup, TlsUpstream, WS_FIELDS, Way, WsFrame, WsUpstream, send_all, shaped,
};
use http::{HeaderMap, Response};

const BEARER: &str = "header authorization bearer";

/// Where the text is cut in the round of this number: at each offset once, then at several that a generator chooses.
fn cuts(text: &str, round: usize) -> Vec<&[u8]> {
    let bytes = text.as_bytes();
    let mut at: Vec<usize> = match round.checked_sub(bytes.len() + 1) {
        None => vec![round],
        Some(more) => {
            let mut state = 0x9e37_79b9_u64.wrapping_mul(more as u64 + 1);
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                usize::try_from(state % (bytes.len() as u64 + 1)).unwrap()
            };
            (0..=more % 9).map(|_| next()).collect()
        }
    };
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// The text that holds the secret, twice, in two forms.
fn told(credential: &str) -> String {
    let hexadecimal: String = credential.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("a {credential} b {hexadecimal} c")
}

fn placeholder(setup: &Setup, to: &str, rest: &str) -> String {
    setup.broker.deposit("c", "bearer", &[to], &shaped("sk-"));
    let permit = policy(to, "GET /v1/items/{id}", BEARER, rest);
    setup.broker.permit("c", "robot", &permit, &[]).text
}

const ROUNDS: usize = 160;

fn round_of(target: &str) -> usize {
    target.rsplit('/').next().unwrap().parse().unwrap()
}

#[test]
fn t03_data_frames_and_trailers() {
    let setup = setup();
    let upstream = H2Upstream::start_with(&setup.authority, |request, mut respond| async move {
        let text = told(&shaped("sk-"));
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        for piece in cuts(&text, round_of(request.uri().path())) {
            if send_all(&mut stream, Bytes::copy_from_slice(piece), false).await.is_err() {
                return;
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-told", text.parse().unwrap());
        let _ = stream.send_trailers(trailers);
    });
    let placeholder = placeholder(&setup, &upstream.url(), "");
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    let request = |round: usize| {
        http::Request::get(format!("{}/v1/items/{round}", upstream.url()))
            .header("authorization", format!("Bearer {placeholder}"))
            .body(Bytes::new())
            .unwrap()
    };
    for first in (0..ROUNDS).step_by(8) {
        let answers = client.call_all((first..first + 8).map(request).collect());
        for (round, answer) in (first..).zip(answers) {
            let answer = answer.unwrap();
            assert_eq!(answer.text(), told(&placeholder), "{round}");
            assert_eq!(answer.trailers["x-told"].to_str().unwrap(), told(&placeholder), "{round}");
        }
    }
}

#[test]
fn t03_events_and_chunks() {
    let setup = setup();
    let upstream = TlsUpstream::start_with(&setup.authority, |request, out| {
        let text = format!("data: {}\n\n", told(&shaped("sk-")));
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")?;
        out.write_all(b"transfer-encoding: chunked\r\n\r\n")?;
        for piece in cuts(&text, round_of(&request.target)).into_iter().filter(|piece| !piece.is_empty()) {
            write!(out, "{:x}\r\n", piece.len())?;
            out.write_all(piece)?;
            out.write_all(b"\r\n")?;
            out.flush()?;
        }
        write!(out, "0\r\nx-told: {}\r\n\r\n", told(&shaped("sk-")))?;
        out.flush()?;
        Ok(cloakroom_testkit::After::Keep)
    });
    let placeholder = placeholder(&setup, &upstream.url(), "");
    let mut wire = setup.broker.tunnel(&upstream.authority(), Some(&setup.robot)).unwrap();
    for round in 0..ROUNDS {
        let request = Request::new("GET", &upstream.authority(), &format!("/v1/items/{round}"))
            .with("authorization", &format!("Bearer {placeholder}"));
        wire.send(&request.bytes(Way::Connect, None));
        let answer = wire.receive("GET").unwrap();
        assert_eq!(answer.text(), format!("data: {}\n\n", told(&placeholder)), "{round}");
        assert_eq!(answer.trailers, [("x-told".to_owned(), told(&placeholder))], "{round}");
    }
}

#[test]
fn t03_fragments_of_a_websocket() {
    let setup = setup();
    let upstream = WsUpstream::start(&setup.authority, "", |_, frame| {
        let Some(frame) = frame.filter(|frame| frame.opcode == 1) else { return Vec::new() };
        let text = told(&shaped("sk-"));
        let pieces = cuts(&text, frame.as_text().parse().unwrap());
        let last = pieces.len() - 1;
        let part = |(at, piece): (usize, &&[u8])| WsFrame::part(at == last, u8::from(at == 0), piece);
        pieces.iter().enumerate().map(part).collect()
    });
    let placeholder = placeholder(&setup, &upstream.url(), "upgrade = \"websocket\"");
    let request = Request::new("GET", &upstream.authority(), "/v1/items/1")
        .with("authorization", &format!("Bearer {placeholder}"));
    let request = WS_FIELDS.iter().fold(request, |request, (name, value)| request.with(name, value));
    let mut wire = setup.broker.tunnel(&upstream.authority(), Some(&setup.robot)).unwrap();
    wire.send(&request.bytes(Way::Connect, None));
    assert_eq!(wire.receive("GET").unwrap().status, 101);
    for round in 0..ROUNDS {
        wire.say(&WsFrame::text(&round.to_string()));
        assert_eq!(wire.hear().unwrap(), WsFrame::text(&told(&placeholder)), "{round}");
    }
}

/// A message of gRPC with one field, as protobuf writes it: its number and kind, its length, its text.
fn message(text: &str) -> Vec<u8> {
    let field = [&[0x0a, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [&[0, 0, 0, 0, u8::try_from(field.len()).unwrap()], &field[..]].concat()
}

#[test]
fn t03_messages_of_grpc_keep_their_lengths_where_the_placeholder_has_another() {
    let setup = setup();
    // Shorter than a placeholder can be.
    let secret = &shaped("sk-")[..16];
    let echoed = message(secret);
    let upstream = H2Upstream::start_with(&setup.authority, move |request, mut respond| {
        let echoed = echoed.clone();
        async move {
            let head = Response::builder().header("content-type", "application/grpc+proto").body(()).unwrap();
            let mut stream = respond.send_response(head, false).unwrap();
            let cut = round_of(request.uri().path()) % echoed.len();
            let _ = send_all(&mut stream, Bytes::copy_from_slice(&echoed[..cut]), false).await;
            let _ = send_all(&mut stream, Bytes::copy_from_slice(&echoed[cut..]), false).await;
            let _ = send_all(&mut stream, Bytes::from(message("behind it")), true).await;
        }
    });
    let to = upstream.url();
    setup.broker.deposit("c", "bearer", &[&to], secret);
    let permit = policy(&to, "POST /v1/items/{id}", BEARER, "");
    let placeholder = setup.broker.permit("c", "robot", &permit, &[]).text;
    assert_ne!(placeholder.len(), secret.len());
    let mut client = H2Client::tunnel(&setup.broker, &upstream.authority(), &setup.robot);
    for round in 0..30 {
        let request = http::Request::post(format!("{to}/v1/items/{round}"))
            .header("content-type", "application/grpc+proto")
            .header("te", "trailers")
            .header("authorization", format!("Bearer {placeholder}"))
            .body(Bytes::from(message("x")))
            .unwrap();
        let answer = client.call(request).unwrap();
        let expected = [message(&placeholder[..secret.len()]), message("behind it")].concat();
        assert_eq!(answer.body, expected, "{round}");
    }
}
