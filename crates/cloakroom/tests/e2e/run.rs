//! `cloakroom run`: a robot that has the whole command to itself tries to get out, and does its permitted work.
//!
//! Namespaces on one kernel: this proves function, not hardware isolation.

mod sockets;
mod tools;
mod vm;

use crate::support::{BINARY, eventually, items, setup};
use cloakroom_testkit::{CANARY, Issued, Setup, TlsUpstream, echo, hunt, shaped};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

struct Stage {
    setup: Setup,
    upstream: TlsUpstream,
    issued: Issued,
    project: TempDir,
}

impl Stage {
    /// A broker, an upstream, and a workload `agent` whose key and placeholder are kept.
    fn new() -> Self {
        let setup = setup();
        let upstream = TlsUpstream::start(&setup.authority, echo);
        setup.broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        setup.broker.cli(&["workload", "add", "agent", "--keep"]);
        let issued = setup.broker.permit("c", "agent", &items(&upstream), &["--variable", "THE_KEY"]);
        Self { setup, upstream, issued, project: tempfile::tempdir().unwrap() }
    }

    fn command(&self, options: &[&str], script: &str) -> Command {
        let mut command = Command::new(BINARY);
        command
            .env("CLOAKROOM_DATA", self.setup.broker.data())
            .env("OPENAI_API_KEY", CANARY)
            .env("SECRET", CANARY);
        command.env("TARGET", self.upstream.authority()).current_dir(self.project.path());
        command.args(["run", "--workload", "agent", "--pass", "TARGET"]).args(options);
        command
            .args(["--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run_with(&self, options: &[&str], script: &str, input: &str) -> Output {
        let mut child = self.command(options, script).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        self.end(child)
    }

    fn end(&self, child: Child) -> Output {
        let output = child.wait_with_output().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            assert!(hunt(bytes).is_empty(), "{output:?}");
            self.setup.broker.log().lock().unwrap().push(bytes.clone());
        }
        output
    }

    fn run(&self, script: &str) -> Output {
        self.run_with(&[], script, "")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_permitted_call_works_with_the_usual_variables_and_the_reply_is_scrubbed() {
    let stage = Stage::new();
    let output = stage.run("curl -sS -H \"Authorization: Bearer $THE_KEY\" https://$TARGET/v1/items/7");
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains(&stage.issued.text), "{output:?}");
    let requests = stage.upstream.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), Some(format!("Bearer {}", shaped("sk_live_")).as_str()));
}

#[test]
fn base_urls_and_the_brokers_own_paths_are_reached_with_the_key_of_the_environment() {
    let stage = Stage::new();
    let base = "curl -sS $CLOAKROOM_URL/to/$TARGET/v1/items/7 -H \"Authorization: Bearer $THE_KEY\"";
    let output = stage.run(&format!("{base} -H \"Cloakroom-Workload: $CLOAKROOM_KEY\""));
    assert!(text(&output.stdout).contains(&stage.issued.text), "{output:?}");
    assert_eq!(stage.upstream.requests().len(), 1);
    let without = stage.run(base);
    assert!(text(&without.stdout).contains("unknown-workload"), "{without:?}");
    let asked = stage.run(
        "curl -sS $CLOAKROOM_URL/.cloakroom/requests -H \"Cloakroom-Workload: $CLOAKROOM_KEY\" -H 'Content-Type: application/json' -d '{}'",
    );
    assert!(text(&asked.stdout).contains("malformed-call"), "{asked:?}");
    assert_eq!(stage.upstream.requests().len(), 1);
}

#[test]
fn a_call_that_is_not_permitted_is_refused_with_the_brokers_own_words() {
    let stage = Stage::new();
    let output =
        stage.run("curl -sS -X DELETE -H \"Authorization: Bearer $THE_KEY\" https://$TARGET/v1/items/7");
    assert!(text(&output.stdout).contains("call-not-permitted"), "{output:?}");
    assert!(stage.upstream.requests().is_empty());
}

#[test]
fn t112_the_command_reaches_nothing_but_the_broker() {
    let stage = Stage::new();
    let upstream = format!("127.0.0.1:{}", stage.upstream.authority().rsplit_once(':').unwrap().1);
    let (listen, console) = (stage.setup.broker.listen(), stage.setup.broker.console().to_owned());
    let sockets = stage.setup.broker.data().join("admin.sock");
    let script = format!(
        r#"
        try() {{ if curl -ksS -m 5 --noproxy '*' "$@" >/dev/null 2>&1; then echo "REACHED $*"; else echo "closed $1"; fi; }}
        try https://{upstream}/
        try http://{listen}/
        try http://{console}/
        try --unix-socket {} http://localhost/api/v1/health
        try http://169.254.169.254/
        try 'http://[::1]:{}/'
        try 'http://[2001:db8::1]/'
        ping -c 1 -W 2 127.0.0.2 >/dev/null 2>&1 || true
        echo interfaces: $(cut -d: -f1 /proc/net/dev | tail -n +3)
        "#,
        sockets.display(),
        listen.port(),
    );
    let output = stage.run(&script);
    let stdout = text(&output.stdout);
    assert!(!stdout.contains("REACHED"), "{output:?}");
    assert_eq!(stdout.matches("closed").count(), 7, "{output:?}");
    assert!(stdout.contains("interfaces: lo\n"), "{output:?}");
    assert!(stage.upstream.requests().is_empty());
}

