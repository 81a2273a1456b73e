//! HTTP/2 towards destinations: trailers, conversations, streams that are refused, and streams that are given up.

use super::duplex::{fed, post};
use super::server::Authority;
use super::*;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

type Handled = Pin<Box<dyn Future<Output = ()> + Send>>;
type Handler = Arc<dyn Fn(usize, Request<RecvStream>, SendResponse<Bytes>) -> Handled + Send + Sync>;

/// Serves HTTP/2 over TLS; the handler gets the number of the request, from 0.
async fn serve(handler: Handler) -> (String, Upstream) {
    let authority = Authority::new();
    let config = Arc::new(authority.server("127.0.0.1", &["h2"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&config));
            let (handler, count) = (Arc::clone(&handler), Arc::clone(&count));
            tokio::spawn(async move {
                let mut connection =
                    h2::server::handshake(acceptor.accept(stream).await.unwrap()).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    tokio::spawn(handler(count.fetch_add(1, Ordering::SeqCst), request, respond));
                }
            });
        }
    });
    (url, open(UpstreamSettings { anchors: vec![authority.file()], ..settings() }))
}

fn done(mut respond: SendResponse<Bytes>) {
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(Bytes::from("two"), true).unwrap();
}

#[tokio::test]
async fn grpc_is_told_of_trailers_and_gets_hints_and_trailers() {
    let handler: Handler = Arc::new(|_, request, mut respond| {
        Box::pin(async move {
            let te = request.headers().get("te").cloned().unwrap_or(HeaderValue::from_static("none"));
            let hint = Response::builder().status(103).header("link", "</a>").body(()).unwrap();
            respond.send_informational(hint).unwrap();
            let reply = Response::builder().header("x-te", te).body(()).unwrap();
            let mut stream = respond.send_response(reply, false).unwrap();
            stream.send_data(Bytes::from("two"), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            stream.send_trailers(trailers).unwrap();
        })
    });
    let (url, upstream) = serve(handler).await;
    for (kind, te) in [("application/grpc+proto", "trailers"), ("application/json", "none")] {
        let mut head = post();
        head.headers.insert("content-type", HeaderValue::from_static(kind));
        head.headers.insert("te", HeaderValue::from_static("trailers"));
        let mut told = Vec::new();
        let mut tell = |status: StatusCode, fields: HeaderMap| told.push((status.as_u16(), fields.len()));
        let body = OutBody::whole(Bytes::from("a"));
        let sent = upstream.send(head, body, key(1, 1, &url), &mut Hints::new(&mut tell)).await;
        let reply = sent.unwrap();
        assert_eq!(reply.headers()["x-te"], te);
        let whole = reply.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(whole.to_bytes(), "two");
        assert_eq!(told, [(103, 1)]);
    }
}

#[tokio::test]
async fn a_conversation_goes_both_ways_at_once() {
    let handler: Handler = Arc::new(|_, request, mut respond| {
        Box::pin(async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            let mut incoming = request.into_body();
            while let Some(data) = incoming.data().await {
                let data = data.unwrap();
                incoming.flow_control().release_capacity(data.len()).unwrap();
                stream.send_data(data, false).unwrap();
            }
            stream.send_data(Bytes::new(), true).unwrap();
        })
    });
    let (url, upstream) = serve(handler).await;
    let (feed, rest) = fed();
    let body = OutBody::streaming(Bytes::new(), rest, None);
    // The head of the reply comes before a single byte of the request's body.
    let mut reply = send(&upstream, post(), body, key(1, 1, &url)).await.unwrap().into_body();
    for piece in ["one", "two", "three"] {
        feed.send(piece).await.unwrap();
        assert_eq!(reply.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(feed);
    assert!(reply.frame().await.is_none_or(|end| end.unwrap().into_data().unwrap().is_empty()));
}

#[tokio::test]
async fn t65_only_a_stream_that_was_not_processed_is_opened_again() {
    for (reason, expected, sent) in
        [(Reason::REFUSED_STREAM, Ok(()), 3), (Reason::INTERNAL_ERROR, Err(Code::UpstreamUnreachable), 2)]
    {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let handler: Handler = Arc::new(move |number, _, mut respond| {
            counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { if number == 1 { respond.send_reset(reason) } else { done(respond) } })
        });
        let (url, upstream) = serve(handler).await;
        text(get(&upstream, key(1, 1, &url)).await.unwrap()).await.unwrap();
        let second = get(&upstream, key(1, 1, &url)).await;
        // Bytes of it were sent, whatever the destination says of them.
        assert!(second.as_ref().err().is_none_or(|refusal| !refusal.is_unsent()), "{reason:?}");
        assert_eq!(second.map(|_| ()).map_err(|refusal| refusal.code()), expected, "{reason:?}");
        assert_eq!(count.load(Ordering::SeqCst), sent, "{reason:?}");
    }
}

#[tokio::test]
async fn t63_t65_a_counted_call_is_not_sent_again_though_the_destination_says_that_it_processed_nothing() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let handler: Handler = Arc::new(move |number, _, mut respond| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if number == 1 { respond.send_reset(Reason::REFUSED_STREAM) } else { done(respond) }
        })
    });
    let (url, upstream) = serve(handler).await;
    text(get(&upstream, key(1, 1, &url)).await.unwrap()).await.unwrap();
    let body = OutBody::whole(Bytes::from_static(b"amount=100")).once();
    let sent = send(&upstream, post(), body, key(1, 1, &url)).await;
    assert!(sent.as_ref().err().is_some_and(|refusal| !refusal.is_unsent()));
    assert_eq!(sent.map(|_| ()).map_err(|refusal| refusal.code()), Err(Code::UpstreamUnreachable));
    assert_eq!(count.load(Ordering::SeqCst), 2, "the one before it, and the one");
}

