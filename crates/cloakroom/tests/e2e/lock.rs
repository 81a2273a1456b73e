//! `cloakroom lock`: a robot with every privilege on the workload's side tries every way out that we know of. Without the lock the internet
//! answers it; with the lock not one packet arrives there, and the permitted call works.
//!
//! Namespaces on one kernel: this proves function, not hardware isolation.

use crate::internet::{BROKER, NAME, Rig, WORKLOAD, run, script};
use crate::ladder::Rung;
use crate::steered::Stage;
use crate::support::{eventually, policy};
use cloakroom_testkit::shaped;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

/// What came of each attempt: its name, whether somebody answered, whether the internet would.
fn attempts(robot: &mut Command) -> Vec<(String, bool, bool)> {
    let output = run(robot);
    let done: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let done = done.as_array().unwrap();
    assert!(done.len() > 40, "{done:?}");
    let word = |one: &Value| {
        let answered = one["came"] == "answered";
        let name = format!("{}: {}", one["attempt"].as_str().unwrap(), one["detail"].as_str().unwrap());
        (name, answered, one["answers"] == true)
    };
    done.iter().map(word).collect()
}

fn robot(rig: &Rig) -> Vec<(String, bool, bool)> {
    attempts(rig.as_workload("python3").arg(script("robot.py")))
}

/// INVARIANT of every rung: nobody answered, and nothing arrived.
pub(crate) fn assert_closed(rig: &Rig, before: u64, done: &[(String, bool, bool)]) {
    let answered: Vec<&String> =
        done.iter().filter(|(_, answered, _)| *answered).map(|(name, ..)| name).collect();
    assert!(answered.is_empty(), "{answered:#?}");
    assert_eq!(rig.packets(), before, "packets arrived on the internet");
}

/// What [`assert_closed`] held, in the rung's result.
fn record(rung: Rung, done: &[(String, bool, bool)]) {
    let names: Vec<&String> = done.iter().map(|(name, ..)| name).collect();
    rung.record(&json!({
        "attempts that came to nothing": names,
        "packets that reached the internet stand-in": 0,
        "the permitted call": "works",
    }));
}

impl Stage {
    fn lock(&self, words: &[&str]) -> cloakroom_testkit::Answer {
        self.broker.run(&[&["lock"][..], words].concat())
    }

    fn check(&self) -> cloakroom_testkit::Answer {
        self.lock(&["check", "robot"])
    }

    fn apply(&self) {
        let source = format!("{WORKLOAD}/32");
        let namespace = self.rig.namespace();
        self.broker.cli(&["lock", "apply", "robot", "--netns", namespace, "--from", &source]);
    }

    fn permitted(&self) -> (String, Output) {
        self.curl(&[&format!("https://{NAME}/v1/items/7")])
    }

