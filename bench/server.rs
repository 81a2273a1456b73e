//! The other programs: nginx as upstream and as yardstick, HAProxy, Squid and the bare relay; each one process, in the foreground.

use crate::bed::Bed;
use crate::bodies;
use crate::callgrind::{COPYING, callgrind};
use crate::machine::{self, PROXY, REST, pinned};
use cloakroom_testkit::TestAuthority;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use std::cell::Cell;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const NAMES: &[&str] = &["localhost", "127.0.0.1"];

/// A running program that listens on a port.
pub(crate) struct Server {
    child: Child,
    port: u16,
    /// Where nginx says what it has accepted.
    status: u16,
    asked: Cell<u64>,
    _directory: TempDir,
}

impl Server {
    /// nginx that answers with 1 KiB of JSON; `/v1/items/echo` with what came as `Authorization` in it, `/v1/items/large`
    /// with a file of `large` bytes.
    pub(crate) fn upstream(authority: &TestAuthority, large: u64) -> Self {
        let body = |start: &str, filled: usize| format!("{{\"{start}\":\"{}\"}}", "x".repeat(1024 - filled));
        let file = authority.directory().join("large");
        write_large(&file, large);
        let echo = body("sent\":\"$http_authorization\",\"items", 90);
        let location = format!(
            "default_type application/json; return 200 '{}'; }}\n\
             location = /v1/items/echo {{ default_type application/json; return 200 '{echo}'; }}\n\
             location = /v1/items/large {{ default_type application/json; alias {};",
            body("items", 12),
            file.display()
        );
        Self::start_nginx(pinned(REST, "nginx"), authority, NAMES, "", &location)
    }

    /// nginx that answers with 1 KiB of JSON at each of these addresses of this machine, and at the usual one.
    pub(crate) fn of_many(authority: &TestAuthority, addresses: &[String]) -> Self {
        let names: Vec<&str> = NAMES.iter().copied().chain(addresses.iter().map(String::as_str)).collect();
        let body = format!("{{\"items\":\"{}\"}}", "x".repeat(1024 - 12));
        let location = format!("default_type application/json; return 200 '{body}';");
        Self::start_nginx(pinned(REST, "nginx"), authority, &names, "", &location)
    }

    /// nginx that hands every call on to the upstream over kept TLS connections, and sets a header; counted into a file
    /// where one is given.
    pub(crate) fn nginx(bed: &Bed, counted: Option<&Path>) -> Self {
        let port = bed.upstream.port();
        let pool =
            format!("upstream up {{ server 127.0.0.1:{port}; keepalive 64; keepalive_requests 100000000; }}");
        let location = "proxy_pass https://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
                        proxy_set_header Authorization \"Bearer other\"; proxy_ssl_session_reuse on;";
        Self::start_nginx(under(counted, "nginx"), &bed.authority, NAMES, &pool, location)
    }

