//! `cloakroom init -- COMMAND` as the first process of a process namespace, in a network namespace that has a loopback and nothing else; one
//! Unix socket leads to the broker. Namespaces stand for the container here: they prove function. In a machine of its own the same code runs
//! under `run --vm`.

use crate::support::{BINARY, Furnished, eventually, items};
use cloakroom_testkit::{Issued, hunt, shaped};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// Who runs the command; root runs `init`.
const NOBODY: &str = "65534";

/// A place that everybody can look into, with the broker's socket and certificate.
pub(crate) struct Container {
    pub(crate) place: TempDir,
}

impl Container {
    /// `None` where this is no root: only that one may make such namespaces and start a command as somebody else.
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("LEFT OUT: a second user takes root; this run proves less");
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        std::fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        Some(Self { place })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The settings of a broker that listens here too.
    pub(crate) fn settings(&self) -> String {
        format!("[listen]\nunix = {:?}\n", self.path("broker.sock"))
    }

    /// `init` with these words, first process in namespaces of its own. `beside` is a line that root runs there, beside it.
    pub(crate) fn init(&self, ca: &Path, beside: &str, words: &[&str]) -> Command {
        std::fs::copy(ca, self.path("ca.pem")).unwrap();
        std::fs::set_permissions(self.path("ca.pem"), Permissions::from_mode(0o644)).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--", "sh", "-c"]);
        command.arg(format!("ip link set lo up; {beside} exec \"$@\"")).args(["sh", BINARY, "init"]);
        command.arg("--broker").arg(format!("unix:{}", self.path("broker.sock").display()));
        command.arg("--ca").arg(self.path("ca.pem")).args(words);
        command.current_dir(self.place.path()).env_remove("CLOAKROOM_DATA");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

struct Stage {
    furnished: Furnished,
    issued: Issued,
    container: Container,
}

impl Stage {
    fn new() -> Option<Self> {
        let container = Container::new()?;
        let furnished = Furnished::with(&container.settings());
        let issued = furnished.broker.permit("c", "robot", &items(&furnished.upstream), &[]);
        Some(Self { furnished, issued, container })
    }

    fn command(&self, beside: &str, words: &[&str], script: &str) -> Command {
        let words = [words, &["--", "sh", "-c", script]].concat();
        let mut command = self.container.init(&self.furnished.broker.ca_file(), beside, &words);
        command
            .env("CLOAKROOM_WORKLOAD", "robot")
            .env("CLOAKROOM_KEY", &self.furnished.robot.key)
            .env("TARGET", self.furnished.upstream.authority())
            .env("THE_KEY", &self.issued.text);
        command
    }

    fn end(&self, child: Child) -> Output {
        let output = child.wait_with_output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            assert!(hunt(bytes).is_empty(), "{output:?}");
            self.furnished.broker.log().lock().unwrap().push(bytes.clone());
        }
        output
    }

    fn run(&self, beside: &str, words: &[&str], script: &str) -> Output {
        self.end(self.command(beside, words, script).spawn().unwrap())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn t93_the_command_reaches_the_broker_through_init_and_a_second_user_of_its_container_does_not() {
    let Some(stage) = Stage::new() else { return };
    // Root, in the same namespaces, as soon as something listens (7: nothing does): first of all with the command's own key.
    let beside = r#"(until test -e asked; do sleep 0.05; done
        code=7; while test $code = 7; do
        curl -sS -m 20 -H "Authorization: Bearer $THE_KEY" -H "Cloakroom-Workload: $CLOAKROOM_KEY" \
            http://127.0.0.2:8480/to/$TARGET/v1/items/8 > other 2> refused && code=0 || code=$?; done; echo $code > done) &"#;
    let script = r#"
        id -u
        curl -sS -H "Authorization: Bearer $THE_KEY" https://$TARGET/v1/items/7
        echo
        curl -sS $CLOAKROOM_URL/.cloakroom/ -H "Cloakroom-Workload: $CLOAKROOM_KEY" | head -1
        curl -sS -m 5 --noproxy '*' https://$TARGET/v1/items/9 || echo closed
        env | grep -c -e ^CLOAKROOM_BROKER= -e ^CLOAKROOM_CA=
        read line"#;
    let mut child = stage.command(beside, &["--user", NOBODY], script).spawn().unwrap();
    // The second user tries while the first one is there.
    std::fs::write(stage.container.path("asked"), "").unwrap();
    eventually("the second user is done", || stage.container.path("done").exists().then_some(()));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"end\n").unwrap();
    let output = stage.end(child);
    let said = text(&output.stdout);
    assert!(said.starts_with(&format!("{NOBODY}\n")) && said.contains(&stage.issued.text), "{output:?}");
    assert!(said.contains("You are workload robot") && said.ends_with("closed\n0\n"), "{output:?}");
    let read = |name: &str| std::fs::read_to_string(stage.container.path(name)).unwrap();
    assert_eq!(read("other"), "", "{}", read("refused"));
    assert_ne!(read("done").trim(), "0");
    assert!(text(&output.stderr).contains("a connection was closed that is not of uid 65534"), "{output:?}");
    let requests = stage.furnished.upstream.requests();
    assert_eq!(requests.len(), 1, "one call went out: the command's");
    let expected = format!("Bearer {}", shaped("sk_live_"));
    assert_eq!(requests[0].header("authorization"), Some(expected.as_str()));
}

#[test]
fn init_ends_as_its_command_ends_passes_signals_on_and_reaps_what_is_left_behind() {
    let Some(stage) = Stage::new() else { return };
    assert_eq!(stage.run("", &[], "exit 7").status.code(), Some(7));
    assert_eq!(stage.run("", &[], "kill -9 $$").status.code(), Some(137));
    let missing = stage.container.init(&stage.furnished.broker.ca_file(), "", &["--", "no-such-command"]);
    assert_eq!({ missing }.output().unwrap().status.code(), Some(127));
    // A grandchild whose parent is gone becomes a child of the first process, which waits for it.
    let orphans = r#"
        test $PPID = 1 || echo "init is $PPID"
        for each in 1 2 3; do (sh -c 'echo $$ >> orphans; exec true' &); done
        until test "$(wc -l < orphans 2>/dev/null)" = 3; do sleep 0.05; done
        for pid in $(cat orphans); do while test -d /proc/$pid; do sleep 0.05; done; done
        echo reaped"#;
    let output = stage.run("", &[], orphans);
    assert_eq!(text(&output.stdout), "reaped\n", "{output:?}");
    let waits =
        "trap 'echo tidied; exit 3' TERM; echo $PPID > started; while :; do read line || sleep 0.05; done";
    let child = stage.command("", &[], waits).spawn().unwrap();
    let started = stage.container.path("started");
    eventually("the command starts", || started.exists().then_some(()));
    // As whoever stops a container does: the first process is told, from outside.
    let first = eventually("the first process", || child_of(child.id()));
    let pid = rustix::process::Pid::from_raw(first).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = stage.end(child);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "tidied\n".into()), "{output:?}");
}

