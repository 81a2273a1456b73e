//! A bare relay: hyper and rustls, TLS in, TLS out, kept connections, a header set; no policy, no secret, no scrubbing.
//!
//! What our libraries cost before we add anything. It runs until it is killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a broken bench must stop"
)]

use cloakroom_testkit::client_config;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ServerConfig};
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

type Body = BoxBody<Bytes, hyper::Error>;

/// Connections to the one upstream that nobody uses right now.
struct Pool {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    idle: RefCell<Vec<SendRequest<Incoming>>>,
}

impl Pool {
    async fn take(&self) -> SendRequest<Incoming> {
        {
            let mut idle = self.idle.borrow_mut();
            idle.retain(|connection| !connection.is_closed());
            if let Some(ready) = idle.iter().rposition(SendRequest::is_ready) {
                return idle.swap_remove(ready);
            }
        }
        let socket = TcpStream::connect(self.address).await.expect("the upstream listens");
        socket.set_nodelay(true).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls =
            TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await.expect("a TLS upstream");
        let (sender, connection) = handshake(TokioIo::new(tls)).await.expect("an HTTP/1.1 upstream");
        tokio::task::spawn_local(connection);
        sender
    }
}

async fn relay(pool: Rc<Pool>, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer other"));
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    let mut connection = pool.take().await;
    let response = match connection.send_request(request).await {
        Ok(response) => response.map(BodyExt::boxed),
        Err(_) => {
            let nothing = Empty::new().map_err(|never| match never {}).boxed();
            return Ok(Response::builder().status(StatusCode::BAD_GATEWAY).body(nothing).unwrap());
        }
    };
    pool.idle.borrow_mut().push(connection);
    Ok(response)
}

async fn serve(acceptor: TlsAcceptor, pool: Rc<Pool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let (acceptor, pool) = (acceptor.clone(), Rc::clone(&pool));
        tokio::task::spawn_local(async move {
            let Ok(tls) = acceptor.accept(socket).await else { return };
            let service = service_fn(move |request| relay(Rc::clone(&pool), request));
            let _ = Builder::new().serve_connection(TokioIo::new(tls), service).await;
        });
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [certificate, key, ca, port] = arguments.as_slice() else {
        panic!("usage: relay CERTIFICATE KEY UPSTREAM_CA UPSTREAM_PORT");
    };
    let certificate = CertificateDer::from_pem_file(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let pool = Rc::new(Pool {
        address: ([127, 0, 0, 1], port.parse().unwrap()).into(),
        tls: client_config(&std::fs::read_to_string(ca).unwrap(), &[]),
        idle: RefCell::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve(TlsAcceptor::from(Arc::new(server)), pool));
}
