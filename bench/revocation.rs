//! How soon what is open ends when its placeholder is revoked, state by state (T67).
//!
//! A broker, loopback destinations, and a workload that waits: the time runs from when the revocation was asked for, and from
//! when it was answered, to when the workload reads the end. Nothing is asserted but that it ends, and as it should.

use cloakroom_testkit::{
    After, H2Client, Issued, Request, Setup, TlsUpstream, WS_FIELDS, Way, Wire, WsFrame, WsUpstream, echo,
    next_data, shaped,
};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Something that is open, until its placeholder is revoked.
struct Open {
    placeholder: String,
    when: When,
    /// Waits for the end, and says when it was read.
    end: Box<dyn FnOnce() -> Instant + Send>,
}

/// Opens something.
type Begin = fn(&Stage) -> Open;

/// When the end is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// From before the revocation: it comes by itself.
    Before,
    /// Once the revocation was answered: it is a call that is made then.
    After,
}

fn open(issued: Issued, when: When, end: impl FnOnce() -> Instant + Send + 'static) -> Open {
    Open { placeholder: issued.id, when, end: Box::new(end) }
}

struct Stage {
    setup: Setup,
    echoes: TlsUpstream,
    hangs: TlsUpstream,
    streams: TlsUpstream,
    floods: TlsUpstream,
    talks: WsUpstream,
}

/// Measures so many rounds of each state, and writes the table.
pub(crate) fn run(broker: &str, directory: &Path, rounds: usize) {
    let stage = Stage::new(broker);
    let states: [(&str, Begin); 8] = [
        ("upload", |stage| stage.unanswered(true)),
        ("call without an answer", |stage| stage.unanswered(false)),
        ("event stream, silent", |stage| stage.streaming(&stage.streams)),
        ("event stream, busy", |stage| stage.streaming(&stage.floods)),
        ("WebSocket", Stage::talking),
        ("HTTP/2 stream", Stage::in_http2),
        ("next call, kept tunnel", |stage| stage.next_call(true)),
        ("next call, new connection", |stage| stage.next_call(false)),
    ];
    let mut text = format!(
        "# Revocation\n\nOne broker, {rounds} rounds of each state; ms from the revocation's request, and from its answer, to the end as \
         the workload reads it. 0.0 from the answer: it ended before. A next call is made after the answer, and is refused.\n\n\
         | state | p50 after asking | max | p50 after the answer | max |\n|---|---|---|---|---|\n"
    );
    for (name, begin) in states {
        let (mut asked, mut answered): (Vec<Duration>, Vec<Duration>) =
            (0..rounds).map(|_| stage.round(begin)).unzip();
        let row = format!("| {name} | {} | {} |\n", figures(&mut asked), figures(&mut answered));
        print!("    {row}");
        text.push_str(&row);
    }
    let file = directory.join("revocation.md");
    std::fs::write(&file, text).unwrap();
    println!("    written to {}", file.display());
}

fn figures(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let millis = |time: Option<&Duration>| time.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    format!("{:.1} | {:.1}", millis(times.get(times.len() / 2)), millis(times.last()))
}

impl Stage {
    fn new(broker: &str) -> Self {
        let setup = Setup::new(broker);
        let streaming = |busy: bool| {
            TlsUpstream::start_with(&setup.authority, move |_, out| {
                out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: one\n\n")?;
                out.flush()?;
                if !busy {
                    return Ok(After::Hang);
                }
                loop {
                    out.write_all(b"data: more\n\n")?;
                    out.flush()?;
                }
            })
        };
        let stage = Self {
            echoes: TlsUpstream::start(&setup.authority, echo),
            hangs: TlsUpstream::start_with(&setup.authority, |_, _| Ok(After::Hang)),
            streams: streaming(false),
            floods: streaming(true),
            talks: WsUpstream::start(&setup.authority, "", |_, frame| match frame {
                None => vec![WsFrame::text("hello")],
                Some(frame) => vec![frame.clone()],
            }),
            setup,
        };
        let urls = [
            stage.echoes.url(),
            stage.hangs.url(),
            stage.streams.url(),
            stage.floods.url(),
            stage.talks.url(),
        ];
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        stage.setup.broker.deposit("c", "bearer", &urls, &shaped("sk_live_"));
        stage
    }

