//! The machine's life: what is deposited outlives it, a crash turns it off, and it does not start where it should not.

use super::machine::{Machine, free_port, tool};
use super::parts::{HOST, Image, Parts};
use cloakroom_testkit::{TlsUpstream, echo, hunt, shaped};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An appliance whose wires all end in this machine.
pub(crate) struct Alone {
    pub(crate) image: Image,
    link: u16,
    workloads: u16,
}

impl Alone {
    fn new(parts: Parts) -> Self {
        let alone = Self::with(parts, "");
        std::fs::write(alone.image.path("passphrase"), "a passphrase of the host's\n").unwrap();
        // A disk has whole sectors.
        let kek = std::fs::File::options().write(true).open(alone.image.path("passphrase")).unwrap();
        kek.set_len(512).unwrap();
        alone
    }

    /// With these settings, and an empty data disk.
    pub(crate) fn with(parts: Parts, settings: &str) -> Self {
        let image = Image::build(parts, &settings_with(settings));
        let disk = std::fs::File::create(image.path("data.img")).unwrap();
        disk.set_len(64 << 20).unwrap();
        tool("mkfs.ext4", &[&"-q", &image.path("data.img")]);
        Self { image, link: free_port(), workloads: free_port() }
    }

    fn boot(&self, name: &str, extra: &str) -> Machine {
        self.boot_with(name, extra, &[])
    }

    fn boot_with(&self, name: &str, extra: &str, more: &[&str]) -> Machine {
        self.boot_at("10.0.2.15/24,via=10.0.2.2", name, extra, more)
    }

    /// With this address on the outside wire.
    fn boot_at(&self, outside: &str, name: &str, extra: &str, more: &[&str]) -> Machine {
        let kek = self.image.path("passphrase");
        self.boot_image("image", name, &[("KEK", &kek), ("EXTRA", extra), ("OUTSIDE_ADDRESS", outside)], more)
    }

    /// This image of the operator's, told these things besides.
    pub(crate) fn boot_image(
        &self,
        image: &str,
        name: &str,
        told: &[(&str, &str)],
        more: &[&str],
    ) -> Machine {
        let (disk, workloads, operator) = (
            self.image.path("data.img"),
            user("10.77.0.0/24", self.workloads, "10.77.0.1:8480"),
            user("10.79.0.0/24", self.link, "10.79.0.15:8482"),
        );
        let wires = [("DATA", &*disk), ("WORKLOADS", &workloads), ("OPERATOR", &operator)];
        Machine::appliance(&self.image.path(image), name, &[&wires, told].concat(), more)
    }

    /// Makes the operator's commands go to the machine that was booted under this name.
    pub(crate) fn enrol(&self, name: &str) {
        let (at, console) = (format!("127.0.0.1:{}", self.link), self.image.path(&format!("{name}.log")));
        self.image.operate(&["image", "enrol", "--at", &at, "--console", &console], "");
    }

    /// A workload's key and a placeholder for reading items of the credential `c`.
    pub(crate) fn permit(&self, to: &str, more: &[&str]) -> (String, String) {
        let key = self.image.operate(&["workload", "add", "robot"], "")["key"].as_str().unwrap().to_owned();
        (key, self.placeholder(to, "robot", more))
    }

    /// The same placeholder, kept for `cloakroom run` in this variable.
    pub(crate) fn permit_kept(&self, to: &str, workload: &str, variable: &str) -> String {
        self.image.operate(&["workload", "add", workload, "--keep"], "");
        self.placeholder(to, workload, &["--variable", variable])
    }

    fn placeholder(&self, to: &str, workload: &str, more: &[&str]) -> String {
        self.image.permit(to, workload, more)
    }

    /// Where workloads reach it.
    pub(crate) fn listener(&self) -> String {
        format!("http://127.0.0.1:{}", self.workloads)
    }

    /// The status of a permitted call, where one came.
    pub(crate) fn call(&self, key: &str, placeholder: &str, destination: u16) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.workloads)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        let request = format!(
            "GET /to/{HOST}:{destination}/v1/items/1 HTTP/1.1\r\nHost: broker\r\nCloakroom-Workload: {key}\r\n\
             Authorization: Bearer {placeholder}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.strip_prefix("HTTP/1.1 ")?.get(..3).map(str::to_owned)
    }
}

/// Destinations are on this machine.
pub(crate) fn settings_with(more: &str) -> String {
    format!("[upstream]\nallow-address = [\"{HOST}/32\"]\n{more}")
}

