//! Server-sent events: how long after it was written each is read, directly and through the broker.

use crate::report::Report;
use crate::spread::Spread;
use cloakroom_testkit::{After, Log, Request, Setup, TlsUpstream, Way, Wire, shaped};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Since when times are counted: one process writes and reads.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Events of each stream, and the time between two.
const EVENTS: usize = 400;
const EVERY: Duration = Duration::from_millis(2);
/// Streams of each kind, in turn.
const ROUNDS: usize = 5;

/// Measures both, in turn.
pub(crate) fn run(broker: &str, report: &mut Report) {
    let setup = Setup::new(broker);
    let upstream = TlsUpstream::start_with(&setup.authority, |_, out| {
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")?;
        for _ in 0..EVENTS {
            std::thread::sleep(EVERY);
            // In one write: each is a record and a chunk of its own.
            out.write_all(format!("data: {}\n\n", BEGAN.elapsed().as_nanos()).as_bytes())?;
            out.flush()?;
        }
        Ok(After::Close)
    });
    setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
    let policy = format!(
        "version = 1\n[[permit]]\nname = \"one\"\nto = \"{}\"\ncall = [\"GET /x\"]\nplace = \"header authorization bearer\"\n",
        upstream.url()
    );
    let issued = setup.broker.permit("c", "robot", &policy, &[]);
    let authority = upstream.authority();
    let request = Request::new("GET", &authority, "/x")
        .with("authorization", &format!("Bearer {}", issued.text))
        .bytes(Way::Connect, None);
    let mut figures = [(); 2].map(|()| [(); 2].map(|()| Spread::default()));
    for _ in 0..ROUNDS {
        let direct = Wire::open(([127, 0, 0, 1], upstream.port()).into(), Log::default())
            .wrap("127.0.0.1", setup.authority.pem());
        let tunnel =
            setup.broker.tunnel(&authority, Some(&setup.robot)).unwrap_or_else(|no| panic!("{}", no.text()));
        for (wire, spreads) in [direct, tunnel].into_iter().zip(&mut figures) {
            let mut late = read(wire, &request);
            late.sort_unstable();
            for (spread, percent) in spreads.iter_mut().zip([50, 99]) {
                spread.push(late[late.len() * percent / 100].as_secs_f64() * 1e6);
            }
        }
    }
    report.section(
        "Events of a stream",
        &format!(
            "{ROUNDS} streams of {EVENTS} events, one each {} ms; from just before it was written until it was read, µs.",
            EVERY.as_millis()
        ),
        "| | p50 | p99 |",
    );
    for (name, [p50, p99]) in ["direct", "cloakroom, interception"].into_iter().zip(&figures) {
        report.row(&format!("| {name} | {} | {} |", p50.show(0), p99.show(0)));
    }
    report.hold("T15", figures[1][0].median() - figures[0][0].median());
}

/// How late each event came.
fn read(mut wire: Wire, request: &[u8]) -> Vec<Duration> {
    wire.send(request);
    let (mut late, mut text) = (Vec::new(), Vec::new());
    loop {
        let more = wire.read_some(4096).unwrap_or_default();
        let now = BEGAN.elapsed();
        let ended = more.is_empty() || more.ends_with(b"0\r\n\r\n");
        text.extend(more);
        while let Some(end) = text.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = text.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event).into_owned();
            let written = event.split("data: ").nth(1).and_then(|nanos| nanos.trim().parse().ok());
            late.extend(written.map(|nanos| now.saturating_sub(Duration::from_nanos(nanos))));
        }
        if ended {
            assert!(
                late.len() > EVENTS / 2,
                "{} events of {EVENTS} came: {}",
                late.len(),
                String::from_utf8_lossy(&text)
            );
            return late;
        }
    }
}
