//! From the upstream to the workload: each message is scrubbed whole.

use super::close::Close;
use super::decoder::{Event, Kind};
use super::ending::{Ending, Side};
use super::frame::{CONTROL, Opcode};
use super::hop::{Sink, Source};
use super::state::State;
use crate::scrub::Fit;
use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// Hands on what the upstream says, until it says Close.
pub(super) async fn relay<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
    state: &State,
) -> Result<(), Ending> {
    let lost = |_: io::Error| Ending::Lost(Side::Workload);
    loop {
        let event = source.next().await.map_err(|gone| Ending::gone(Side::Upstream, gone))?;
        state.heard();
        let closing = matches!(event, Event::Close(_));
        match event {
            Event::Message(message) => {
                let clean = scrub_message(state, message.kind, message.payload);
                sink.message(message.kind, &clean).map_err(lost)?;
                state.relayed(clean.len());
            }
            Event::Ping(payload) => sink.control(Opcode::Ping, &quotable(state, payload)).map_err(lost)?,
            Event::Pong(payload) => sink.control(Opcode::Pong, &quotable(state, payload)).map_err(lost)?,
            Event::Close(close) => {
                let close = close.map(|Close { code, reason }| Close { code, reason: scrub(state, reason) });
                sink.close(close.as_ref()).map_err(lost)?;
            }
        }
        sink.flush().await.map_err(lost)?;
        if closing {
            state.closing();
            state.complete();
            return Ok(());
        }
    }
}

/// A whole message without secrets. A text stays one.
fn scrub_message(state: &State, kind: Kind, payload: Vec<u8>) -> Bytes {
    // What is not text may count its bytes.
    let fit = if kind == Kind::Text { Fit::Free } else { Fit::Same };
    let clean = search(state, payload.into(), fit);
    match kind {
        Kind::Text if std::str::from_utf8(&clean).is_err() => {
            String::from_utf8_lossy(&clean).into_owned().into_bytes().into()
        }
        _ => clean,
    }
}

/// The payload of a ping or a pong. The workload answers a ping with the same payload, where no placeholder may stand: one that
/// holds a secret is empty.
fn quotable(state: &State, payload: Bytes) -> Bytes {
    let (clean, replaced) = state.finder().scrub_message(payload, Fit::Free);
    state.replaced(replaced);
    if replaced > 0 { Bytes::new() } else { clean }
}

/// The reason of a Close.
fn scrub(state: &State, payload: Bytes) -> Bytes {
    let mut clean = search(state, payload, Fit::Free);
    // A placeholder can be longer than its secret.
    clean.truncate(CONTROL);
    clean
}

fn search(state: &State, payload: Bytes, fit: Fit) -> Bytes {
    let (clean, replaced) = state.finder().scrub_message(payload, fit);
    state.replaced(replaced);
    clean
}
