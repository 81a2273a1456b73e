//! The benchmark bed: nginx as TLS upstream and as yardstick, our broker in each way in, one load client.
//!
//! Everything runs on loopback on this machine, so ratios within one run mean something and figures of different
//! machines do not. It measures and writes a table; it asserts nothing about time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a broken bench must stop"
)]

mod bed;
mod callgrind;
mod machine;
mod server;

use bed::Bed;
use std::path::PathBuf;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [broker, directory, only @ ..] = arguments.as_slice() else {
        panic!("usage: bench BROKER_BINARY DIRECTORY MODE ..; run it as cargo xtask bench");
    };
    machine::pin(std::process::id(), machine::REST);
    let bed = Bed::new(broker);
    callgrind::run(&bed, &PathBuf::from(directory), only);
}
