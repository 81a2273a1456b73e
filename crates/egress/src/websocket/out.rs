//! From the workload to the upstream: each message is judged whole, and armed where its placeholder stands.

use super::channel::Terms;
use super::close::Close;
use super::decoder::{Event, Kind};
use super::ending::{Ending, Side};
use super::frame::Opcode;
use super::hop::{Sink, Source};
use super::state::State;
use crate::arm;
use crate::scrub::Target;
use crate::stage;
use bytes::Bytes;
use cloakroom_model::{Destination, Ledger, Refusal};
use cloakroom_policy::MessageUse;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

/// Hands on what the workload says, until it says Close.
pub(super) async fn relay<R: AsyncRead + Unpin, W: AsyncWrite + Unpin, L: Ledger>(
    source: &mut Source<R>,
    sink: &mut Sink<W>,
    state: &State,
    terms: &Terms<'_, L>,
    destination: &Destination,
) -> Result<(), Ending> {
    let lost = |_: io::Error| Ending::Lost(Side::Upstream);
    loop {
        let event = source.next().await.map_err(|gone| Ending::gone(Side::Workload, gone))?;
        state.heard();
        let closing = matches!(event, Event::Close(_));
        match event {
            Event::Message(message) => {
                let armed = match message.kind {
                    Kind::Text => judge(&message.payload, state, terms, destination).await,
                    Kind::Binary => is_plain(&message.payload, state, terms).map(|()| None),
                };
                match armed.map_err(Ending::Refused)? {
                    Some(armed) => sink.armed(message.kind, &armed),
                    None => sink.message(message.kind, &message.payload),
                }
                .map_err(lost)?;
                state.sent();
            }
            Event::Ping(payload) => {
                is_plain(&payload, state, terms).map_err(Ending::Refused)?;
                sink.control(Opcode::Ping, &payload).map_err(lost)?;
            }
            Event::Pong(payload) => {
                is_plain(&payload, state, terms).map_err(Ending::Refused)?;
                sink.control(Opcode::Pong, &payload).map_err(lost)?;
            }
            // The answer to the upstream's own Close, which may quote what was put into it: that it was heard is all it says.
            Event::Close(close) if state.closing_for().is_some() => {
                let heard = close.map(|Close { code, .. }| Close { code, reason: Bytes::new() });
                sink.close(heard.as_ref()).map_err(lost)?;
            }
            Event::Close(close) => {
                let reason = close.as_ref().map(|Close { reason, .. }| reason.clone()).unwrap_or_default();
                is_plain(&reason, state, terms).map_err(Ending::Refused)?;
                sink.close(close.as_ref()).map_err(lost)?;
            }
        }
        sink.flush().await.map_err(lost)?;
        if closing {
            state.closing();
            return Ok(());
        }
    }
}

/// A placeholder may stand in text messages only.
fn is_plain<L: Ledger>(bytes: &[u8], state: &State, terms: &Terms<'_, L>) -> Result<(), Refusal> {
    state.judge_binary(bytes, &terms.policies.load())
}

/// The message with its secret; `None` where it carries no placeholder.
async fn judge<L: Ledger>(
    text: &[u8],
    state: &State,
    terms: &Terms<'_, L>,
    destination: &Destination,
) -> Result<Option<Zeroizing<Vec<u8>>>, Refusal> {
    let judged = state.judge_text(text, &terms.policies.load())?;
    match judged {
        None => Ok(None),
        Some(used) => armed(text, &used, state, terms, destination).await.map(Some),
    }
}

async fn armed<L: Ledger>(
    text: &[u8],
    message: &MessageUse,
    state: &State,
    terms: &Terms<'_, L>,
    destination: &Destination,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    // INVARIANT: nothing is opened before its intent is on record (invariant 2).
    terms.ledger.record(message.intent()).await?;
    let used = message.used();
    terms.custody.ready(std::iter::once(used)).await?;
    let opened = terms.custody.open_use(used, destination)?;
    // SECURITY: looked for before it goes out, so that the first reply cannot come too early.
    state.look_for(stage::target(&opened, None, used.text())?);
    for needles in opened.live.iter().flat_map(|live| &live.also) {
        state.look_for(Target { needles: Arc::clone(needles), placeholder: used.text().into() });
    }
    arm::write_message(text, message.span(), used.text(), &opened.secret)
}
