//! What agents use all day, unmodified, inside `cloakroom run`: git, pip, npm, the SDKs of Python and Node, and a program that talks to a terminal.

use super::text;
use crate::clients::{installed, python_files, script, service};
use crate::support::{BINARY, policy};
use base64::{Engine, engine::general_purpose::STANDARD};
use cloakroom_testkit::{
    Broker, BrokerBuilder, GitServer, Received, Reply, TestAuthority, TlsUpstream, hunt, shaped,
};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A broker, and the authority of its destinations. One of them is called by name, which may be of IPv6 too.
struct House {
    authority: TestAuthority,
    broker: Broker,
}

fn house() -> House {
    let authority = TestAuthority::new();
    let builder = BrokerBuilder::new(BINARY, &authority).argument("--allow-address").argument("::1/128");
    House { broker: builder.start(), authority }
}

/// A broker, a workload `agent` whose placeholder is kept in `THE_KEY`, and its project.
struct Bench {
    setup: House,
    project: TempDir,
}

impl Bench {
    fn new(setup: House, to: &str, kind: &str, secret: &str, permits: &str) -> Self {
        setup.broker.deposit("c", kind, &[to], secret);
        setup.broker.cli(&["workload", "add", "agent", "--keep"]);
        setup.broker.permit("c", "agent", permits, &["--variable", "THE_KEY"]);
        Self { setup, project: tempfile::tempdir().unwrap() }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.env("CLOAKROOM_DATA", self.setup.broker.data()).current_dir(self.project.path());
        // The clients lie below this repository, wherever that is.
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        command.args(["run", "--workload", "agent", "--pass", "TARGET", "--pass", "DESTINATION", "--read"]);
        command.arg(repository);
        if let Some(clients) = installed() {
            command.arg("--read").arg(python_files(&clients));
        }
        command.arg("--").args(words);
        command.stdin(Stdio::null());
        command
    }

    /// A shell script that has to succeed, on this destination; what it said.
    fn run(&self, to: &TlsUpstream, lines: &str) -> String {
        self.run_at(&to.authority(), lines)
    }

    fn run_at(&self, to: &str, lines: &str) -> String {
        let mut command = self.command(&["sh", "-ec", lines]);
        command.env("TARGET", to).env("DESTINATION", format!("https://{to}"));
        let output = command.output().unwrap();
        self.heard(&output);
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    }

    fn heard(&self, output: &Output) {
        for bytes in [&output.stdout, &output.stderr] {
            assert!(hunt(bytes).is_empty(), "{output:?}");
            self.setup.broker.log().lock().unwrap().push(bytes.clone());
        }
    }
}

#[test]
fn git_clones_and_pushes_in_run() {
    let setup = house();
    let server = GitServer::start(&setup.authority, "robot", &shaped("ghp_"));
    let permits = format!(
        "version = 1\n[[permit]]\nname = \"the demo repository\"\nto = \"{}\"\n\
         call = [\"GET /demo.git/info/refs\", \"POST /demo.git/git-upload-pack\", \"POST /demo.git/git-receive-pack\"]\n\
         place = \"header authorization basic-password\"\nquery = {{ allow = [\"service\"] }}\n",
        server.upstream().url()
    );
    let bench = Bench::new(setup, &server.upstream().url(), "basic", &shaped("ghp_"), &permits);
    bench.run(
        server.upstream(),
        r#"export GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
           git clone --quiet "https://robot:$THE_KEY@$TARGET/demo.git" work; cd work
           echo more > more; git add more
           git -c user.name=Test -c user.email=t@example.com commit --quiet -m "from within"
           git push --quiet origin HEAD:main"#,
    );
    assert!(server.subjects().starts_with("from within"), "{}", server.subjects());
    assert!(bench.project.path().join("work/more").is_file());
}

/// A registry that shows its files to whoever has the credential.
fn registry(value: String, files: Vec<(&'static str, &'static str, Vec<u8>)>) -> impl Fn(&Received) -> Reply {
    move |request| {
        if request.header("authorization") != Some(value.as_str()) {
            return Reply::status("401 Unauthorized")
                .with("www-authenticate", "Basic realm=\"packages\"")
                .with_body("no");
        }
        match files.iter().find(|(path, ..)| *path == request.target) {
            Some((_, kind, content)) => Reply::ok(kind, content.clone()),
            None => Reply::status("404 Not Found").with_body("{}"),
        }
    }
}

/// A package for pip, as pip wants it.
fn wheel(place: &Path) -> Vec<u8> {
    let make = r#"
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr("demo/__init__.py", "said = 'hello from the package'\n")
    about = "demo-1.0.dist-info/"
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(about + "RECORD", "".join(f"{name},,\n" for name in wheel.namelist()) + about + "RECORD,,\n")
"#;
    let file = place.join("demo.whl");
    assert!(Command::new("python3").args(["-c", make]).arg(&file).status().unwrap().success());
    std::fs::read(file).unwrap()
}