#[test]
fn t111_the_command_sees_neither_the_brokers_files_nor_its_processes_nor_the_callers_secrets() {
    let stage = Stage::new();
    let data = stage.setup.broker.data().display().to_string();
    let script = format!(
        r#"
        ls {data} 2>/dev/null | sed 's/^/DATA /'
        ls -A "$HOME" 2>/dev/null | sed 's/^/HOME /'
        for process in /proc/[0-9]*; do tr '\0' ' ' < $process/cmdline; echo; done | grep serve | grep -v grep | sed 's/^/PROCESS /'
        env | grep -e '^OPENAI_API_KEY=' -e '^SECRET=' | sed 's/^/ENVIRONMENT /'
        for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /etc/passwd /usr/bin/env; do
            (: >> $file) 2>/dev/null && echo "WROTE $file"
        done
        mount -t tmpfs none /mnt 2>/dev/null && echo MOUNTED
        kill -0 {} 2>/dev/null && echo SIGNALLED
        echo done
        "#,
        stage.setup.broker.pid(),
    );
    let output = stage.run(&script);
    assert_eq!(text(&output.stdout), "done\n", "{output:?}");
}

#[test]
fn t111_a_descriptor_that_the_caller_left_open_is_not_handed_on() {
    let stage = Stage::new();
    let script = "for each in /proc/self/fd/*; do test ${each##*/} -gt 2 && test -d $each/etc && echo OPEN $each; done; echo done";
    let inner = stage.command(&[], script);
    let mut outer = Command::new("sh");
    outer.args(["-c", "exec 8</ 9</; test -d /proc/self/fd/9/etc || exit 9; exec \"$@\"", "sh"]);
    outer.arg(inner.get_program()).args(inner.get_args()).current_dir(stage.project.path());
    outer.env("CLOAKROOM_DATA", stage.setup.broker.data());
    let output = outer.output().unwrap();
    assert_eq!(text(&output.stdout), "done\n", "{output:?}");
}

#[test]
fn sockets_of_other_families_rings_and_the_callers_terminal_are_closed() {
    let stage = Stage::new();
    let script = r#"
exec python3 - <<'PYTHON'
import ctypes, fcntl, socket, os
for family in (40, 17, 38, 29, 31):                 # vsock, packet, alg, can, bluetooth
    try:
        socket.socket(family, socket.SOCK_STREAM); print("OPENED family", family)
    except OSError as error:
        assert error.errno == 97, error
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
    socket.socket(family, socket.SOCK_STREAM).close()
libc = ctypes.CDLL(None, use_errno=True)
if os.uname().machine == "x86_64":
    for number, name in ((425, "io_uring_setup"), (0x40000000 | 41, "x32 socket"), (250, "keyctl")):
        if libc.syscall(number, 40, 1, 0) >= 0: print("CALLED", name)
try:
    fcntl.ioctl(0, 0x5412, b"x"); print("TYPED")
except OSError as error:
    assert error.errno == 1, error
print("done")
PYTHON
"#;
    let output = stage.run(script);
    assert_eq!(text(&output.stdout), "done\n", "{output:?}");
}

#[test]
fn t111_whatever_the_command_may_trace_is_under_the_same_filters() {
    let stage = Stage::new();
    // The first process of the namespace has the command's user too.
    let script = "for one in /proc/[0-9]*; do echo $(basename $one) $(grep Seccomp: $one/status); done";
    let said = text(&stage.run(script).stdout);
    let all: Vec<&str> = said.lines().collect();
    assert!(all.len() >= 3 && all[0].starts_with("1 "), "{said}");
    assert!(all.iter().all(|one| one.ends_with(" Seccomp: 2")), "{said}");
}

#[test]
fn without_the_broker_nothing_gets_through() {
    let mut stage = Stage::new();
    let script = "echo ready; read line; curl -sS -m 5 -H \"Authorization: Bearer $THE_KEY\" https://$TARGET/v1/items/7 || echo refused";
    let mut child = stage.command(&[], script).spawn().unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    stage.setup.broker.kill();
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let output = stage.end(child);
    assert_eq!(text(&output.stdout), "refused\n", "{output:?}");
    assert!(stage.upstream.requests().is_empty());
    stage.setup.broker.launch();
}

