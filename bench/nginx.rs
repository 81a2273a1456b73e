//! nginx, one process, in the foreground.

use cloakroom_testkit::TestAuthority;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running nginx.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl Nginx {
    /// Answers every call with 1 KiB of JSON.
    pub(crate) fn upstream(authority: &TestAuthority) -> Self {
        let body = format!("{{\"items\":\"{}\"}}", "x".repeat(1024 - 12));
        Self::start(authority, "", &format!("default_type application/json; return 200 '{body}';"))
    }

    /// Hands every call on to `port` over kept TLS connections, and sets a header.
    pub(crate) fn reverse_proxy(authority: &TestAuthority, port: u16) -> Self {
        let pool =
            format!("upstream up {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 100000000; }}");
        let location = "proxy_pass https://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                        proxy_set_header Authorization \"Bearer other\"; proxy_ssl_session_reuse on;";
        Self::start(authority, &pool, location)
    }

    fn start(authority: &TestAuthority, http: &str, location: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        // nginx cannot choose a port itself: take a free one and let it go just before.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (certificate, key) = authority.leaf_pem(&["localhost", "127.0.0.1"]);
        std::fs::write(directory.path().join("leaf.pem"), certificate).unwrap();
        std::fs::write(directory.path().join("leaf.key"), key).unwrap();
        let configuration = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s;\n\
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/f;\n\
             uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n{http}\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {path}/leaf.pem; ssl_certificate_key {path}/leaf.key;\n\
             location / {{ {location} }} }} }}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let mut child = Command::new("nginx")
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start nginx: {error}"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "nginx did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, _directory: directory }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