/// A wire of QEMU's user network that reaches nothing, but one port of it is reached.
fn user(net: &str, port: u16, to: &str) -> String {
    format!("user,restrict=on,net={net},hostfwd=tcp:127.0.0.1:{port}-{to}")
}

pub(crate) fn ready(machine: &mut Machine) {
    machine.line("the broker", |line| line.starts_with("{\"ready\":true"));
}

#[test]
fn t64_t87_t90_a_crash_turns_the_appliance_off_and_what_was_accepted_is_there_at_the_next_start() {
    let Some(parts) = Parts::find() else { return };
    let alone = Alone::new(parts);
    let image = &alone.image;
    let config = image.authority.server_config(&[HOST], &[b"http/1.1"]);
    let upstream = TlsUpstream::start_configured(config, |request, out| echo(request).write_to(out, false));
    let to = format!("https://{HOST}:{}", upstream.port());

    // The second call dies between the record of its intent and its sending.
    let mut first = alone.boot("first", "CLOAKROOM_DIE_AT=before-send:2");
    ready(&mut first);
    alone.enrol("first");
    image.operate(&["credential", "add", "c", "--kind", "bearer", "--to", &to], &shaped("sk_live_"));
    let (key, placeholder) = alone.permit(&to, &["--uses", "3"]);
    assert_eq!(alone.call(&key, &placeholder, upstream.port()).as_deref(), Some("200"));
    assert_eq!(alone.call(&key, &placeholder, upstream.port()), None);
    first.ended();
    assert_eq!(upstream.requests().len(), 1);

    // The same disk: the use that the crash cut off is gone, the third is there, the fourth is not.
    // And its outside address is lent this time, by the DHCP server of QEMU's network.
    let mut second = alone.boot_at("dhcp", "second", "", &[]);
    ready(&mut second);
    assert_eq!(alone.call(&key, &placeholder, upstream.port()).as_deref(), Some("200"));
    assert_eq!(alone.call(&key, &placeholder, upstream.port()).as_deref(), Some("403"));
    assert_eq!(upstream.requests().len(), 2);
    second.tell("shell");
    second.tell("stop");
    assert!(second.ended().success());
    assert!(second.said().contains("stopping") && second.said().contains("the outside address is lent"));
    // Each start tries to start a program, as itself and beside itself, and serves only because it cannot.
    for machine in [&first, &second] {
        assert!(machine.said().contains("closed: no program can be started"));
    }

    // What a thief of the disk has.
    let disk = std::fs::read(image.path("data.img")).unwrap();
    assert!(hunt(&disk).is_empty());
    a_touched_journal_is_not_served_on(&alone);
}

/// Changes one byte of the journal on the disk, where its file system does not notice.
fn a_touched_journal_is_not_served_on(alone: &Alone) {
    let path = alone.image.path("data.img");
    let mut disk = std::fs::read(&path).unwrap();
    let words = b"\"act\":\"workload added\"";
    let places: Vec<usize> = memchr::memmem::find_iter(&disk, words).collect();
    assert!(!places.is_empty());
    for place in places {
        disk[place + 8] ^= 1;
    }
    std::fs::write(&path, disk).unwrap();
    let mut third = alone.boot("third", "");
    third.ended();
    assert!(third.said().contains("the journal does not verify"), "{}", third.said());
    assert!(!third.said().contains("\"ready\":true"));
}

#[test]
fn an_appliance_that_is_told_something_unknown_goes_off_before_it_listens() {
    let Some(parts) = Parts::find() else { return };
    let alone = Alone::new(parts);
    let mut machine = alone.boot("odd", "cloakroom.oparator=eth0,10.0.0.1/8");
    machine.ended();
    let said = machine.said();
    assert!(said.contains("did you mean cloakroom.operator?"), "{said}");
    assert!(!said.contains("\"ready\":true"));
}

#[test]
fn t72_an_appliance_whose_clock_cannot_be_right_goes_off_before_it_listens() {
    let Some(parts) = Parts::find() else { return };
    let alone = Alone::new(parts);
    let mut machine = alone.boot_with("early", "", &["-rtc", "base=2001-01-01T00:00:00"]);
    machine.ended();
    let said = machine.said();
    assert!(said.contains("the clock of this machine is behind"), "{said}");
    assert!(!said.contains("\"ready\":true"));
}