#[test]
fn exit_codes_signals_and_standard_streams_are_the_commands_own() {
    let stage = Stage::new();
    assert_eq!(stage.run("exit 7").status.code(), Some(7));
    assert_eq!(stage.run("kill -9 $$").status.code(), Some(137));
    let output = stage.run_with(&[], "cat; echo talk >&2", "through and through");
    assert_eq!(text(&output.stdout), "through and through");
    assert!(text(&output.stderr).ends_with("talk\n"), "{output:?}");
    let missing = Command::new(BINARY)
        .env("CLOAKROOM_DATA", stage.setup.broker.data())
        .current_dir(stage.project.path())
        .args(["run", "--workload", "agent", "--", "no-such-command"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(127), "{missing:?}");
}

#[test]
fn a_signal_to_the_outside_reaches_the_command_which_may_end_in_order() {
    let stage = Stage::new();
    let script =
        "trap 'echo tidied; exit 3' TERM; echo ready > started; while :; do read line || sleep 0.05; done";
    let child = stage.command(&[], script).spawn().unwrap();
    eventually("the command starts", || stage.project.path().join("started").exists().then_some(()));
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = stage.end(child);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "tidied\n".into()), "{output:?}");
}

#[test]
fn when_the_outside_is_killed_the_command_ends_too() {
    let stage = Stage::new();
    let temporary = tempfile::tempdir().unwrap();
    let mut command = stage.command(&[], "echo $$ > started; exec sleep 1000");
    let mut child = command.env("TMPDIR", temporary.path()).spawn().unwrap();
    let pid_file = stage.project.path().join("started");
    eventually("the command starts", || {
        std::fs::read_to_string(&pid_file).ok().filter(|text| text.ends_with('\n'))
    });
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    let project = stage.project.path().canonicalize().unwrap();
    eventually("the command ends", || (!anyone_in(&project)).then_some(()));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Whether a process has its working directory here.
fn anyone_in(directory: &std::path::Path) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut directories = processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok());
    directories.any(|cwd| cwd == directory)
}

#[test]
fn the_present_directory_is_writable_and_others_only_when_asked_for() {
    let stage = Stage::new();
    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("note"), "hello").unwrap();
    let path = other.path().display().to_string();
    let script = format!(
        "echo mine > mine; cat {path}/note 2>/dev/null; (echo x > {path}/new) 2>/dev/null && echo wrote"
    );
    assert_eq!(text(&stage.run(&script).stdout), "");
    assert_eq!(std::fs::read_to_string(stage.project.path().join("mine")).unwrap(), "mine\n");
    assert_eq!(text(&stage.run_with(&["--read", &path], &script, "").stdout), "hello");
    assert_eq!(text(&stage.run_with(&["--write", &path], &script, "").stdout), "hellowrote\n");
}

#[test]
fn what_would_show_the_hidden_is_refused_with_a_remedy() {
    let stage = Stage::new();
    let data: PathBuf = stage.setup.broker.data().into();
    let refused = |cwd: &std::path::Path, options: &[&str], expected: &str| {
        let mut command = stage.command(options, "echo STARTED");
        let output = command.current_dir(cwd).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(expected) && output.stdout.is_empty(), "{output:?}");
    };
    refused(&data, &[], "cannot be shown to the command");
    refused(&data.join("keys"), &[], "cannot be shown to the command");
    refused("/".as_ref(), &[], "cannot be shown to the command");
    refused("/tmp".as_ref(), &[], "cannot be shown to the command");
    for system in ["/proc", "/proc/sys/kernel", "/sys", "/dev"] {
        refused(system.as_ref(), &[], "it is the kernel's");
        refused(stage.project.path(), &["--write", system], "it is the kernel's");
    }
    refused(stage.project.path(), &["--read", &data.display().to_string()], "cannot be shown");
    refused(stage.project.path(), &["--pass", "OPENAI_API_KEY"], "usually holds a credential");
    let unkept = stage.setup.broker.run(&["run", "--workload", "robot", "--", "true"]);
    assert!(unkept.stderr.contains("workload add robot --keep"), "{unkept:?}");
}

#[test]
fn a_removed_workload_leaves_no_kit_behind() {
    let stage = Stage::new();
    let kit = stage.setup.broker.data().join("kits/agent.json");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&kit).unwrap()) & 0o777, 0o600);
    stage.setup.broker.cli(&["workload", "remove", "agent"]);
    assert!(!kit.exists());
}
