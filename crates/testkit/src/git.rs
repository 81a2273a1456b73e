//! A real `git http-backend` behind the TLS upstream.

use crate::message::Received;
use crate::{Reply, TestAuthority, TlsUpstream};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// One bare repository, `/demo.git`, that demands `Basic USER:PASSWORD` for everything.
pub struct GitServer {
    root: TempDir,
    upstream: TlsUpstream,
}

impl GitServer {
    /// Starts it with one commit on `main`.
    pub fn start(authority: &TestAuthority, user: &str, password: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let bare = root.path().join("demo.git");
        git(root.path(), &["init", "--quiet", "--bare", "--initial-branch=main", "demo.git"]);
        git(&bare, &["config", "http.receivepack", "true"]);
        let work = root.path().join("seed");
        git(root.path(), &["clone", "--quiet", "demo.git", "seed"]);
        std::fs::write(work.join("README"), "a first file\n").unwrap();
        git(&work, &["add", "README"]);
        git(&work, &["commit", "--quiet", "-m", "begin"]);
        git(&work, &["push", "--quiet", "origin", "HEAD:main"]);
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let projects = root.path().to_path_buf();
        let backend = backend();
        let upstream = TlsUpstream::start(authority, move |request| {
            if request.header("authorization") != Some(&expected) {
                return Reply::status("401 Unauthorized").with("www-authenticate", "Basic realm=\"git\"");
            }
            cgi(&backend, &projects, request)
        });
        Self { root, upstream }
    }

    /// The upstream.
    pub fn upstream(&self) -> &TlsUpstream {
        &self.upstream
    }

    /// The subjects of the commits on `main`, newest first.
    pub fn subjects(&self) -> String {
        git(&self.root.path().join("demo.git"), &["log", "--format=%s", "main"])
    }
}

/// Runs git with an identity and without anybody's settings.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn backend() -> PathBuf {
    let output = Command::new("git").arg("--exec-path").output().unwrap();
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("git-http-backend")
}

/// Runs the backend as RFC 3875 says.
fn cgi(backend: &Path, projects: &Path, request: &Received) -> Reply {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut child = Command::new(backend)
        .env("GIT_PROJECT_ROOT", projects)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REMOTE_USER", "test")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("GIT_PROTOCOL", request.header("git-protocol").unwrap_or_default())
        .env("HTTP_CONTENT_ENCODING", request.header("content-encoding").unwrap_or_default())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &request.method)
        .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let body = request.body.clone();
    let feeding = std::thread::spawn(move || {
        // The backend may end before it has read everything.
        let _ = stdin.write_all(&body);
    });
    let output = child.wait_with_output().unwrap();
    feeding.join().unwrap();
    let end = memchr::memmem::find(&output.stdout, b"\r\n\r\n").expect("git http-backend gave no head");
    let head = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
    let fields: Vec<(&str, &str)> = head.lines().filter_map(|line| line.split_once(": ")).collect();
    let status = fields.iter().find(|(name, _)| *name == "Status").map_or("200 OK", |(_, value)| *value);
    let mut reply = Reply::status(status).with_body(&output.stdout[end + 4..]);
    for (name, value) in fields.iter().filter(|(name, _)| *name != "Status") {
        reply = reply.with(name, value);
    }
    reply
}
