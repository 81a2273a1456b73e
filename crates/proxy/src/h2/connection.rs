//! One HTTP/2 connection: it accepts streams, each of which is a task of its own on the same thread, until one side is
//! done.
//!
//! What a connection can make the broker hold: [`CONNECTION_WINDOW`] bytes received and not yet taken by an upstream,
//! and for each stream at most [`SEND_BUFFER`] bytes on their way out, besides what one call holds in HTTP/1.1.

use super::guard::{Alarm, Guard};
use super::stream::Stream;
use crate::desk::Desk;
use crate::io::{Io, Rewound};
use crate::limits::Limits;
use bytes::{Bytes, BytesMut};
use h2::server::{self, Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// What a stream, and all streams of a connection, may have sent ahead.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// What of an answer is buffered for a reader that does not keep up.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that were reset and are remembered, so that what is still on its way to them is no error.
const RESET_STREAMS: usize = 50;
const RESET_FOR: Duration = Duration::from_secs(5);
/// Streams that the peer reset before they were looked at, and streams whose errors made us reset them, in the life of
/// a connection (CVE-2023-44487, CVE-2025-8671). The guard counts as well, by time.
const RESET_UNSEEN: usize = 100;
const RESET_BY_ERRORS: usize = 1000;
/// How long a connection that was told goodbye has for its last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves an HTTP/2 connection to its end. `early` is what was read of it.
///
/// It is boxed because a stream can hold a tunnel, and a tunnel such a connection.
pub(crate) fn serve(
    desk: Desk,
    io: Box<dyn Io>,
    early: BytesMut,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let io = if early.is_empty() { io } else { Box::new(Rewound::new(early, io)) };
    Box::pin(run(Arc::new(desk), io))
}

async fn run(desk: Arc<Desk>, io: Box<dyn Io>) {
    let alarm = Alarm::default();
    let limits = &desk.shared.proxy.limits;
    let handshake = settings(limits).handshake::<_, Bytes>(Guard::new(io, alarm.clone()));
    let Ok(Ok(connection)) = timeout(limits.header_time, handshake).await else { return };
    let stop = desk.shared.stop.clone();
    let farewell = Arc::new(Notify::new());
    Connection { desk, connection, alarm, stop, farewell, streams: JoinSet::new(), phase: Phase::New }
        .run()
        .await;
}

/// Every limit is set: none is left to a default that another version may change.
fn settings(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(u32::try_from(limits.streams).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(16 * 1024)
        // Beyond our own bound, so that we refuse in our own words; beyond this one the crate does.
        .max_header_list_size(u32::try_from(limits.head_bytes.saturating_mul(2)).unwrap_or(u32::MAX))
        .header_table_size(4096)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .reset_stream_duration(RESET_FOR)
        .max_pending_accept_reset_streams(RESET_UNSEEN)
        .max_local_error_reset_streams(Some(RESET_BY_ERRORS))
        .enable_connect_protocol();
    builder
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No request came yet.
    New,
    /// Requests come.
    Open,
    /// Goodbye was said: what began may finish.
    Leaving,
}

struct Connection {
    desk: Arc<Desk>,
    connection: server::Connection<Guard, Bytes>,
    alarm: Alarm,
    stop: watch::Receiver<bool>,
    farewell: Arc<Notify>,
    /// Their calls end with the connection.
    streams: JoinSet<()>,
    phase: Phase,
}

/// What happened on a connection.
enum Event {
    Request(Request<RecvStream>, SendResponse<Bytes>),
    /// A stream's task is done.
    Ended(Result<(), JoinError>),
    /// The peer's frames are a flood.
    Flood,
    /// The broker stops, or the connection has lost its credit.
    Farewell,
    /// No request for too long.
    Idle,
    Over,
}

impl Connection {
    async fn run(mut self) {
        loop {
            match self.next().await {
                Event::Request(request, respond) => self.spawn(request, respond),
                Event::Ended(ended) => notice(&ended),
                Event::Farewell => self.leave(),
                Event::Idle if self.phase != Phase::Leaving => self.leave(),
                Event::Idle | Event::Over => return,
                Event::Flood => return self.cut().await,
            }
        }
    }

    async fn next(&mut self) -> Event {
        let (patience, is_leaving) = (self.patience(), self.phase == Phase::Leaving);
        let Self { connection, alarm, stop, farewell, streams, .. } = self;
        let is_idle = streams.is_empty();
        tokio::select! {
            biased;
            accepted = connection.accept() => match accepted {
                _ if alarm.rings() => Event::Flood,
                Some(Ok((request, respond))) => Event::Request(request, respond),
                Some(Err(error)) => {
                    tracing::debug!(%error, "an HTTP/2 connection with a workload failed");
                    Event::Over
                }
                None => Event::Over,
            },
            // The connection was polled just now, so this sees what its guard saw.
            () = poll_fn(|_| if alarm.rings() { Poll::Ready(()) } else { Poll::Pending }) => Event::Flood,
            Some(ended) = streams.join_next(), if !is_idle => Event::Ended(ended),
            _ = stop.wait_for(|stop| *stop), if !is_leaving => Event::Farewell,
            () = farewell.notified(), if !is_leaving => Event::Farewell,
            () = sleep(patience), if is_idle => Event::Idle,
        }
    }

    fn spawn(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let stream = Stream { desk: self.desk.clone(), respond, farewell: self.farewell.clone() };
        self.streams.spawn(stream.run(request));
        if self.phase == Phase::New {
            self.phase = Phase::Open;
        }
    }

    /// How long the connection may be without a request.
    fn patience(&self) -> Duration {
        let limits = &self.desk.shared.proxy.limits;
        match self.phase {
            Phase::New => limits.header_time,
            Phase::Open => limits.keep_alive_idle,
            Phase::Leaving => LAST_WORDS,
        }
    }

    /// Takes no more requests, and finishes those that began.
    fn leave(&mut self) {
        self.connection.graceful_shutdown();
        self.phase = Phase::Leaving;
    }

    /// Ends a flood, and with it what else the connection had going (T95).
    async fn cut(mut self) {
        tracing::warn!(peer = %self.desk.peer, "an HTTP/2 connection was cut: it sent a flood of frames that bring nothing");
        self.streams.abort_all();
        self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        let _ = timeout(LAST_WORDS, poll_fn(|cx| self.connection.poll_closed(cx))).await;
    }
}

fn notice(ended: &Result<(), JoinError>) {
    if ended.as_ref().is_err_and(JoinError::is_panic) {
        tracing::error!("a stream ended by a fault");
    }
}
