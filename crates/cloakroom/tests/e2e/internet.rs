//! Three network namespaces in a row: a workload's, the broker's, and one that stands in for the internet. Whatever comes through to the last
//! is answered there, and forwarding between the others is on: what stops a workload is the lock, not luck.

use crate::support::{BINARY, eventually};
use cloakroom_testkit::{Broker, BrokerBuilder, TestAuthority};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// The broker's address on the workload's side, and the workload's.
pub(crate) const BROKER: &str = "10.77.0.1";
pub(crate) const WORKLOAD: &str = "10.77.0.2";
/// Where the internet is.
pub(crate) const OUTSIDE: &str = "203.0.113.10";
/// The name whose certificate the internet has.
pub(crate) const NAME: &str = "api.example.test";

static RIGS: AtomicUsize = AtomicUsize::new(0);

/// The namespaces, and the internet in the last one.
pub(crate) struct Rig {
    internet: Child,
    spaces: Spaces,
    seen: Arc<Mutex<Vec<Value>>>,
    pub(crate) authority: TestAuthority,
    files: TempDir,
}

impl Rig {
    /// `None`, and said, where no namespace can be made.
    #[expect(clippy::print_stderr, reason = "says what is left out")]
    pub(crate) fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("left out: making network namespaces takes root");
            return None;
        }
        let spaces = Spaces::new();
        if let Err(output) = ip(&["netns", "add", &spaces.workload]) {
            eprintln!("left out: no network namespace can be made here ({output:?})");
            return None;
        }
        for name in [&spaces.broker, &spaces.outside] {
            ip(&["netns", "add", name]).unwrap();
        }
        plumb(&spaces);
        let authority = TestAuthority::new();
        let [certificate, key] = authority.leaf_files("internet", &[NAME, OUTSIDE]);
        let mut internet = within(&spaces.outside, "python3")
            .args([&script("internet.py"), &certificate, &key])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(internet.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.contains("ready"), "{line}");
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                noted.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        // An address of IPv6 counts only after a while: until then nothing would be in the lock's way.
        for to in [OUTSIDE, "2001:db8::10"] {
            eventually("the internet answers", || {
                let pong =
                    within(&spaces.workload, "ping").args(["-c", "1", "-W", "1", to]).output().unwrap();
                pong.status.success().then_some(())
            });
        }
        // What `ip netns exec` puts over /etc/resolv.conf.
        let etc = Path::new("/etc/netns").join(&spaces.workload);
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::write(
            etc.join("resolv.conf"),
            format!("nameserver {BROKER}\noptions timeout:2 attempts:1\n"),
        )
        .unwrap();
        Some(Self { spaces, internet, seen, authority, files: tempfile::tempdir().unwrap() })
    }

    /// A broker in its namespace, with a listener for what is steered and one for names.
    pub(crate) fn broker(&self) -> Broker {
        let listen = format!("[listen]\ntransparent = \"{BROKER}:8443\"\ndns = \"{BROKER}:53\"\n");
        self.start(&listen, &format!("exec ip netns exec {} {BINARY} \"$@\"", self.spaces.broker))
    }

    /// A broker that runs as this user, as does what `cloakroom run` runs; other commands are the operator's.
    pub(crate) fn broker_as(&self, user: u32) -> Broker {
        let own = self.open_to_others().join("cloakroom-for-others");
        std::fs::copy(BINARY, &own).unwrap();
        let (space, own) = (&self.spaces.broker, own.display());
        let script = format!(
            "case \"$1\" in\nserve|run)\n  chown -R {user}:{user} \"$CLOAKROOM_DATA\"\n  \
             exec ip netns exec {space} setpriv --reuid {user} --regid {user} --clear-groups {own} \"$@\";;\n\
             *) exec ip netns exec {space} {BINARY} \"$@\";;\nesac"
        );
        self.start("", &script)
    }

    /// Where every user of the machine may read.
    fn open_to_others(&self) -> &Path {
        for directory in [self.files.path(), self.authority.directory()] {
            std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        self.files.path()
    }

    fn start(&self, listen: &str, script: &str) -> Broker {
        let program = self.program();
        std::fs::write(
            &program,
            format!("#!/bin/sh\nexport CLOAKROOM_LOCKS={}\n{script}\n", self.shelf().display()),
        )
        .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let settings = self.files.path().join("settings.toml");
        std::fs::write(&settings, format!("{listen}[upstream]\nresolvers = [\"10.78.0.2:53\"]\n")).unwrap();
        BrokerBuilder::bare(program.to_str().unwrap())
            .argument("--config")
            .argument(settings)
            .argument("--upstream-ca")
            .argument(self.authority.file())
            .argument("--allow-address")
            .argument("203.0.113.0/24")
            .start()
    }

    /// Where locks are kept.
    pub(crate) fn shelf(&self) -> PathBuf {
        self.files.path().join("locks")
    }

    /// What runs cloakroom in the broker's namespace.
    pub(crate) fn program(&self) -> PathBuf {
        self.files.path().join("cloakroom")
    }

    /// A program in the workload's namespace.
    pub(crate) fn as_workload(&self, program: &str) -> Command {
        within(&self.spaces.workload, program)
    }

    /// A program in the broker's namespace.
    pub(crate) fn beside_broker(&self, program: &str) -> Command {
        within(&self.spaces.broker, program)
    }

    /// The name of the workload's namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.spaces.workload
    }

    /// The name of the internet's.
    pub(crate) fn outside(&self) -> &str {
        &self.spaces.outside
    }

    /// Packets that came in at the internet's end, but for what finds neighbours and what the broker says on connections that it has open.
    pub(crate) fn packets(&self) -> u64 {
        let listed =
            run(within(&self.spaces.outside, "nft").args(["-j", "list", "counter", "inet", "seen", "came"]));
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        let counter =
            listed["nftables"].as_array().unwrap().iter().find_map(|one| one["counter"]["packets"].as_u64());
        counter.unwrap()
    }

    /// Requests that reached the internet.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter_map(|one| one["head"].as_str().map(str::to_owned)).collect()
    }

    /// Questions about names that reached the internet.
    pub(crate) fn questions(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|one| one["question"].is_string()).count()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.internet.kill();
        let _ = self.internet.wait();
    }
}