    /// HAProxy, the same as nginx; absent where it is not installed.
    pub(crate) fn haproxy(bed: &Bed) -> Option<Self> {
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let (certificate, key) = bed.authority.leaf_pem(NAMES);
        std::fs::write(directory.path().join("both.pem"), certificate + &key).unwrap();
        let configuration = format!(
            "global\n nbthread 1\n maxconn {most}\n\
             defaults\n mode http\n timeout connect 10s\n timeout client 300s\n timeout server 300s\n http-reuse always\n\
             frontend in\n bind 127.0.0.1:{port} ssl crt {both}\n default_backend out\n\
             backend out\n http-request set-header Authorization \"Bearer other\"\n \
             server up 127.0.0.1:{} ssl verify required ca-file {}\n",
            bed.upstream.port(),
            bed.authority.file().display(),
            // Two files for each, and some of its own.
            most = machine::files().saturating_sub(200) / 2,
            both = directory.path().join("both.pem").display(),
        );
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, configuration).unwrap();
        installed("haproxy", "-v")?;
        let mut command = pinned(PROXY, "haproxy");
        command.arg("-db").arg("-f").arg(&file);
        Some(Self::start(command, port, directory))
    }

    /// Squid that intercepts TLS with leaves of its own; absent where it is not installed or may not change users. Its authority is beside it.
    pub(crate) fn squid(bed: &Bed) -> Option<(Self, String)> {
        installed("squid", "-v")?;
        let (directory, port) = (tempfile::tempdir().unwrap(), free_port());
        let path = directory.path().display();
        let (certificate, key) = authority_pem();
        std::fs::write(directory.path().join("ca.pem"), certificate.clone() + &key).unwrap();
        let helper = "/usr/lib/squid/security_file_certgen";
        let mut made = Command::new(helper);
        made.args(["-c", "-s"]).arg(directory.path().join("leaves")).args(["-M", "4MB"]);
        made.stdout(Stdio::null()).status().ok()?;
        let configuration = format!(
            "http_port 127.0.0.1:{port} ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB \
             tls-cert={path}/ca.pem\n\
             sslcrtd_program {helper} -s {path}/leaves -M 4MB\nsslcrtd_children 1 startup=1\n\
             acl first at_step SslBump1\nssl_bump peek first\nssl_bump bump all\n\
             tls_outgoing_options cafile={}\nhttp_access allow all\ncache deny all\nmemory_cache_shared off\naccess_log none\n\
             cache_log {path}/cache.log\npid_filename none\nhosts_file {path}/hosts\ncoredump_dir {path}\n\
             shutdown_lifetime 0 seconds\nmax_filedescriptors 65536\nrequest_header_access Authorization deny all\n\
             request_header_add Authorization \"Bearer other\" all\n",
            bed.authority.file().display()
        );
        // Not by IPv6, where nobody listens.
        std::fs::write(directory.path().join("hosts"), "127.0.0.1 localhost\n").unwrap();
        let file = directory.path().join("squid.conf");
        std::fs::write(&file, configuration).unwrap();
        // Started by root it goes on as this user.
        let owner = Command::new("chown").args(["-R", "proxy:proxy"]).arg(directory.path()).status().ok()?;
        if !owner.success() {
            return None;
        }
        let mut command = pinned(PROXY, "squid");
        // The name keeps its shared memory apart from another Squid's.
        command.args(["-N", "-n", &format!("bench{port}"), "-f"]).arg(&file);
        Some((Self::start(command, port, directory), certificate))
    }

    /// The bare relay of `relay.rs`.
    pub(crate) fn relay(bed: &Bed, counted: Option<&Path>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_leaf(&bed.authority, NAMES, directory.path());
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
        Self { child, port, status: 0, asked: Cell::new(0), _directory: directory }
    }

    fn start_nginx(
        mut command: Command,
        authority: &TestAuthority,
        names: &[&str],
        http: &str,
        location: &str,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        let (port, status) = (free_port(), free_port());
        write_leaf(authority, names, directory.path());
        // The upstream speaks HTTP/1.1 alone, so that everybody's way out is the same.
        let http2 = if http.is_empty() { "" } else { " http2" };
        // Beside the usual one, every name that is an address.
        let addresses = names.iter().filter(|name| name.parse::<IpAddr>().is_ok());
        let listen: String =
            addresses.map(|address| format!("listen {address}:{port} ssl{http2}; ")).collect();
        let configuration = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;\n\
             events {{ worker_connections 20000; }}\n\
             http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 300s;\n\
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/f;\n\
             uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;\n{http}\n\
             server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}\n\
             server {{ {listen} ssl_certificate {path}/leaf.pem; ssl_certificate_key {path}/leaf.key;\n\
             location / {{ {location} }} }} }}\n"
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file);
        let mut server = Self::start(command, port, directory);
        server.status = status;
        server
    }

    fn start(mut command: Command, port: u16, directory: TempDir) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                child.try_wait().unwrap().is_none() && Instant::now() < deadline,
                "{command:?} did not start"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port, status: 0, asked: Cell::new(0), _directory: directory }
    }

    /// How many connections this nginx has accepted, without the one that asks.
    pub(crate) fn accepted(&self) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.status)).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let counts = text.lines().skip_while(|line| !line.starts_with("server accepts")).nth(1);
        let accepted = counts.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
        let asked = self.asked.get() + 1;
        self.asked.set(asked);
        accepted.map_or(0, |accepted: u64| accepted - asked)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The port of it.
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
            command.env(COPYING.0, COPYING.1);
            command.args(rest).arg(program);
            command
        }
    }
}

/// The programs cannot choose a port themselves: one that is free, let go just before.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn installed(program: &str, version: &str) -> Option<()> {
    let mut command = Command::new(program);
    command.arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().ok().map(|_| ())
}

/// JSON lines; beyond the first 100 MiB a hole, which reads as zeros and takes no room.
fn write_large(file: &Path, bytes: u64) {
    let line = format!("{{\"number\":12345678,\"text\":\"{}\"}},\n", "plain words of json ".repeat(5));
    let text = usize::try_from(bytes.min(bodies::BYTES)).unwrap();
    let lines = line.repeat(text.div_ceil(line.len()));
    std::fs::write(file, &lines.as_bytes()[..text]).unwrap();
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(bytes).unwrap();
    // nginx reads it as another user.
    std::fs::set_permissions(file.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
}

/// An authority for a program that signs leaves itself: certificate and key.
fn authority_pem() -> (String, String) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.distinguished_name.push(DnType::CommonName, "bench");
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn write_leaf(authority: &TestAuthority, names: &[&str], directory: &Path) {
    let (certificate, key) = authority.leaf_pem(names);
    std::fs::write(directory.join("leaf.pem"), certificate).unwrap();
    std::fs::write(directory.join("leaf.key"), key).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked first: Squid has shared memory to remove.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