#[tokio::test]
async fn t65_a_refused_stream_whose_body_was_passing_through_is_not_opened_again() {
    let handler: Handler = Arc::new(move |number, _, mut respond| {
        Box::pin(async move {
            if number == 1 { respond.send_reset(Reason::REFUSED_STREAM) } else { done(respond) }
        })
    });
    let (url, upstream) = serve(handler).await;
    text(get(&upstream, key(1, 1, &url)).await.unwrap()).await.unwrap();
    let (_feed, rest) = fed();
    let sent = send(&upstream, post(), OutBody::streaming(Bytes::new(), rest, None), key(1, 1, &url)).await;
    assert!(sent.as_ref().err().is_some_and(|refusal| !refusal.is_unsent()));
    assert_eq!(sent.map(|_| ()).map_err(|refusal| refusal.code()), Err(Code::UpstreamUnreachable));
}

#[tokio::test]
async fn a_reply_that_is_dropped_resets_its_stream() {
    let (told, mut reset) = mpsc::channel(1);
    let handler: Handler = Arc::new(move |_, _, mut respond| {
        let told = told.clone();
        Box::pin(async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await.unwrap();
            told.send(reason).await.unwrap();
        })
    });
    let (url, upstream) = serve(handler).await;
    drop(get(&upstream, key(1, 1, &url)).await.unwrap());
    assert_eq!(reset.recv().await, Some(Reason::CANCEL));
}

#[tokio::test]
async fn t43_a_reply_that_breaks_off_or_lies_about_its_length_is_broken() {
    let handler: Handler = Arc::new(|number, _, mut respond| {
        Box::pin(async move {
            let reply = Response::builder().header("content-length", "9").body(()).unwrap();
            let mut stream = respond.send_response(reply, false).unwrap();
            stream.send_data(Bytes::from("two"), number == 0).unwrap();
            if number == 1 {
                stream.send_reset(Reason::INTERNAL_ERROR);
            }
        })
    });
    let (url, upstream) = serve(handler).await;
    for _ in 0..2 {
        let outcome = match get(&upstream, key(1, 1, &url)).await {
            Ok(reply) => text(reply).await.map_err(|_| ()),
            Err(_) => Err(()),
        };
        assert_eq!(outcome, Err(()));
    }
}

#[tokio::test]
async fn a_reply_that_nobody_reads_holds_its_stream_back() {
    let (told, mut sent) = mpsc::channel(1);
    let handler: Handler = Arc::new(move |_, _, mut respond| {
        let told = told.clone();
        Box::pin(async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            stream.reserve_capacity(64 << 20);
            let mut sum = 0;
            let more = |stream: &mut h2::SendStream<Bytes>, cx: &mut std::task::Context<'_>| {
                stream.poll_capacity(cx)
            };
            while let Ok(Some(Ok(room))) =
                tokio::time::timeout(SHORT, std::future::poll_fn(|cx| more(&mut stream, cx))).await
            {
                stream.send_data(Bytes::from(vec![b'x'; room]), false).unwrap();
                sum += room;
            }
            told.send(sum).await.unwrap();
            std::future::pending::<()>().await;
        })
    });
    let (url, upstream) = serve(handler).await;
    let reply = get(&upstream, key(1, 1, &url)).await.unwrap();
    let sum = sent.recv().await.unwrap();
    assert!((1..=512 * 1024).contains(&sum), "{sum}");
    drop(reply);
}
