//! The workload side over raw bytes: real custody, store, journal and upstream, in one process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod desync;
mod faults;
mod house;
mod limits;
mod smuggling;
mod tls;
mod ways;
