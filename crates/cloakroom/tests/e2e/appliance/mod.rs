//! The broker as a virtual machine: the image, the machine, and a hostile guest whose only wire ends in it.
//!
//! Which rung this is: two guests of a real hypervisor with a kernel each. Under emulation (TCG, the default: it runs anywhere) that shows the
//! function. Only hardware virtualisation makes a boundary of it: `CLOAKROOM_ACCEL=kvm` runs the same tests on a host that has it.

mod build;
pub(crate) mod life;
mod machine;
mod own;
mod pair;
pub(crate) mod parts;
mod root;
mod tpm;
mod vsock;
mod wire;
