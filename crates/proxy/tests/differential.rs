//! Our reading of a head beside httparse's, and of a chunked body at every split: whatever we accept, others read alike.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use cloakroom_proxy::fuzz::{chunked_body, request_head};
use proptest::prelude::*;

/// Pieces that heads are made of, good ones and bad ones.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: &[&[u8]] = &[
        b"Host: h.example\r\n",
        b"Host: h.example:443\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Connection: close\r\n",
        b"Connection: authorization\r\n",
        b"Expect: 100-continue\r\n",
        b"X-A: b\r\n",
        b"X-A:\t b \r\n",
        b"X-Bytes: \xff\xfe\r\n",
        b"X-A : b\r\n",
        b" folded\r\n",
        b"X-A: b\n",
        b"X-A: b\rc\r\n",
        b"X-A: b\0c\r\n",
        b"\r\n",
    ];
    prop_oneof![
        20 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let lines: &[&[u8]] = &[
        b"GET /to/h.example/a HTTP/1.1\r\n",
        b"GET http://h.example/a?b=c HTTP/1.1\r\n",
        b"POST /to/h.example:8443/a HTTP/1.1\r\n",
        b"CONNECT h.example:443 HTTP/1.1\r\n",
        b"CONNECT h.example:443 HTTP/1.0\r\n",
        b"GET  /to/h.example/a HTTP/1.1\r\n",
        b"get /to/h.example/a HTTP/1.1\r\n",
        b"GET /to/h.example/a HTTP/1.1\n",
        b"GET /to/h.example/a#f HTTP/1.1\r\n",
    ];
    prop::sample::select(lines).prop_map(<[u8]>::to_vec)
}

/// A method and fields, names in lower case.
type Plain = (String, Vec<(String, Vec<u8>)>);

/// What httparse makes of the same bytes: the method and every field, names in lower case.
fn httparse_reads(bytes: &[u8]) -> Option<Plain> {
    let mut room = [httparse::EMPTY_HEADER; 128];
    let mut request = httparse::Request::new(&mut room);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        _ => return None,
    };
    assert_eq!(length, bytes.len(), "httparse sees the end of the head elsewhere: {}", bytes.escape_ascii());
    let fields =
        request.headers.iter().map(|field| (field.name.to_lowercase(), field.value.to_vec())).collect();
    Some((request.method?.to_owned(), fields))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn t36_t37_what_we_accept_httparse_reads_alike(line in line(), pieces in prop::collection::vec(piece(), 0..6)) {
        let bytes = [line, pieces.concat(), b"\r\n".to_vec()].concat();
        let Ok(ours) = request_head(&bytes) else { return Ok(()) };
        let (method, fields) = httparse_reads(&bytes).expect("httparse refuses what we accept");
        prop_assert_eq!(&ours.method, &method);
        for (name, value) in &ours.fields {
            let theirs = fields.iter().any(|(other, text)| other == name && text == value);
            prop_assert!(theirs, "{} is another field for httparse", name);
        }
        let lengths = fields.iter().filter(|(name, _)| name == "content-length").count();
        let codings = fields.iter().filter(|(name, _)| name == "transfer-encoding").count();
        prop_assert!(lengths + codings <= 1);
        prop_assert_eq!(ours.length.is_none(), codings == 1);
    }

    #[test]
    fn heads_of_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = request_head(&bytes);
        let _ = request_head(&[b"GET /to/h/ HTTP/1.1\r\nHost: h\r\n", &bytes[..], b"\r\n\r\n"].concat());
    }

    #[test]
    fn t37_a_chunked_body_does_not_depend_on_how_it_arrives(
        pieces in prop::collection::vec(chunk_piece(), 0..8),
        size in 1usize..7,
    ) {
        chunked_body(&pieces.concat(), size);
    }
}

fn chunk_piece() -> impl Strategy<Value = Vec<u8>> {
    let known: &[&[u8]] = &[
        b"5\r\nhello\r\n",
        b"1;a=b\r\nx\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"X: y\r\n",
        b"\r\n",
        b"5\nhello",
        b"0x5\r\n",
        b"00000000000000001\r\n",
        b"ffffffffffffffff\r\n",
        b"\n",
        b"\r",
    ];
    let long =
        (200usize..300).prop_map(|length| [b"1;".as_slice(), &vec![b'a'; length], b"\r\nx\r\n"].concat());
    prop_oneof![
        12 => prop::sample::select(known).prop_map(<[u8]>::to_vec),
        2 => long,
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

#[test]
fn heads_that_hyper_would_write_are_accepted() {
    for (head, method, length) in [
        ("GET /to/h.example/a HTTP/1.1\r\nhost: broker\r\naccept: */*\r\n\r\n", "GET", Some(0)),
        ("POST /to/h.example/a HTTP/1.1\r\nhost: b\r\ncontent-length: 12\r\n\r\n", "POST", Some(12)),
        ("POST /to/h.example/a HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n", "POST", None),
        ("GET http://h.example/a HTTP/1.1\r\nhost: h.example\r\n\r\n", "GET", Some(0)),
        ("CONNECT h.example:443 HTTP/1.1\r\nhost: h.example:443\r\n\r\n", "CONNECT", Some(0)),
    ] {
        let read = request_head(head.as_bytes()).unwrap();
        assert_eq!((read.method.as_str(), read.length), (method, length), "{head}");
    }
}