#[test]
fn pip_installs_from_a_permitted_index_in_run_and_from_no_other() {
    let Some(clients) = installed() else { return };
    let setup = house();
    let place = tempfile::tempdir().unwrap();
    let basic = format!("Basic {}", STANDARD.encode(format!("robot:{}", shaped("ghp_"))));
    let page =
        b"<!DOCTYPE html><a href=\"/files/demo-1.0-py3-none-any.whl\">demo-1.0-py3-none-any.whl</a>".to_vec();
    let files = vec![
        ("/simple/demo/", "text/html", page.clone()),
        ("/simple/other/", "text/html", page),
        ("/files/demo-1.0-py3-none-any.whl", "application/zip", wheel(place.path())),
    ];
    let index = TlsUpstream::start(&setup.authority, registry(basic, files));
    let permits = format!(
        "version = 1\n[[permit]]\nname = \"one package\"\nto = \"{}\"\ncall = [\"GET /simple/demo/\", \"GET /files/{{file}}\"]\n\
         place = \"header authorization basic-password\"\n",
        index.url()
    );
    let bench = Bench::new(setup, &index.url(), "basic", &shaped("ghp_"), &permits);
    let pip = format!(
        "{}/venv/bin/python -m pip --isolated --disable-pip-version-check --no-input install --quiet --no-cache-dir --retries 0 --cert \"$PIP_CERT\" \
         --proxy \"$HTTPS_PROXY\" --index-url \"https://robot:$THE_KEY@$TARGET/simple/\" --target site",
        clients.canonicalize().unwrap().display()
    );
    let said = bench.run(
        &index,
        &format!("{pip} demo; PYTHONPATH=site python3 -c 'import demo; print(demo.said)'\n{pip} other 2>&1 || echo refused"),
    );
    assert!(said.starts_with("hello from the package\n") && said.ends_with("refused\n"), "{said}");
    assert!(index.requests().iter().all(|request| request.target != "/simple/other/"));
}

#[test]
fn npm_installs_from_a_permitted_registry_in_run() {
    if installed().is_none() {
        return;
    }
    let setup = house();
    let place = tempfile::tempdir().unwrap();
    let package = place.path().join("package");
    std::fs::create_dir(&package).unwrap();
    std::fs::write(
        package.join("package.json"),
        r#"{"name": "demo", "version": "1.0.0", "main": "index.js"}"#,
    )
    .unwrap();
    std::fs::write(package.join("index.js"), "module.exports = 'hello from the package'").unwrap();
    let packed =
        Command::new("tar").args(["czf", "-", "-C"]).arg(place.path()).arg("package").output().unwrap();
    assert!(packed.status.success());
    let (bearer, tarball) = (format!("Bearer {}", shaped("npm_")), packed.stdout);
    let registry = TlsUpstream::start(&setup.authority, move |request| {
        if request.header("authorization") != Some(bearer.as_str()) {
            return Reply::status("401 Unauthorized").with_body("{}");
        }
        let at = request.header("host").unwrap_or_default();
        let dist = json!({ "tarball": format!("https://{at}/demo/-/demo-1.0.0.tgz") });
        let version = json!({ "name": "demo", "version": "1.0.0", "dist": dist });
        let about =
            json!({ "name": "demo", "dist-tags": { "latest": "1.0.0" }, "versions": { "1.0.0": version } });
        match request.target.as_str() {
            "/demo" => Reply::ok("application/json", about.to_string()),
            "/demo/-/demo-1.0.0.tgz" => Reply::ok("application/octet-stream", tarball.clone()),
            _ => Reply::status("404 Not Found").with_body("{}"),
        }
    });
    // By name: through a proxy, npm takes no certificate for an address.
    let to = format!("localhost:{}", registry.port());
    let permits = format!(
        "version = 1\n[[permit]]\nname = \"one package\"\nto = \"https://{to}\"\ncall = [\"GET /demo\", \"GET /demo/-/{{file}}\"]\n\
         place = \"header authorization bearer\"\n"
    );
    let bench = Bench::new(setup, &format!("https://{to}"), "bearer", &shaped("npm_"), &permits);
    let said = bench.run_at(
        &to,
        r#"printf '//%s/:_authToken=${THE_KEY}\nregistry=https://%s/\n' "$TARGET" "$TARGET" > .npmrc
           echo '{"name": "project", "version": "1.0.0"}' > package.json
           npm install --no-audit --no-fund --no-update-notifier --fetch-retries=0 --loglevel=error demo > log 2>&1 || { cat log; exit 1; }
           node -e "console.log(require('demo'))"
           grep -c "$THE_KEY" package-lock.json || true"#,
    );
    assert_eq!(said, "hello from the package\n0\n");
}

