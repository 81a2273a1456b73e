//! The machine's console, the host's own wire into it: one word is known there, `stop`. No shell, no login, nothing that answers.

use rustix::process::{Signal, getpid, kill_process};
use std::io::{BufRead, BufReader, Read, stdin};

/// What the host may say.
const STOP: &str = "stop";
/// A line that is longer is no word of ours.
const LONGEST: u64 = 4096;

/// Waits beside everything else for the word, and lets the broker finish its calls then.
pub(super) fn listen_for_stop() {
    std::thread::spawn(|| {
        let mut lines = BufReader::new(stdin());
        loop {
            let mut line = Vec::new();
            match lines.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim_ascii() == STOP.as_bytes() => {
                    let _ = kill_process(getpid(), Signal::TERM);
                }
                Ok(_) => {}
            }
        }
    });
}
