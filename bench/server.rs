//! The other programs: nginx as upstream and as yardstick, and the bare relay; each one process, in the foreground.

use crate::bed::Bed;
use crate::callgrind::callgrind;
use crate::machine::{PROXY, REST, pinned};
use cloakroom_testkit::TestAuthority;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running program that listens on a port.
pub(crate) struct Server {
    child: Child,
    port: u16,
    _directory: TempDir,
}

impl Server {
    /// nginx that answers every call with 1 KiB of JSON.
    pub(crate) fn upstream(authority: &TestAuthority) -> Self {
        let body = format!("{{\"items\":\"{}\"}}", "x".repeat(1024 - 12));
        let location = format!("default_type application/json; return 200 '{body}';");
        Self::start_nginx(pinned(REST, "nginx"), authority, "", &location)
    }

    /// nginx that hands every call on to the upstream over kept TLS connections, and sets a header; counted into a file
    /// where one is given.
    pub(crate) fn nginx(bed: &Bed, counted: Option<&Path>) -> Self {
        let port = bed.upstream.port();
        let pool =
            format!("upstream up {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 100000000; }}");
        let location = "proxy_pass https://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                        proxy_set_header Authorization \"Bearer other\"; proxy_ssl_session_reuse on;";
        Self::start_nginx(under(counted, "nginx"), &bed.authority, &pool, location)
    }

    /// The bare relay of `relay.rs`.
    pub(crate) fn relay(bed: &Bed, counted: Option<&Path>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_leaf(&bed.authority, directory.path());
        let program = std::env::current_exe().unwrap().with_file_name("relay");
        let mut command = under(counted, &program.to_string_lossy());
        command.args([
            directory.path().join("leaf.pem"),
            directory.path().join("leaf.key"),
            bed.authority.file(),
        ]);
        command.arg(bed.upstream.port().to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start the relay: {error}"));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the relay says its port");
        Self { child, port, _directory: directory }
    }

    fn start_nginx(mut command: Command, authority: &TestAuthority, http: &str, location: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        // nginx cannot choose a port itself: take a free one and let it go just before.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        write_leaf(authority, directory.path());
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
        let mut child = command
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

/// A program on the proxy's core, under callgrind where a file is given.
fn under(counted: Option<&Path>, program: &str) -> Command {
    let words = counted.map(callgrind).unwrap_or_default();
    match words.split_first() {
        None => pinned(PROXY, program),
        Some((valgrind, rest)) => {
            let mut command = pinned(PROXY, valgrind);
            command.args(rest).arg(program);
            command
        }
    }
}

fn write_leaf(authority: &TestAuthority, directory: &Path) {
    let (certificate, key) = authority.leaf_pem(&["localhost", "127.0.0.1"]);
    std::fs::write(directory.join("leaf.pem"), certificate).unwrap();
    std::fs::write(directory.join("leaf.key"), key).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
