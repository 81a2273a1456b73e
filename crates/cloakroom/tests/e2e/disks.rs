//! Real disks under the journal that fill up, freeze and lose files (T91): the next call is refused, none reaches the upstream, and it
//! goes on by itself. Mounting takes root; without it a test says so and what it leaves out.
#![cfg(target_os = "linux")]

use crate::support::{BINARY, eventually, item, items};
use cloakroom_testkit::{Broker, BrokerBuilder, TestAuthority, TlsUpstream, Way, Workload, echo, shaped};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own for the journal. Dropped, it is thawed and unmounted.
pub(crate) struct Disk {
    root: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn at(&self) -> PathBuf {
        self.root.path().join("mnt")
    }

    /// `None`, and said, where nothing may be mounted.
    #[expect(clippy::print_stderr, reason = "says what is left out")]
    fn mount(prepare: impl FnOnce(&Path), options: &[&str]) -> Option<Self> {
        let disk = Self { root: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.at()).unwrap();
        prepare(disk.root.path());
        let mounted =
            Command::new("mount").args(options).arg(disk.at()).current_dir(disk.root.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(disk),
            other => {
                eprintln!("left out: no file system can be mounted here ({other:?})");
                None
            }
        }
    }

    pub(crate) fn tmpfs(size: &str) -> Option<Self> {
        Self::mount(|_| (), &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
    }

    pub(crate) fn ext4() -> Option<Self> {
        let make = |root: &Path| {
            let image = root.join("image");
            std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
            let made = Command::new("mkfs.ext4").arg("-q").arg(&image).output();
            assert!(made.as_ref().is_ok_and(|made| made.status.success()), "{made:?}");
        };
        Self::mount(make, &["-o", "loop", "image"])
    }

    pub(crate) fn freeze(&self) {
        assert!(Command::new("fsfreeze").arg("-f").arg(self.at()).status().unwrap().success());
    }

    pub(crate) fn thaw(&self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(self.at()).output();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.thaw();
        let _ = Command::new("umount").arg(self.at()).output();
    }
}

/// A broker whose journal is on that disk. In the order of what is dropped first.
struct Stage {
    broker: Broker,
    upstream: TlsUpstream,
    robot: Workload,
    issued: String,
    disk: Option<Disk>,
    _settings: tempfile::NamedTempFile,
}

impl Stage {
    fn new(disk: Option<Disk>) -> Self {
        let authority = TestAuthority::new();
        let mut settings = tempfile::NamedTempFile::new().unwrap();
        settings.write_all(b"[journal]\nwrite-timeout = \"2s\"\n").unwrap();
        let builder = BrokerBuilder::new(BINARY, &authority).argument("--config").argument(settings.path());
        let mut broker = builder.start();
        if let Some(disk) = &disk {
            broker.stop();
            let (own, there) = (broker.data().join("journal"), disk.at().join("journal"));
            assert!(Command::new("cp").arg("-a").arg(&own).arg(&there).status().unwrap().success());
            std::fs::remove_dir_all(&own).unwrap();
            std::os::unix::fs::symlink(&there, &own).unwrap();
            broker.launch();
        }
        let robot = broker.workload("robot");
        let upstream = TlsUpstream::start(&authority, echo);
        broker.deposit("c", "bearer", &[&upstream.url()], &shaped("sk_live_"));
        let issued = broker.permit("c", "robot", &items(&upstream), &[]).text;
        Self { broker, upstream, robot, issued, disk, _settings: settings }
    }

    fn segment(&self) -> PathBuf {
        self.broker.data().join("journal/00000001.seg")
    }

    fn call(&self, way: Way) -> (u16, Option<String>) {
        let answer = self.broker.call(way, Some(&self.robot), &item(&self.upstream, "1", &self.issued));
        (answer.status, answer.code())
    }

    /// However a call comes, it is refused and does not go out.
    fn refused(&self, why: &str) {
        let before = self.upstream.requests().len();
        for way in Way::ALL {
            assert_eq!(self.call(way), (503, Some("journal-unavailable".into())), "{why}");
        }
        assert_eq!(self.upstream.requests().len(), before, "{why}: nothing reached the upstream");
    }

    fn recovers(&self, why: &str) {
        eventually(why, || (self.call(Way::Connect).0 == 200).then_some(()));
    }

    /// Each call that was answered is on record, whole.
    fn nothing_is_lost(&self) {
        self.broker.verify_journal();
        let answered = self.upstream.requests().len();
        let records = self.broker.cli_json(&["journal", "show"]);
        let intents = records.as_array().unwrap().iter().filter(|record| record["entry"]["kind"] == "intent");
        assert!(intents.count() >= answered, "{answered} calls reached the upstream");
    }
}

#[test]
fn t91_on_a_full_file_system_no_call_is_made_and_with_room_it_goes_on() {
    let Some(disk) = Disk::tmpfs("256k") else { return };
    let stage = Stage::new(Some(disk));
    assert_eq!(stage.call(Way::Connect).0, 200);
    let ballast = stage.disk.as_ref().unwrap().at().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    // What is left of the last page still fits.
    eventually("the page is full", || (stage.call(Way::Connect).0 == 503).then_some(()));
    stage.refused("the file system is full");
    drop(file);
    std::fs::remove_file(ballast).unwrap();
    stage.recovers("there is room again");
    stage.nothing_is_lost();
}

#[test]
fn t91_on_a_frozen_or_write_protected_file_system_no_call_is_made_and_it_goes_on_when_that_ends() {
    let Some(disk) = Disk::ext4() else { return };
    let stage = Stage::new(Some(disk));
    assert_eq!(stage.call(Way::Connect).0, 200);
    stage.disk.as_ref().unwrap().freeze();
    stage.refused("the file system is frozen");
    let added = stage.broker.run(&["workload", "add", "other"]);
    assert!(!added.status.success() && added.stderr.contains("has not answered"), "{added:?}");
    stage.disk.as_ref().unwrap().thaw();
    stage.recovers("it is thawed");
    stage.nothing_is_lost();
    let protect = |how: &str| {
        assert!(Command::new("chattr").arg(how).arg(stage.segment()).status().unwrap().success());
    };
    protect("+i");
    stage.refused("the segment is immutable");
    protect("-i");
    stage.recovers("it may be written again");
    stage.nothing_is_lost();
}

#[test]
fn t91_a_segment_that_is_renamed_cut_or_replaced_by_a_pipe_stops_calls_until_it_is_back() {
    let stage = Stage::new(None);
    assert_eq!(stage.call(Way::Connect).0, 200);
    let (segment, aside) = (stage.segment(), stage.broker.data().join("aside"));
    let pipe = stage.broker.data().join("pipe");
    // In one step: a segment that is gone is put back as soon as somebody writes.
    std::fs::hard_link(&segment, &aside).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(&pipe, &segment).unwrap();
    stage.refused("the segment is a pipe");
    std::fs::rename(&aside, &segment).unwrap();
    stage.recovers("the segment is back");

    std::fs::remove_file(&segment).unwrap();
    // Refused, unless the outcome of the call before was written meanwhile and found it gone.
    assert!(matches!(stage.call(Way::Connect).0, 200 | 503), "the segment is deleted");
    stage.recovers("it was put back");
    assert!(segment.exists());

    let whole = std::fs::read(&segment).unwrap();
    let file = OpenOptions::new().write(true).open(&segment).unwrap();
    file.set_len(whole.len() as u64 - 1).unwrap();
    stage.refused("the segment is cut");
    file.write_all_at(&whole, 0).unwrap();
    stage.recovers("it is whole again");
    stage.nothing_is_lost();
}
