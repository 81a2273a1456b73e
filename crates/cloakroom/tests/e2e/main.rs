//! The whole broker, as a user has it: the real binary on a directory of its own, driven by its CLI, called by raw and
//! by real clients, in front of loopback upstreams that record what they got. One test binary: linking takes time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod appliance;
mod approvals;
mod approvers;
mod authorization_server;
mod aws;
mod capture;
mod carriers;
mod classes;
mod clients;
mod corpora;
mod crash;
mod custody;
mod disks;
mod ends;
mod epoch;
mod events;
mod eyes;
mod grants;
mod grpc;
mod h2;
mod h2_peers;
mod handover;
mod holders;
mod holdings;
mod hostile;
mod internet;
mod kills;
mod learn;
mod lifecycle;
mod listener;
mod lock;
mod logins;
mod openbao;
mod outputs;
mod parked;
mod passkeys;
mod policies;
mod pressure;
mod record;
mod repeats;
mod reply;
mod run;
mod scenarios;
mod signing;
mod sources;
mod steered;
mod support;
mod systemd;
mod trailers;
mod upstreams;
mod uses;
mod ways;
mod websocket;