    /// From the request and from the answer of the revocation to the end.
    fn round(&self, begin: Begin) -> (Duration, Duration) {
        let Open { placeholder, when, end } = begin(self);
        let (go, told) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || {
            if when == When::After {
                told.recv().unwrap();
            }
            end()
        });
        // The reader should be waiting by then.
        std::thread::sleep(Duration::from_millis(30));
        let asked = Instant::now();
        self.revoke(&placeholder);
        let answered = Instant::now();
        let _ = go.send(());
        let ended = waiting.join().unwrap();
        (ended - asked, ended.saturating_duration_since(answered))
    }

    fn revoke(&self, placeholder: &str) {
        let mut socket = UnixStream::connect(self.setup.broker.data().join("admin.sock")).unwrap();
        let head = format!(
            "POST /api/v1/placeholders/{placeholder}/revoke HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", answer.escape_ascii());
    }

    fn permit(&self, to: &str, more: &str) -> Issued {
        let policy = format!(
            "version = 1\n[[permit]]\nname = \"one\"\nto = \"{to}\"\ncall = [\"GET /x\"]\nplace = \"header authorization bearer\"\n{more}\n"
        );
        self.setup.broker.permit("c", "robot", &policy, &[])
    }

    fn request(authority: &str, issued: &Issued) -> Request {
        Request::new("GET", authority, "/x").with("authorization", &format!("Bearer {}", issued.text))
    }

    fn tunnel(&self, authority: &str) -> Wire {
        self.setup
            .broker
            .tunnel(authority, Some(&self.setup.robot))
            .unwrap_or_else(|no| panic!("{}", no.text()))
    }

    fn unanswered(&self, upload: bool) -> Open {
        let issued = self.permit(&self.hangs.url(), "");
        let authority = self.hangs.authority();
        let mut wire = self.tunnel(&authority);
        let request = Self::request(&authority, &issued);
        let request = if upload { request.with("content-length", "1000000") } else { request };
        wire.send(&request.bytes(Way::Connect, None));
        if upload {
            wire.send(&[b'x'; 200_000]);
        }
        let end = move || {
            assert_eq!(wire.receive("GET").unwrap().code().as_deref(), Some("placeholder-revoked"));
            Instant::now()
        };
        open(issued, When::Before, end)
    }

    fn streaming(&self, upstream: &TlsUpstream) -> Open {
        let issued = self.permit(&upstream.url(), "");
        let mut wire = self.tunnel(&upstream.authority());
        wire.send(&Self::request(&upstream.authority(), &issued).bytes(Way::Connect, None));
        let mut seen = Vec::new();
        while !seen.windows(9).any(|window| window == b"data: one") {
            seen.extend(wire.read_some(4096).unwrap());
        }
        let end = move || {
            while wire.read_some(1 << 16).is_ok_and(|more| !more.is_empty()) {}
            Instant::now()
        };
        open(issued, When::Before, end)
    }

    fn talking(&self) -> Open {
        let issued = self.permit(&self.talks.url(), "upgrade = \"websocket\"");
        let authority = self.talks.authority();
        let mut wire = self.tunnel(&authority);
        let request = Self::request(&authority, &issued);
        let request = WS_FIELDS.iter().fold(request, |request, (name, value)| request.with(name, value));
        wire.send(&request.bytes(Way::Connect, None));
        assert_eq!(wire.receive("GET").unwrap().status, 101);
        assert_eq!(wire.hear().unwrap(), WsFrame::text("hello"));
        let end = move || {
            assert!(wire.hear().unwrap().closes().is_some());
            Instant::now()
        };
        open(issued, When::Before, end)
    }

    fn in_http2(&self) -> Open {
        let issued = self.permit(&self.streams.url(), "");
        let authority = self.streams.authority();
        let mut client = H2Client::tunnel(&self.setup.broker, &authority, &self.setup.robot);
        let request = http::Request::get(format!("https://{authority}/x"))
            .header("authorization", format!("Bearer {}", issued.text))
            .body(())
            .unwrap();
        let mut call = client.open(request);
        call.send.send_data(bytes::Bytes::new(), true).unwrap();
        let mut body = client.wait(call.response).unwrap().into_body();
        assert!(client.wait(next_data(&mut body)).is_some_and(|data| data.is_ok()));
        let end = move || {
            while client.wait(next_data(&mut body)).is_some_and(|data| data.is_ok()) {}
            Instant::now()
        };
        open(issued, When::Before, end)
    }

    /// A call that works, then one that is made when the revocation is answered.
    fn next_call(&self, kept: bool) -> Open {
        let issued = self.permit(&self.echoes.url(), "");
        let authority = self.echoes.authority();
        let mut wire = self.tunnel(&authority);
        let request = Self::request(&authority, &issued).bytes(Way::Connect, None);
        wire.send(&request);
        assert_eq!(wire.receive("GET").unwrap().status, 200);
        let mut next = if kept { wire } else { self.tunnel(&authority) };
        let end = move || {
            next.send(&request);
            assert_eq!(next.receive("GET").unwrap().code().as_deref(), Some("placeholder-revoked"));
            Instant::now()
        };
        open(issued, When::After, end)
    }
}
