//! `cargo xtask bench hop`: what it costs to ask another process: a question and an answer of 64 bytes each over a socket pair, as a process that
//! kept the keys would have to be asked for each secret. Asserts nothing.

use crate::fault::Fault;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Instant;

const QUESTIONS: u32 = 50_000;
/// What a wrapped data key, its context and a verdict come to.
const LENGTH: usize = 64;

/// Measures and prints.
pub(crate) fn measure() -> Result<(), Fault> {
    let (mut near, far) = UnixStream::pair()?;
    let far: OwnedFd = far.into();
    // `cat` answers what it is asked: the least that any process could do.
    let mut other = Command::new("cat")
        .arg("-u")
        .stdin(Stdio::from(far.try_clone()?))
        .stdout(Stdio::from(far))
        .spawn()?;
    let mut bytes = [7; LENGTH];
    let mut ask = |times: u32| -> Result<f64, Fault> {
        let begun = Instant::now();
        for _ in 0..times {
            near.write_all(&bytes)?;
            near.read_exact(&mut bytes)?;
        }
        Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(times))
    };
    ask(QUESTIONS / 10)?;
    let mut rounds = (0..5).map(|_| ask(QUESTIONS / 5)).collect::<Result<Vec<_>, _>>()?;
    rounds.sort_by(f64::total_cmp);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!(
        "there and back, µs: {:.1} (least of 5 rounds), {:.1} (median), {:.1} (most); load {}",
        rounds[0],
        rounds[2],
        rounds[4],
        load.trim()
    );
    let _ = other.kill();
    let _ = other.wait();
    Ok(())
}
