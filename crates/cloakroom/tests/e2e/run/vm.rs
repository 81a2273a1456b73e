//! `cloakroom run --vm`: the command on a kernel of its own, as root there, tries what it can and does its permitted work.
//!
//! Emulated (QEMU TCG) where there is no KVM, which is so where this project is tested: it shows the function, not a boundary.

use super::{Stage, text};
use crate::appliance::life::{Alone, ready};
use crate::appliance::parts::{HOST, Parts};
use crate::support::{BINARY, eventually};
use cloakroom_testkit::{TlsUpstream, echo, hunt, shaped};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Machines {
    stage: Stage,
    parts: String,
}

impl Machines {
    fn new() -> Option<Self> {
        let parts = Parts::find()?.workload().display().to_string();
        Some(Self { stage: Stage::new(), parts })
    }

    fn command(&self, options: &[&str], script: &str) -> Command {
        self.stage.command(&[&["--vm", "--vm-parts", &self.parts][..], options].concat(), script)
    }

    fn run(&self, options: &[&str], script: &str, input: &str) -> Output {
        let mut child = self.command(options, script).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        self.stage.end(child)
    }
}

#[test]
fn t111_t112_a_command_in_a_machine_of_its_own_works_and_reaches_nothing_but_the_broker() {
    let Some(machines) = Machines::new() else { return };
    let stage = &machines.stage;
    let upstream = stage.upstream.authority();
    let port = upstream.rsplit_once(':').unwrap().1;
    let (listen, console) = (stage.setup.broker.listen(), stage.setup.broker.console().to_owned());
    let console = console.rsplit_once(':').unwrap().1;
    let data = stage.setup.broker.data().display();
    let hidden = tempfile::tempdir().unwrap();
    std::fs::write(hidden.path().join("note"), "to be read").unwrap();
    let read = hidden.path().display();
    let script = format!(
        r#"
        echo kernel: $(uname -r); echo first: $(tr '\0' ' ' < /proc/1/cmdline); cat
        curl -sS -H "Authorization: Bearer $THE_KEY" https://$TARGET/v1/items/7; echo
        curl -sS -X DELETE -H "Authorization: Bearer $THE_KEY" https://$TARGET/v1/items/7; echo
        echo mine > mine; cat {read}/note; echo; (echo x > {read}/note) 2>/dev/null && echo WROTE read; echo x > /tmp/x
        try() {{ if curl -ksS -m 3 --noproxy '*' "$@" >/dev/null 2>&1; then echo "REACHED $*"; else echo "closed"; fi; }}
        curl -sS -m 20 --noproxy '*' http://10.0.2.2:8480/.cloakroom/ -H "Cloakroom-Workload: $CLOAKROOM_KEY" | head -1
        try https://10.0.2.2:{port}/; try https://127.0.0.1:{port}/; try http://10.0.2.2:{}/; try http://10.0.2.2:{console}/
        try http://10.0.2.2:8479/; try http://10.0.2.3/; try http://169.254.169.254/; try 'http://[fec0::2]:{port}/'
        ls -A {data} "$HOME" 2>/dev/null | grep -v : | sed 's/^/SEEN /'
        test -e /run/cloakroom/relay.sock && echo SOCKET
        mount -o remount,rw / 2>/dev/null
        for file in /etc/passwd /usr/bin/env /bin/new; do (: >> $file) 2>/dev/null && echo "WROTE $file"; done
        env | grep -e ^OPENAI_API_KEY= -e ^SECRET= | sed 's/^/ENVIRONMENT /'
        echo interfaces: $(cut -d: -f1 /proc/net/dev | tail -n +3); echo talk >&2; exit 7
        "#,
        listen.port(),
    );
    let output = machines.run(&["--read", &hidden.path().display().to_string()], &script, "heard\n");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(said.contains("first: /init\nheard\n"), "{output:?}");
    let own = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(said.contains("kernel: ") && !said.contains(&format!("kernel: {own}")), "{said}");
    assert!(said.contains(&stage.issued.text) && said.contains("call-not-permitted"), "{said}");
    // The wire works, and ends in the broker.
    assert!(said.contains("You are workload agent"), "{said}");
    assert!(said.contains("to be read\n") && said.matches("closed").count() == 8, "{said}");
    for wrong in ["REACHED", "SEEN", "WROTE", "SOCKET", "ENVIRONMENT"] {
        assert!(!said.contains(wrong), "{said}");
    }
    assert!(said.contains("interfaces: lo eth0\n") || said.contains("interfaces: eth0 lo\n"), "{said}");
    assert_eq!(std::fs::read_to_string(stage.project.path().join("mine")).unwrap(), "mine\n");
    let requests = stage.upstream.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), Some(format!("Bearer {}", shaped("sk_live_")).as_str()));
    let line = text(&output.stderr);
    assert!(
        line.contains("a virtual machine of its own (KVM)") || line.contains("is no security boundary"),
        "{line}"
    );
    assert!(!line.contains("the kernel is shared") && line.ends_with("talk\n"), "{line}");
}