/// The names of three namespaces. Dropped, they are gone.
struct Spaces {
    workload: String,
    broker: String,
    outside: String,
}

impl Spaces {
    fn new() -> Self {
        let stem = format!("ck{}x{}", std::process::id(), RIGS.fetch_add(1, Ordering::SeqCst));
        let [workload, broker, outside] = ["w", "b", "o"].map(|end| format!("{stem}{end}"));
        Self { workload, broker, outside }
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for name in [&self.workload, &self.broker, &self.outside] {
            let _ = ip(&["netns", "del", name]);
        }
        let _ = std::fs::remove_dir_all(Path::new("/etc/netns").join(&self.workload));
    }
}

/// Addresses, routes and forwarding: the worst case, with a way back for everything.
fn plumb(Spaces { workload, broker, outside }: &Spaces) {
    let lines = format!(
        "netns exec {workload} ip link set lo up
         netns exec {broker} ip link set lo up
         netns exec {outside} ip link set lo up
         link add out0 netns {workload} type veth peer name wl0 netns {broker}
         link add up0 netns {broker} type veth peer name in0 netns {outside}
         -n {workload} addr add {WORKLOAD}/24 dev out0
         -n {workload} addr add fd77::2/64 dev out0 nodad
         -n {workload} link set out0 up
         -n {broker} addr add {BROKER}/24 dev wl0
         -n {broker} addr add fd77::1/64 dev wl0 nodad
         -n {broker} link set wl0 up
         -n {broker} addr add 10.78.0.1/24 dev up0
         -n {broker} addr add fd78::1/64 dev up0 nodad
         -n {broker} link set up0 up
         -n {outside} addr add 10.78.0.2/24 dev in0
         -n {outside} addr add fd78::2/64 dev in0 nodad
         -n {outside} link set in0 up
         -n {outside} addr add {OUTSIDE}/32 dev lo
         -n {outside} addr add 169.254.169.254/32 dev lo
         -n {outside} addr add 2001:db8::10/128 dev lo nodad
         -n {workload} route add default via {BROKER}
         -n {workload} -6 route add default via fd77::1
         -n {broker} route add default via 10.78.0.2
         -n {broker} -6 route add default via fd78::2
         -n {outside} route add 10.77.0.0/24 via 10.78.0.1
         -n {outside} -6 route add fd77::/64 via fd78::1"
    );
    for line in lines.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        ip(&words).unwrap_or_else(|output| panic!("ip {line}: {output:?}"));
    }
    let forwarding =
        ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0"];
    run(within(broker, "sysctl").arg("-qw").args(forwarding));
    let counting = "table inet seen {
        counter came { }
        chain arrivals { type filter hook prerouting priority filter;
            iifname != \"in0\" return
            icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } return
            ip saddr 10.78.0.1 tcp dport 443 ct state established return
            counter name came
        }
    }";
    run(within(outside, "nft").arg(counting));
}

fn within(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

fn ip(arguments: &[&str]) -> Result<(), Output> {
    let output = Command::new("ip").args(arguments).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(output) }
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// A program of the repository's `tests/lock`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lock").join(name).canonicalize().unwrap()
}
