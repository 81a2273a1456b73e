//! What the lists answer, call by call, computed as the kernel does; and a real process that is closed in and tries.

use super::calls::{Group, HOUSE, KERNEL, KEYS, OTHERS, PROGRAMS, RINGS, SERVING, by_every_number};
use super::serving;
use libc::*;
use nix::sys::ptrace;
use nix::unistd::Pid;
use seccompiler::BpfProgram;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const ABSENT: u32 = 0x0005_0000 | ENOSYS as u32;
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xC000_00B7;
/// Names the attempt to the child; see [`a_child_of_the_test`].
const ATTEMPT: &str = "CLOAKROOM_TEST_ATTEMPT";

/// Classic BPF, as far as filters use it (`Documentation/networking/filter.rst`).
fn run(program: &BpfProgram, data: &[u8]) -> u32 {
    let (mut at, mut value) = (0, 0);
    loop {
        let step = &program[at];
        let jump = |taken: bool| usize::from(if taken { step.jt } else { step.jf });
        at += 1;
        match step.code {
            0x20 => {
                let from = step.k as usize;
                value = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
            }
            0x54 => value &= step.k,
            0x05 => at += step.k as usize,
            0x15 => at += jump(value == step.k),
            0x25 => at += jump(value > step.k),
            0x35 => at += jump(value >= step.k),
            0x06 => return step.k,
            other => panic!("an instruction that is not known here: {other:#x}"),
        }
    }
}

/// What both lists together answer: the kernel takes the strictest, and actions are numbered so that, as signed numbers, stricter is less.
fn answer(call: i64, arguments: &[u64]) -> u32 {
    let mut data = Vec::new();
    data.extend(u32::try_from(call).unwrap().to_le_bytes());
    data.extend(ARCHITECTURE.to_le_bytes());
    data.extend([0; 8]);
    (0..6).for_each(|at| data.extend(arguments.get(at).copied().unwrap_or_default().to_le_bytes()));
    let answers = serving::programs(false).unwrap().map(|program| run(&program, &data));
    answers.into_iter().min_by_key(|answer| (answer & 0xffff_0000).cast_signed()).unwrap()
}

fn numbers(groups: &[&[Group]]) -> BTreeSet<i64> {
    groups.iter().copied().flatten().copied().flatten().copied().collect()
}

#[test]
fn t110_t111_what_an_intruder_does_first_ends_the_process_by_whatever_number_it_is_called() {
    let mut first = numbers(&[PROGRAMS, OTHERS, HOUSE, KERNEL, KEYS]);
    first.insert(SYS_listen);
    for call in first.iter().flat_map(|call| by_every_number(*call)) {
        assert_eq!(answer(call, &[]), KILL, "{call}");
    }
    assert!(first.is_disjoint(&numbers(&[SERVING])));
}

#[test]
fn what_is_on_no_list_does_not_exist() {
    let listed = numbers(&[SERVING, PROGRAMS, OTHERS, HOUSE, KERNEL, KEYS]);
    // Told apart by their arguments.
    let judged =
        [SYS_listen, SYS_clone, SYS_mmap, SYS_mprotect, SYS_prlimit64, SYS_tgkill, SYS_kill, SYS_socket];
    let judged: BTreeSet<i64> = judged.into_iter().chain([SYS_socketpair, SYS_ioctl, SYS_prctl]).collect();
    let other = |call: &i64| !listed.contains(call) && !judged.contains(call);
    let others: Vec<i64> = (0..600).filter(other).collect();
    assert!(others.len() > 300 && numbers(&[RINGS]).iter().all(|ring| others.contains(ring)));
    for call in others {
        assert_eq!(answer(call, &[]), ABSENT, "{call}");
    }
    for call in numbers(&[SERVING]) {
        assert_eq!(answer(call, &[]), ALLOW, "{call}");
    }
}

#[test]
fn what_a_call_may_be_asked_for_is_told_apart_by_its_arguments() {
    let own = u64::from(std::process::id());
    let (exec, rw) = (PROT_EXEC as u64, (PROT_READ | PROT_WRITE) as u64);
    let thread = 0x1_0000;
    for (call, good, wrong, otherwise) in [
        (SYS_mmap, vec![0, 4096, rw], vec![0, 4096, rw | exec], ABSENT),
        (SYS_mprotect, vec![0, 4096, rw], vec![0, 4096, exec], ABSENT),
        (SYS_clone, vec![thread | 0x11], vec![0x11], KILL),
        // A pointer whose lower half is zero is one.
        (SYS_prlimit64, vec![0, 7, 0], vec![0, 7, 0x7f00_0000_0000], ABSENT),
        (SYS_tgkill, vec![own, own, 6], vec![own + 1, own + 1, 6], ABSENT),
        (SYS_kill, vec![own, 15], vec![1, 9], ABSENT),
        (SYS_socketpair, vec![AF_UNIX as u64], vec![AF_INET as u64], ABSENT),
        (SYS_socket, vec![AF_INET6 as u64], vec![AF_VSOCK as u64], ABSENT),
        (SYS_socket, vec![AF_INET as u64], vec![AF_PACKET as u64], ABSENT),
        // Other programs of the machine: what Landlock does not scope.
        (SYS_socket, vec![AF_INET as u64], vec![AF_UNIX as u64], ABSENT),
        (SYS_socket, vec![AF_INET as u64], vec![AF_NETLINK as u64], ABSENT),
        // The upper half of a number is not read by the kernel either.
        (SYS_socket, vec![1 << 32 | AF_INET as u64], vec![1 << 32 | AF_VSOCK as u64], ABSENT),
        (SYS_ioctl, vec![0, FIONBIO], vec![0, TIOCSTI], ABSENT),
        (SYS_prctl, vec![PR_SET_NAME as u64], vec![PR_SET_DUMPABLE as u64], ABSENT),
        (SYS_prctl, vec![PR_GET_DUMPABLE as u64], vec![PR_SET_PTRACER as u64], ABSENT),
    ] {
        assert_eq!(answer(call, &good), ALLOW, "{call} {good:x?}");
        assert_eq!(answer(call, &wrong), otherwise, "{call} {wrong:x?}");
    }
    assert_eq!(
        answer(SYS_clone3, &[]),
        ABSENT,
        "its arguments lie where no filter looks: the C library falls back to clone"
    );
    assert_eq!(answer(SYS_reboot, &[]), ABSENT, "only an appliance turns its machine off");
}

/// Not a test by itself: [`t111_a_process_that_is_closed_in_cannot_trace_another`] starts this program anew to be here.
#[test]
fn a_child_of_the_test() {
    let Ok(attempt) = std::env::var(ATTEMPT) else { return };
    let (how, other) = attempt.split_once(' ').unwrap();
    if how == "closed" {
        super::filter::apply(&serving::programs(false).unwrap()).unwrap();
    }
    let other = Pid::from_raw(other.parse().unwrap());
    ptrace::attach(other).unwrap();
    nix::sys::wait::waitpid(other, None).unwrap();
    ptrace::detach(other, None).unwrap();
}

#[test]
fn t111_a_process_that_is_closed_in_cannot_trace_another() {
    let mut other = Command::new("sleep").arg("1000").spawn().unwrap();
    let child = |how: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "confine::tests::a_child_of_the_test", "--nocapture"]);
        child.env(ATTEMPT, format!("{how} {}", other.id())).output().unwrap().status
    };
    let (open, closed) = (child("open"), child("closed"));
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(open.success(), "without the lists it works: {open}");
    assert_eq!(closed.signal(), Some(SIGSYS));
}
