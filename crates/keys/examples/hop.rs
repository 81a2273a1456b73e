//! What the way to a token costs: `cargo run --release -p cloakroom-keys --example hop -- '{"module":…}'`, with the settings as JSON
//! that the broker hands to `cloakroom hsm`, and a PIN file in them. Figures for a decision, not for a test.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement for people")]

use cloakroom_keys::{TokenSettings, Typed, keep, work};
use cloakroom_model::pkcs11::{Answer, Ask, LONGEST, Question};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io::{Read, Write, stdin, stdout};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments[1] == "work" {
        return work(&arguments[2], stdin().lock(), stdout().lock()).unwrap();
    }
    let settings = arguments[1].clone();
    let _: TokenSettings = serde_json::from_str(&settings).unwrap();
    println!(
        "an empty process        {:?}",
        mean(|| assert!(Command::new("/bin/true").status().unwrap().success()))
    );
    println!("a packet there and back {:?}", packets());
    let (mut here, there) = pair();
    let keeper = std::thread::spawn(move || {
        let worker = || {
            let mut worker = Command::new("/proc/self/exe");
            worker.args(["work", &settings]);
            worker
        };
        keep(&settings, there, worker).unwrap();
    });
    here.write_all(Typed::write(b"").packet()).unwrap();
    let wrapped = asked(&mut here, Ask::Wrap, &[7; 64]);
    println!("unwrap, a worker each   {:?}", mean(|| drop(asked(&mut here, Ask::Unwrap, &wrapped))));
    drop(here);
    keeper.join().unwrap();
}

fn asked(keeper: &mut UnixStream, ask: Ask, bytes: &[u8]) -> Vec<u8> {
    keeper.write_all(&Question { number: 1, ask, bytes }.write()).unwrap();
    let mut packet = vec![0; LONGEST];
    let length = keeper.read(&mut packet).unwrap();
    Answer::parse(&packet[..length]).unwrap().outcome.unwrap().to_vec()
}

fn pair() -> (UnixStream, UnixStream) {
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    (pair.0.into(), pair.1.into())
}

fn packets() -> Duration {
    let (mut here, mut there) = pair();
    let echo = std::thread::spawn(move || {
        let mut packet = [0; 128];
        while let Ok(length @ 1..) = there.read(&mut packet) {
            there.write_all(&packet[..length]).unwrap();
        }
    });
    let mut packet = [0; 128];
    let mean = mean(|| {
        here.write_all(&packet).unwrap();
        here.read_exact(&mut packet).unwrap();
    });
    drop(here);
    echo.join().unwrap();
    mean
}

fn mean(mut once: impl FnMut()) -> Duration {
    once();
    let begun = Instant::now();
    (0..ROUNDS).for_each(|_| once());
    begun.elapsed() / ROUNDS
}