    fn rules(&self) -> String {
        let output = run(self.rig.beside_broker("nft").args(["-s", "list", "ruleset"]));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn t112_behind_the_lock_a_robot_with_every_privilege_reaches_the_broker_and_nothing_else() {
    let Some(stage) = Stage::new() else { return };
    Rung::LockedNamespace.say();
    // Control: without the lock the internet answers.
    let before = stage.rig.packets();
    let done = robot(&stage.rig);
    let deaf: Vec<&String> =
        done.iter().filter(|(_, answered, answers)| *answers && !answered).map(|(name, ..)| name).collect();
    assert!(deaf.is_empty(), "without the lock nobody answered: {deaf:#?}");
    assert!(stage.rig.packets() > before + 40, "{}", stage.rig.packets());

    stage.apply();
    let before = stage.rig.packets();
    let done = robot(&stage.rig);
    assert_closed(&stage.rig, before, &done);
    // And the permitted call works with programs that know of no broker.
    let (body, output) = stage.permitted();
    assert!(body.contains(&stage.issued.text), "{output:?}\n{}", stage.broker.output());
    let program = format!(
        "import ssl, urllib.request\nr = urllib.request.Request('https://{NAME}/v1/items/9', headers={{'Authorization': 'Bearer {}'}})\n\
         print(urllib.request.urlopen(r, context=ssl.create_default_context(cafile='{}')).read().decode())",
        stage.issued.text,
        stage.broker.ca_file().display()
    );
    let output = run(stage.rig.as_workload("python3").args(["-c", &program]));
    assert!(String::from_utf8_lossy(&output.stdout).contains("/v1/items/9"), "{output:?}");
    assert!(stage.rig.packets() > before);
    record(Rung::LockedNamespace, &done);
}

#[test]
fn t112_while_the_broker_is_frozen_nothing_gets_through() {
    let Some(stage) = Stage::new() else { return };
    stage.apply();
    assert!(stage.permitted().0.contains("/v1/items/7"));
    let pid = Pid::from_raw(stage.broker.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let before = stage.rig.packets();
    let done = robot(&stage.rig);
    assert_closed(&stage.rig, before, &done);
    assert!(!stage.permitted().1.status.success());
    kill_process(pid, Signal::CONT).unwrap();
    assert!(stage.permitted().0.contains("/v1/items/7"));
}

#[test]
fn t112_when_the_broker_is_dead_nothing_gets_through() {
    let Some(mut stage) = Stage::new() else { return };
    stage.apply();
    assert!(stage.permitted().0.contains("/v1/items/7"));
    stage.broker.kill();
    let before = stage.rig.packets();
    let done = robot(&stage.rig);
    assert_closed(&stage.rig, before, &done);
    assert!(!stage.permitted().1.status.success());
    assert_eq!(stage.rig.packets(), before);
}

#[test]
fn t112_a_connection_from_before_the_lock_is_cut() {
    let Some(stage) = Stage::new() else { return };
    let program = "import socket\ns = socket.create_connection(('203.0.113.10', 8080), 5)\ndef call():\n    s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n    s.settimeout(2)\n    return len(s.recv(4096)) > 0\nprint(call(), flush=True)\ninput()\ntry: print(call(), flush=True)\nexcept TimeoutError: print('cut', flush=True)";
    let mut child = stage
        .rig
        .as_workload("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "True");
    stage.apply();
    let before = stage.rig.packets();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "cut");
    child.wait().unwrap();
    assert_eq!(stage.rig.packets(), before);
}

#[test]
fn t112_a_check_from_inside_says_whether_the_lock_holds_and_the_broker_believes_nothing_else() {
    let Some(stage) = Stage::new() else { return };
    let locked = || stage.broker.cli_json(&["lock", "list"])["locked"].clone();
    assert_eq!(locked(), false, "nothing was checked");
    stage.apply();
    assert_eq!(locked(), false, "a lock that was applied is not one that was proved");
    let before = stage.rig.packets();
    let checked = stage.check();
    assert!(checked.status.success(), "{checked:?}");
    assert!(checked.stdout.contains("lock robot holds"), "{checked:?}");
    for attempt in ["rules", "wires", "tcp-443", "udp-443", "names", "icmp", "forged-source", "broker-port"] {
        assert!(checked.stdout.contains(attempt), "{attempt}: {checked:?}");
    }
    assert_eq!((locked(), stage.rig.packets()), (true.into(), before));
    assert!(stage.broker.cli(&["lock", "list"]).stdout.contains("the broker calls itself locked"));

    let fails = |why: &str| {
        let answer = stage.check();
        assert_eq!(answer.status.code(), Some(3), "{why}: {answer:?}");
        assert!(answer.stdout.contains("does NOT hold"), "{answer:?}");
        assert_eq!(locked(), false, "{why}");
        answer.stdout
    };
    // A rule was added that lets something through.
    run(stage
        .rig
        .beside_broker("nft")
        .args("insert rule inet cloakroom_robot input tcp dport 8480 accept".split(' ')));
    assert!(fails("a rule was added").contains("not those that were applied"));
    stage.apply();
    assert!(stage.check().status.success());
    assert_eq!(locked(), true);
    // A wire that ends beside the lock.
    let words = format!("link add beside0 netns {} type veth peer name b1", stage.rig.namespace());
    run(stage.rig.beside_broker("ip").args(words.split(' ')));
    assert!(fails("another wire").contains("b1"));
    run(stage.rig.beside_broker("ip").args(["link", "del", "b1"]));
    // Somebody flushed the rules: every attempt gets somewhere, or proves nothing.
    run(stage.rig.beside_broker("nft").args(["flush", "ruleset"]));
    let said = fails("no rules");
    assert!(said.contains("there are none") && said.matches("OPEN").count() > 4, "{said}");
    // Also where nobody answered: its packets were seen to go on.
    assert!(said.contains("the lock let it through"), "{said}");
    // A start proves nothing.
    stage.apply();
    assert!(stage.check().status.success());
    assert_eq!(locked(), true);
    let record = stage.broker.cli(&["journal", "show"]).stdout;
    assert!(record.contains("lock held") && record.contains("lock open"), "{record}");
    let mut stage = stage;
    stage.broker.restart();
    assert_eq!(stage.broker.cli_json(&["lock", "list"])["locked"], false);
}

/// Junk from the workload's side, until this goes: to the broker's machine, which the lock drops, and to where the attempts go.
struct Noise(Child);

impl Noise {
    fn of(stage: &Stage) -> Self {
        let junk = "import socket, time\nprint('noise', flush=True)\nwhile True:\n    for to in (('10.77.0.1', 9), ('192.0.2.1', 123), ('192.0.2.1', 443)):\n        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n        s.sendto(b'x', to); s.close()\n    time.sleep(0.005)";
        let mut noise =
            stage.rig.as_workload("python3").args(["-c", junk]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(noise.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "noise\n");
        Self(noise)
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn t112_what_a_check_cannot_judge_is_not_proved_which_is_neither_open_nor_locked() {
    let Some(stage) = Stage::new() else { return };
    let locked = || stage.broker.cli_json(&["lock", "list"])["locked"].clone();
    stage.apply();
    assert!(stage.check().status.success());
    // Nobody is there to be entered.
    let nobody = stage.lock(&["check", "robot", "--pid", "4194303"]);
    assert_eq!(nobody.status.code(), Some(5), "{nobody:?}");
    assert!(nobody.stdout.contains("NOT PROVED") && !nobody.stdout.contains("OPEN"), "{nobody:?}");
    assert_eq!(locked(), false, "what was proved before is in doubt");
    assert!(stage.check().status.success());
    assert_eq!(locked(), true);
    // A workload that sends junk all the time, to where the attempts go too: it does not disturb, for the attempts' own packets are told from it.
    let noise = Noise::of(&stage);
    let noisy = stage.check();
    assert!(noisy.status.success(), "{noisy:?}");
    assert_eq!(locked(), true);
    // Without a route a packet is gone before the lock could drop it. What is dropped of the junk forges no proof.
    for family in ["-4", "-6"] {
        run(stage.rig.beside_broker("ip").args([family, "route", "del", "default"]));
    }
    let forged = stage.check();
    drop(noise);
    assert_eq!(forged.status.code(), Some(5), "{forged:?}");
    assert!(forged.stdout.contains("saw none of its packets"), "{forged:?}");
    assert_eq!(locked(), false);
    let lost = stage.check();
    assert_eq!(lost.status.code(), Some(5), "{lost:?}");
    // The rules that counted are gone with the check.
    assert!(!stage.rules().contains("cloakroomcheck"), "{}", stage.rules());
    assert!(lost.stdout.contains("lock robot is NOT PROVED") && !lost.stdout.contains("OPEN"), "{lost:?}");
    assert_eq!(locked(), false);
    assert!(stage.broker.cli(&["lock", "list"]).stdout.contains("not proved"));
    assert!(stage.broker.cli(&["journal", "show"]).stdout.contains("lock not proved"));
    // What is open is said to be, whatever else is unknown.
    run(stage.rig.beside_broker("nft").args(["flush", "ruleset"]));
    let open = stage.check();
    assert_eq!(open.status.code(), Some(3), "{open:?}");
    assert!(open.stdout.contains("OPEN") && open.stdout.contains("NOT PROVED"), "{open:?}");
}

#[test]
fn t112_a_broker_that_has_to_be_locked_lets_no_call_out_before_a_check_has_held() {
    let Some(mut stage) = Stage::new() else { return };
    stage.apply();
    assert!(stage.permitted().0.contains("/v1/items/7"));
    stage.broker.stop();
    stage.broker.launch_with(&["--require-lock", "robot"]);
    assert!(stage.broker.output().contains("no call goes out until this lock is proved"));
    let sent = stage.rig.requests().len();
    let waits = |why: &str| {
        let (body, output) = stage.permitted();
        assert!(body.contains("\"code\":\"not-locked\""), "{why}: {body} {output:?}");
        assert_eq!(stage.broker.cli_json(&["lock", "list"])["locked"], false, "{why}");
    };
    waits("nothing was checked since the start");
    assert_eq!(stage.rig.requests().len(), sent);
    assert!(stage.check().status.success(), "a broker that waits for the proof can be proved");
    assert!(stage.permitted().0.contains("/v1/items/7"));
    run(stage
        .rig
        .beside_broker("nft")
        .args("insert rule inet cloakroom_robot input tcp dport 8480 accept".split(' ')));
    assert_eq!(stage.check().status.code(), Some(3));
    waits("it was found open");
    stage.apply();
    waits("it was applied again, and nobody has looked");
    assert_eq!(stage.lock(&["check", "robot", "--pid", "4194303"]).status.code(), Some(5));
    waits("it could not be proved");
    assert!(stage.check().status.success());
    assert!(stage.permitted().0.contains("/v1/items/7"));
    assert_eq!(stage.broker.cli_json(&["lock", "list"])["required"][0], "robot");
}

#[test]
fn a_lock_is_put_on_in_one_step_survives_a_reload_and_is_taken_off_without_a_trace() {
    let Some(stage) = Stage::new() else { return };
    run(stage
        .rig
        .beside_broker("nft")
        .arg("table inet others { chain c { type filter hook forward priority 0; policy accept; }; }"));
    let others = stage.rules();
    let print = ["print", "robot", "--interface", "wl0", "--from", "10.77.0.2/32"];
    let printed = stage.lock(&print);
    assert!(printed.stdout.contains("iifname { \"wl0\" }"), "{printed:?}");
    assert_eq!(stage.rules(), others, "printing changes nothing");
    stage.apply();
    let once = stage.rules();
    stage.apply();
    assert_eq!(stage.rules(), once);
    assert!(once.starts_with(&others) || once.contains("table inet others"), "{once}");
    let kept = stage.rig.shelf().join("robot.nft");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), printed.stdout, "what is printed is what is applied");

    // As /etc/nftables.conf is loaded again: everything goes, and the lock is back in the same step.
    let all = stage.broker.data().join("all.nft");
    std::fs::write(&all, format!("flush ruleset\ninclude \"{}/*.nft\"\n", stage.rig.shelf().display()))
        .unwrap();
    run(stage.rig.beside_broker("nft").arg("-f").arg(&all));
    assert!(stage.rules().contains("table inet cloakroom_robot") && !stage.rules().contains("others"));
    assert!(stage.check().status.success());

    // What a check leaves that is killed counts, and goes with the lock.
    run(stage.rig.beside_broker("nft").arg("add table inet cloakroomcheck_robot"));
    stage.broker.cli(&["lock", "remove", "robot"]);
    assert_eq!((stage.rules().as_str(), kept.exists()), ("", false));
    let (body, output) = stage.curl(&["http://203.0.113.10:8080/"]);
    assert!(body.contains("you_sent"), "it was the lock that was in the way: {output:?}");
    let again = stage.lock(&["remove", "robot"]);
    assert!(again.status.code() == Some(1) && again.stderr.contains("there is no lock"), "{again:?}");
}

#[test]
fn what_cannot_be_locked_is_refused_and_nothing_is_changed() {
    let Some(stage) = Stage::new() else { return };
    let rules = stage.rules();
    for (words, why) in [
        (vec!["--from", "10.77.0.2/32"], "nothing of where"),
        (vec!["--interface", "a\"b", "--from", "10.77.0.2/32"], "no name of an interface"),
        (vec!["--interface", "wl0", "--from", "fd77::2/128"], "no listener of the broker"),
        (vec!["--netns", "nowhere", "--from", "10.77.0.2/32"], "cannot be listed"),
        (vec!["--interface", "wl0"], "--from"),
    ] {
        let answer = stage.lock(&[&["apply", "x"][..], &words].concat());
        assert!(!answer.status.success() && answer.stderr.contains(why), "{words:?}: {answer:?}");
    }
    let unknown = stage.lock(&["check", "x"]);
    assert!(!unknown.status.success() && unknown.stderr.contains("no lock x was applied"), "{unknown:?}");
    // Rules that root loads are kept where nobody else writes.
    let open = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(open.path(), Some(65534), None).unwrap();
    let words = [
        "apply",
        "x",
        "--interface",
        "wl0",
        "--from",
        "10.77.0.2/32",
        "--keep-in",
        open.path().to_str().unwrap(),
    ];
    let answer = stage.lock(&words);
    assert!(!answer.status.success() && answer.stderr.contains("you alone write"), "{answer:?}");
    assert_eq!(stage.rules(), rules);
}

#[test]
fn t112_a_locked_bridge_is_closed_between_its_ports_too() {
    let Some(stage) = Stage::new() else { return };
    // The workload's wire becomes a port of a bridge, and another port leads straight to the internet's machine.
    let there = stage.rig.outside();
    for words in [
        "link add br0 type bridge",
        "addr flush dev wl0",
        "link set wl0 master br0",
        &format!("addr add {BROKER}/24 dev br0"),
        "link set br0 up",
        &format!("link add side0 type veth peer name port9 netns {there}"),
        "link set side0 master br0",
        "link set side0 up",
        &format!("-n {there} addr add 10.77.0.66/24 dev port9"),
        &format!("-n {there} link set port9 up"),
    ] {
        run(stage.rig.beside_broker("ip").args(words.split(' ')));
    }
    let side = |stage: &Stage| stage.curl(&["-m", "2", "http://10.77.0.66:8080/"]).0.contains("you_sent");
    assert!(eventually("the other port answers", || side(&stage).then_some(true)));
    stage.broker.cli(&["lock", "apply", "robots", "--bridge", "br0", "--from", "10.77.0.2/32"]);
    assert!(!side(&stage), "from port to port");
    let (body, output) = stage.permitted();
    assert!(body.contains("/v1/items/7"), "{output:?}");
    // Nothing says where the workload is, until a process of it is named.
    let answer = stage.lock(&["check", "robots"]);
    assert!(answer.status.code() == Some(2) && answer.stderr.contains("--pid"), "{answer:?}");
    let mut inside = stage.rig.as_workload("sleep").arg("1000").spawn().unwrap();
    let checked = stage.lock(&["check", "robots", "--pid", &inside.id().to_string()]);
    inside.kill().unwrap();
    inside.wait().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    // A container on two networks: the second is a way around.
    let words = format!("link add second0 netns {} type veth peer name b2", stage.rig.namespace());
    run(stage.rig.beside_broker("ip").args(words.split(' ')));
    let mut inside = stage.rig.as_workload("sleep").arg("1000").spawn().unwrap();
    let checked = stage.lock(&["check", "robots", "--pid", &inside.id().to_string()]);
    inside.kill().unwrap();
    inside.wait().unwrap();
    assert!(checked.status.code() == Some(3) && checked.stdout.contains("b2"), "{checked:?}");
}

/// `cloakroom run`, beside a broker whose machine reaches the internet: by root, or by this user.
fn robot_in_run(user: u32) {
    let Some(rig) = Rig::new() else { return };
    let rung = if user == 0 { Rung::RunAsRoot } else { Rung::RunAsUser };
    rung.say();
    let broker = if user == 0 { rig.broker() } else { rig.broker_as(user) };
    broker.deposit("c", "bearer", &[&format!("https://{NAME}")], &shaped("sk_live_"));
    broker.cli(&["workload", "add", "agent", "--keep"]);
    let policy = policy(&format!("https://{NAME}"), "GET /v1/items/{id}", "header authorization bearer", "");
    let issued = broker.permit("c", "agent", &policy, &["--variable", "THE_KEY"]);
    let project = tempfile::tempdir().unwrap();
    std::fs::copy(script("robot.py"), project.path().join("robot.py")).unwrap();
    std::os::unix::fs::chown(project.path(), Some(user), Some(user)).unwrap();
    let inside = |command: &[&str]| {
        let mut run = Command::new(rig.program());
        run.current_dir(project.path()).env("CLOAKROOM_DATA", broker.data());
        run.env("ADMIN_SOCKET", broker.data().join("admin.sock"));
        run.args(["run", "--workload", "agent", "--pass", "ADMIN_SOCKET", "--"]).args(command);
        run
    };
    // Control: the same program beside the broker, and not in the sandbox, gets out.
    let out = run(rig.beside_broker("curl").args(["-sS", "-m", "5", "http://203.0.113.10:8080/"]));
    assert!(String::from_utf8_lossy(&out.stdout).contains("you_sent"));

    let before = rig.packets();
    let done = attempts(&mut inside(&["python3", "robot.py"]));
    assert_closed(&rig, before, &done);
    // No network namespace scopes it: a filter of system calls has to.
    for (name, ..) in done.iter().filter(|(name, ..)| name.starts_with("vsock")) {
        assert!(name.contains("Address family not supported"), "{name}");
    }
    assert!(done.iter().any(|(name, ..)| name.starts_with("the admin socket")), "{done:?}");
    let call = format!("curl -sS https://{NAME}/v1/items/7 -H \"Authorization: Bearer $THE_KEY\"");
    let output = run(&mut inside(&["sh", "-c", &call]));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&issued.text), "{output:?}");
    broker.log().lock().unwrap().push(output.stdout);
    record(rung, &done);
}

#[test]
fn t112_the_same_robot_in_cloakroom_run_by_root_reaches_nothing() {
    robot_in_run(0);
}

#[test]
fn t112_the_same_robot_in_cloakroom_run_by_an_ordinary_user_reaches_nothing() {
    robot_in_run(65534);
}