#[test]
fn in_a_machine_signals_and_the_terminal_are_the_commands_own_and_a_killed_run_leaves_nothing() {
    let Some(machines) = Machines::new() else { return };
    let stage = &machines.stage;
    let waits =
        "trap 'echo tidied; exit 3' TERM; echo ready > started; while :; do read line || sleep 0.05; done";
    let child = machines.command(&[], waits).spawn().unwrap();
    let started = stage.project.path().join("started");
    patiently("the command starts", || started.exists());
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = stage.end(child);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(3), "tidied\n".into()), "{output:?}");

    // A person at a terminal: its size, a line, an interrupt that the command takes, and the end.
    let script = "tty; stty size; printf 'name? '; read name; echo \"hello $name\"; trap 'echo interrupted; exit 5' INT; echo waiting; while :; do sleep 0.05; done";
    let typing = r#"[["name? ", "ada\n"], ["waiting", "\u0003"]]"#;
    let run = machines.command(&[], script);
    let mut terminal = Command::new("python3");
    terminal.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/run/terminal.py")).arg(typing);
    terminal.arg(run.get_program()).args(run.get_args()).current_dir(stage.project.path());
    for (name, value) in run.get_envs() {
        terminal.env(name, value.unwrap_or_default());
    }
    let output = terminal.stdin(Stdio::null()).output().unwrap();
    let said = text(&output.stdout);
    for expected in ["/dev/pts/0\r\n", "33 99\r\n", "hello ada\r\n", "interrupted\r\n"] {
        assert!(said.contains(expected), "{expected}: {output:?}");
    }
    assert_eq!(output.status.code(), Some(5), "{output:?}");

    std::fs::remove_file(&started).unwrap();
    let rooms = tempfile::tempdir().unwrap();
    let mut command = machines.command(&[], "echo > started; exec sleep 1000");
    let mut child = command.env("TMPDIR", rooms.path()).spawn().unwrap();
    patiently("the command starts", || started.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    // What lies there has no bytes: the machine's root, with the workload's key, was in memory alone.
    let left = files_below(rooms.path());
    assert!(left.iter().all(|path| path.extension().is_some_and(|end| end == "sock")), "{left:?}");
    let project = stage.project.path().canonicalize().unwrap();
    eventually("QEMU ends", || (!super::anyone_in(&project)).then_some(()));
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// A machine that is emulated on a busy host takes its time.
fn patiently(what: &str, done: impl Fn() -> bool) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(150);
    while !done() {
        assert!(std::time::Instant::now() < until, "not within 150 s: {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_machine_that_cannot_be_made_is_not_replaced_by_anything_weaker() {
    let Some(machines) = Machines::new() else { return };
    let stage = &machines.stage;
    let refused = |options: &[&str], expected: &str| {
        let output = stage.end(stage.command(options, "echo STARTED").spawn().unwrap());
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains(expected) && output.stdout.is_empty(),
            "{output:?}"
        );
    };
    refused(&["--vm", "--vm-parts", "/nowhere"], "/nowhere");
    // The kernel that an appliance has reads no host's files; and this program needs libraries.
    let other = tempfile::tempdir().unwrap();
    let link = |name: &str, to: &Path| std::os::unix::fs::symlink(to, other.path().join(name)).unwrap();
    let parts = Parts::find().unwrap();
    link("cloakroom", &parts.program());
    link("kernel", parts.kernel().parent().unwrap());
    let options = ["--vm", "--vm-parts", other.path().to_str().unwrap()];
    refused(&options, "9pnet_virtio");
    std::fs::remove_file(other.path().join("cloakroom")).unwrap();
    link("cloakroom", Path::new(BINARY));
    refused(&options, "needs libraries");
    assert!(stage.upstream.requests().is_empty());
}

#[test]
fn t111_workload_and_broker_are_two_guests_and_the_permitted_call_works_between_them() {
    let Some(parts) = Parts::find() else { return };
    let workload_parts = parts.workload().display().to_string();
    let alone = Alone::with(parts, "");
    let config = alone.image.authority.server_config(&[HOST], &[b"http/1.1"]);
    let upstream = TlsUpstream::start_configured(config, |request, out| echo(request).write_to(out, false));
    let to = format!("https://{HOST}:{}", upstream.port());
    let mut broker = alone.boot_image("image", "broker", &[], &[]);
    ready(&mut broker);
    alone.enrol("broker");
    alone.image.operate(&["credential", "add", "c", "--kind", "bearer", "--to", &to], &shaped("sk_live_"));
    let placeholder = alone.permit_kept(&to, "agent", "THE_KEY");
    let project = tempfile::tempdir().unwrap();
    let call = format!(
        "curl -sS -H \"Authorization: Bearer $THE_KEY\" {to}/v1/items/7; curl -sS -H \"Authorization: Bearer $THE_KEY\" {to}/admin"
    );
    let run = |more: &[&str]| {
        let mut run = Command::new(BINARY);
        run.args(["--data", &alone.image.path("ops"), "run", "--vm", "--vm-parts", &workload_parts]);
        run.args(["--workload", "agent"]).args(more).args(["--", "sh", "-c", &call]);
        run.current_dir(project.path()).stdin(Stdio::null()).output().unwrap()
    };
    // Its listener is reached another way here than on its own wire: which, nobody guesses.
    let unnamed = run(&[]);
    assert!(text(&unnamed.stderr).contains("--broker http://ADDRESS:PORT"), "{unnamed:?}");
    let output = run(&["--broker", &alone.listener()]);
    assert!(hunt(&output.stdout).is_empty() && hunt(&output.stderr).is_empty(), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains(&placeholder) && said.contains("call-not-permitted"), "{output:?}");
    let requests = upstream.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), Some(format!("Bearer {}", shaped("sk_live_")).as_str()));
}
