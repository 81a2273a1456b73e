//! The programs that the tests need, and how to get them.

use crate::fault::Fault;
use crate::shell::{capture, command, run, works};

struct Tool {
    /// A call that succeeds where the tool works.
    probe: &'static [&'static str],
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
}

/// A PKCS#11 module whose token is files.
const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

const FOR_TESTS: &[Tool] = &[
    Tool { probe: &["cc", "--version"], packages: &["gcc", "libc6-dev"] },
    Tool { probe: &["git", "--version"], packages: &["git"] },
    Tool { probe: &["curl", "--version"], packages: &["curl"] },
    Tool { probe: &["age", "--version"], packages: &["age"] },
    Tool { probe: &["bwrap", "--version"], packages: &["bubblewrap"] },
    Tool { probe: &["python3", "--version"], packages: &["python3"] },
    Tool { probe: &["nft", "--version"], packages: &["nftables"] },
    Tool { probe: &["ip", "-V"], packages: &["iproute2"] },
    Tool { probe: &["sysctl", "--version"], packages: &["procps"] },
    Tool { probe: &["ping", "-V"], packages: &["iputils-ping"] },
    Tool { probe: &["dnsmasq", "--version"], packages: &["dnsmasq-base"] },
    Tool { probe: &["systemd-analyze", "--version"], packages: &["systemd"] },
    Tool { probe: &["mkfs.ext4", "-V"], packages: &["e2fsprogs"] },
    Tool { probe: &["xz", "--version"], packages: &["xz-utils"] },
    Tool { probe: &["tmux", "-V"], packages: &["tmux"] },
    Tool { probe: &["softhsm2-util", "--version"], packages: &["softhsm2"] },
    Tool {
        probe: &["pkcs11-tool", "--list-slots", "--module", SOFTHSM],
        packages: &["opensc", "opensc-pkcs11", "softhsm2"],
    },
    Tool { probe: &["swtpm", "--version"], packages: &["swtpm", "swtpm-tools"] },
    Tool { probe: &["fsfreeze", "--version"], packages: &["mount", "util-linux"] },
];

const FOR_CLIENTS: &[Tool] = &[
    Tool { probe: &["python3", "-c", "import venv, ensurepip"], packages: &["python3", "python3-venv"] },
    Tool { probe: &["node", "--version"], packages: &["nodejs"] },
    Tool { probe: &["javac", "--version"], packages: &["openjdk-17-jdk-headless"] },
    Tool { probe: &["npm", "--version"], packages: &["npm"] },
    Tool { probe: &["nghttp", "--version"], packages: &["nghttp2-client"] },
    Tool { probe: &["nginx", "-v"], packages: &["nginx-light"] },
    Tool { probe: &["chromium", "--version"], packages: &["chromium"] },
    Tool { probe: &["promtool", "--version"], packages: &["prometheus"] },
    Tool { probe: &["which", "pebble", "pebble-challtestsrv"], packages: &["pebble"] },
];

const FOR_APPLIANCE: &[Tool] = &[
    Tool { probe: &["qemu-system-x86_64", "--version"], packages: &["qemu-system-x86"] },
    Tool { probe: &["busybox", "true"], packages: &["busybox-static"] },
    Tool { probe: &["strip", "--version"], packages: &["binutils"] },
    Tool { probe: &["dpkg-deb", "--version"], packages: &["dpkg"] },
];

const FOR_BENCH: &[Tool] = &[
    Tool { probe: &["nginx", "-v"], packages: &["nginx-light"] },
    Tool { probe: &["taskset", "--version"], packages: &["util-linux"] },
    Tool { probe: &["haproxy", "-v"], packages: &["haproxy"] },
    Tool { probe: &["squid", "-v"], packages: &["squid-openssl"] },
    Tool { probe: &["strace", "-V"], packages: &["strace"] },
    Tool { probe: &["h2load", "--version"], packages: &["nghttp2-client"] },
];

const FOR_CALLGRIND: &[Tool] = &[Tool { probe: &["valgrind", "--version"], packages: &["valgrind"] }];

/// Installs what the tests lack.
pub(crate) fn ensure_for_tests() -> Result<(), Fault> {
    ensure(FOR_TESTS)
}

/// Installs what the real clients need.
pub(crate) fn ensure_for_clients() -> Result<(), Fault> {
    ensure(FOR_CLIENTS)
}

/// Installs what building and booting an appliance needs.
pub(crate) fn ensure_for_appliance() -> Result<(), Fault> {
    ensure(FOR_APPLIANCE)
}

/// Installs what the benchmarks need, and where instructions are counted what that needs.
pub(crate) fn ensure_for_bench(callgrind: bool) -> Result<(), Fault> {
    ensure(FOR_BENCH)?;
    if callgrind { ensure(FOR_CALLGRIND) } else { Ok(()) }
}

fn ensure(tools: &[Tool]) -> Result<(), Fault> {
    let missing: Vec<&str> =
        tools.iter().filter(|tool| !works(tool.probe)).flat_map(|tool| tool.packages).copied().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !may_install() {
        return Err(Fault::new(format!("tools are missing; as root: {by_hand}")));
    }
    println!("    installing {}", missing.join(" "));
    let apt = ["apt-get", "-o", "DPkg::Lock::Timeout=200", "-q"];
    let _ = run(command(&[&apt[..], &["update"]].concat()));
    let mut install =
        command(&[&apt[..], &["install", "-y", "--no-install-recommends"], &missing[..]].concat());
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run(install)?;
    match tools.iter().find(|tool| !works(tool.probe)) {
        None => Ok(()),
        Some(tool) => Err(Fault::new(format!("{:?} still fails after: {by_hand}", tool.probe.join(" ")))),
    }
}

/// Only root with apt can install system packages; `CLOAKROOM_NO_INSTALL` forbids it.
fn may_install() -> bool {
    let root = capture(command(&["id", "-u"])).is_ok_and(|id| id.trim() == "0");
    root && works(&["apt-get", "--version"]) && std::env::var_os("CLOAKROOM_NO_INSTALL").is_none()
}
