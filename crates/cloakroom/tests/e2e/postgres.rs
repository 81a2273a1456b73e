//! A real PostgreSQL server for the tests, which can be stopped and started, and an HTTP service that logs in to it with what it is given.

use crate::openbao::OpenBao;
use crate::support::eventually;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloakroom_testkit::{Received, Reply, shaped};
use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Whom the server runs as: it refuses root.
const NOBODY: u32 = 65534;

/// The server.
pub(crate) struct Postgres {
    directory: TempDir,
    pub(crate) port: u16,
    child: Option<Child>,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let password = directory.path().join("password");
        fs::write(&password, shaped("admin-")).unwrap();
        if is_root() {
            for path in [directory.path(), &password] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let data = directory.path().join("data");
        let made = as_nobody("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-A", "scram-sha-256", "-U", "admin", "-N", "--pwfile"])
            .arg(&password)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { directory, port, child: None };
        server.launch();
        server
    }

    pub(crate) fn launch(&mut self) {
        let (data, sockets) = (self.directory.path().join("data"), self.directory.path());
        let child = as_nobody("postgres")
            .arg("-D")
            .arg(data)
            .arg("-k")
            .arg(sockets)
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .current_dir("/")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually("PostgreSQL is ready", || {
            self.query("admin", &shaped("admin-"), "select 1").ok().map(drop)
        });
    }

    /// Ends it at once, connections and all.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            let _ = child.wait();
        }
    }

    /// The users that the server has besides its own, as `pg_roles` names them.
    pub(crate) fn logins(&self) -> Vec<String> {
        let sql = "select rolname from pg_roles where rolcanlogin and rolname <> 'admin' order by 1";
        let answer = self.query("admin", &shaped("admin-"), sql).unwrap();
        answer.lines().map(str::to_owned).collect()
    }

    fn query(&self, user: &str, password: &str, sql: &str) -> Result<String, String> {
        query(self.port, user, password, sql)
    }

    /// Lets OpenBao make logins here: `database/creds/reader`.
    pub(crate) fn lend_through(&self, server: &OpenBao, lasts: &str, at_most: &str) {
        server.set("sys/mounts/database", json!({ "type": "database" }));
        let connection = json!({
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "reader",
            "connection_url": format!("postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{}/postgres?sslmode=disable", self.port),
            "username": "admin", "password": shaped("admin-"),
        });
        server.set("database/config/here", connection);
        let creation =
            "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'";
        let role = json!({ "db_name": "here", "creation_statements": [creation], "default_ttl": lasts, "max_ttl": at_most });
        server.set("database/roles/reader", role);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn query(port: u16, user: &str, password: &str, sql: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["-XAtq", "-h", "127.0.0.1", "-p", &port.to_string(), "-U", user, "-d", "postgres", "-c", sql])
        .env("PGPASSWORD", password)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_nobody(program: &str) -> Command {
    let found = Path::new("/usr/lib/postgresql/15/bin").join(program);
    let program = if found.exists() { found } else { program.into() };
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command
}

/// A service in front of the database: whoever calls logs in to PostgreSQL with the Basic credentials of the call, and is told who they are,
/// and, as careless services do, with what.
pub(crate) fn service(port: u16) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    move |request| {
        let presented = request.header("authorization").unwrap_or_default().to_owned();
        let decoded = presented.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
        let login = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let (user, password) = login.split_once(':').unwrap_or_default();
        match query(port, user, password, "select current_user") {
            Ok(who) => Reply::ok("text/plain", format!("hello {who}you sent {presented}, which is {login}"))
                .with("x-user", user),
            Err(_) => Reply::status("401 Unauthorized").with_body(format!("not {login}")),
        }
    }
}