#[test]
fn the_sdks_of_python_and_node_work_in_run() {
    let Some(clients) = installed() else { return };
    let setup = house();
    let upstream = TlsUpstream::start(&setup.authority, service);
    let permits = [
        policy(&upstream.url(), "POST /v1/chat/completions", "header authorization bearer", ""),
        permit("POST /v1/customers", &upstream),
        permit("GET /v1/whoami", &upstream),
        permit("GET /user", &upstream),
    ];
    let bench = Bench::new(setup, &upstream.url(), "bearer", &shaped("sk-"), &permits.concat());
    let clients = clients.canonicalize().unwrap();
    let python = clients.join("venv/bin/python");
    let scripts = |names: &[&str]| names.iter().map(|name| script(name)).collect::<Vec<PathBuf>>();
    for path in scripts(&["use_openai.py", "use_stripe.py", "use_requests.py"]) {
        let said = bench.run(
            &upstream,
            &format!("PLACEHOLDER=$THE_KEY exec {} {} proxy", python.display(), path.display()),
        );
        assert!(!said.is_empty());
    }
    // Node looks for packages where its program lies.
    for path in scripts(&["use_fetch.mjs", "use_octokit.mjs", "common.mjs"]) {
        std::fs::copy(&path, bench.project.path().join(path.file_name().unwrap())).unwrap();
    }
    std::os::unix::fs::symlink(clients.join("node/node_modules"), bench.project.path().join("node_modules"))
        .unwrap();
    for name in ["use_fetch.mjs", "use_octokit.mjs"] {
        let said = bench.run(&upstream, &format!("PLACEHOLDER=$THE_KEY exec node {name} proxy"));
        assert!(!said.is_empty());
    }
    assert!(upstream.requests().len() >= 5);
}

#[test]
fn java_trusts_the_broker_and_finds_its_proxy_in_run() {
    // Java takes no proxy to `localhost` and to addresses of the loopback, whatever it is told.
    const HOST: &str = "api.localhost";
    let setup = house();
    let config = setup.authority.server_config(&[HOST], &[b"http/1.1"]);
    let upstream =
        TlsUpstream::start_configured(config, |request, out| service(request).write_to(out, false));
    let to = format!("https://{HOST}:{}", upstream.port());
    let permits = policy(&to, "GET /v1/whoami", "header authorization bearer", "");
    let bench = Bench::new(setup, &to, "bearer", &shaped("sk-"), &permits);
    std::fs::copy(script("UseHttpClient.java"), bench.project.path().join("UseHttpClient.java")).unwrap();
    let said = bench.run_at(&format!("{HOST}:{}", upstream.port()), "exec java UseHttpClient.java");
    assert_eq!(said, "200\n403 call-not-permitted\n");
    assert_eq!(upstream.requests().len(), 1);
}

/// One more permit of the same policy.
fn permit(call: &str, upstream: &TlsUpstream) -> String {
    format!(
        "[[permit]]\nname = \"{call}\"\nto = \"{}\"\ncall = [\"{call}\"]\nplace = \"header authorization bearer\"\n",
        upstream.url()
    )
}

#[test]
fn a_program_that_talks_to_a_terminal_has_it_to_itself_in_run() {
    let setup = house();
    let upstream = TlsUpstream::start(&setup.authority, service);
    let permits = policy(&upstream.url(), "GET /v1/whoami", "header authorization bearer", "");
    let bench = Bench::new(setup, &upstream.url(), "bearer", &shaped("sk-"), &permits);
    let lines = "stty size; printf 'name? '; read name; echo \"hello $name\"
        trap 'echo interrupted; exit 5' INT; echo waiting; while :; do sleep 0.05; done";
    let run = bench.command(&["sh", "-c", lines]);
    let mut terminal = Command::new("python3");
    terminal.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/run/terminal.py"));
    terminal
        .arg(r#"[["name? ", "ada\n"], ["waiting", "\u0003"]]"#)
        .arg(run.get_program())
        .args(run.get_args());
    terminal.env("CLOAKROOM_DATA", bench.setup.broker.data()).current_dir(bench.project.path());
    let output = terminal.stdin(Stdio::null()).output().unwrap();
    bench.heard(&output);
    let said = text(&output.stdout);
    for expected in ["33 99\r\n", "hello ada\r\n", "interrupted\r\n"] {
        assert!(said.contains(expected), "{expected}: {output:?}");
    }
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}
