//! The workload side over raw bytes: real custody, store, journal and upstream, in one process.

mod faults;
mod house;
mod limits;
mod smuggling;
mod tls;
mod ways;