#[test]
fn the_command_has_no_further_groups_and_no_descriptor_that_init_was_handed() {
    let Some(stage) = Stage::new() else { return };
    let beside = r#"exec 9</; test -d /proc/self/fd/9/etc || exit 9; exec setpriv --groups 0,27,42 "$@";"#;
    let script = "id -G; test -d /proc/self/fd/9/etc && echo OPEN; echo done";
    // Its user is the one that init runs as already.
    let output = stage.run(beside, &["--user", "0"], script);
    assert_eq!(text(&output.stdout), "0\ndone\n", "{output:?}");
    // What cannot be given up is not handed on either.
    let stuck = r#"exec setpriv --groups 0,27 --bounding-set -setgid --inh-caps -setgid "$@";"#;
    let output = stage.run(stuck, &["--user", "0"], script);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(126), String::new()), "{output:?}");
}

fn child_of(pid: u32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

#[test]
fn what_init_is_not_told_or_told_wrongly_stops_it_before_the_command() {
    let refused = |words: &[&str], variables: &[(&str, &str)], expected: &str| {
        let mut command = Command::new(BINARY);
        command.arg("init").args(words).args(["--", "sh", "-c", "echo STARTED"]);
        command.env_remove("CLOAKROOM_DATA").envs(variables.iter().copied());
        let output = command.output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected), "{words:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    };
    let place = tempfile::tempdir().unwrap();
    let ca = place.path().join("ca.pem").display().to_string();
    std::fs::write(&ca, "").unwrap();
    let broker = ["--broker", "http://127.0.0.1:1"];
    refused(&[], &[], "where the broker is is not said");
    refused(&broker, &[], "whom the command shall trust is not said");
    refused(&["--broker", "https://127.0.0.1:1", "--ca", &ca], &[], "write http://ADDRESS:PORT");
    let all = [&broker[..], &["--ca", &ca]].concat();
    refused(&all, &[("CLOAKROOM_KEY", "cwk_x")], "do not fit together");
    refused(&all, &[("CLOAKROOM_KEY", "x@evil/"), ("CLOAKROOM_WORKLOAD", "a")], "do not fit together");
    refused(&[&all[..], &["--user", "root"]].concat(), &[], "a user is a number");
    let role = ("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/x");
    refused(&all, &[role], "there is no placeholder for AWS");
    let keys = [role, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "ASIA2"), ("AWS_SECRET_ACCESS_KEY", "x")];
    refused(&all, &keys, "AWS_SECRET_ACCESS_KEY is set beside AWS_ROLE_ARN");
}

#[test]
fn the_first_process_of_a_namespace_that_sees_anothers_proc_takes_no_machine_for_its_own() {
    if Container::new().is_none() {
        return;
    }
    let mounted = || {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        mounts.lines().filter(|line| line.starts_with("proc /proc ")).count()
    };
    let before = mounted();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--", BINARY, "init", "--network", "lo,10.9.9.9/32"]);
    command.args(["--broker", "http://127.0.0.1:1", "--ca", "/dev/null", "--", "echo", "STARTED"]);
    let output = command.env_remove("CLOAKROOM_DATA").output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("first process of a virtual"), "{output:?}");
    assert!(output.stdout.is_empty() && mounted() == before, "{output:?}");
}
