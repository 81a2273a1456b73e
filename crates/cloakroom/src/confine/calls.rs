//! System calls by their names, in groups that say what they are for.
//!
//! x86-64 has many calls that later architectures never had (`open` beside `openat`); they stand in lists of their own, empty elsewhere.

use libc::*;

/// Calls of one purpose, by number.
pub(crate) type Group = &'static [i64];

/// Start a program or become one. `clone` is not among them: it makes threads too, and its first argument tells ([`THREAD`]).
pub(crate) const PROGRAMS: &[Group] = &[&[SYS_execve, SYS_execveat], OLD_FORKS];
#[cfg(target_arch = "x86_64")]
const OLD_FORKS: Group = &[SYS_fork, SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const OLD_FORKS: Group = &[];
/// `CLONE_THREAD`, in the first argument of `clone`.
pub(crate) const THREAD: u64 = 0x1_0000;

/// Look into another process, or into what it has open.
pub(crate) const OTHERS: &[Group] =
    &[&[SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp, SYS_pidfd_getfd]];

/// Change what is where: file systems, namespaces, swap, device nodes, and handles that open files past their directories.
pub(crate) const HOUSE: &[Group] = &[
    &[SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_swapon, SYS_swapoff, SYS_open_tree],
    &[SYS_move_mount, SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr],
    &[SYS_setns, SYS_unshare, SYS_mknodat, SYS_name_to_handle_at, SYS_open_by_handle_at],
    OLD_NODES,
];
#[cfg(target_arch = "x86_64")]
const OLD_NODES: Group = &[SYS_mknod];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NODES: Group = &[];

/// Put code into the kernel, or watch it from inside.
pub(crate) const KERNEL: &[Group] = &[
    &[SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, KEXEC_FILE_LOAD],
    &[SYS_bpf, SYS_perf_event_open, SYS_userfaultfd],
    PORTS,
];
#[cfg(target_arch = "x86_64")]
const PORTS: Group = &[SYS_iopl, SYS_ioperm];
#[cfg(not(target_arch = "x86_64"))]
const PORTS: Group = &[];
/// `include/uapi/asm-generic/unistd.h`; not every C library names it.
#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: i64 = SYS_kexec_file_load;
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: i64 = 294;

/// Keyrings, which no namespace scopes.
pub(crate) const KEYS: &[Group] = &[&[SYS_add_key, SYS_request_key, SYS_keyctl]];

/// `io_uring`: it opens and connects without the calls that a filter sees.
pub(crate) const RINGS: &[Group] = &[&[SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register]];

/// What a program must be told does not exist, so that the C library falls back: the arguments of `clone3` lie where no filter can look.
pub(crate) const CLONE3: &[Group] = &[&[SYS_clone3]];

/// Make a socket, of the family that the first argument says.
pub(crate) const SOCKETS: &[Group] = &[&[SYS_socket, SYS_socketpair]];
/// `AF_UNIX`: other processes of the machine.
pub(crate) const LOCAL: u64 = AF_UNIX as u64;
/// `AF_INET`, `AF_INET6`.
pub(crate) const NETWORK: [u64; 2] = [AF_INET as u64, AF_INET6 as u64];
/// `AF_VSOCK`: other machines of the host, and the host.
pub(crate) const VSOCK: u64 = AF_VSOCK as u64;
/// `AF_NETLINK`: the routes and addresses of a network namespace.
pub(crate) const ROUTES: u64 = AF_NETLINK as u64;

/// Everything that the running broker does, and nothing else: the list that `serve` closes itself in with. What some call may be asked for
/// by its arguments stands in `serving.rs`.
pub(crate) const SERVING: &[Group] = &[
    // Memory. Mapping and protecting are told apart by their argument.
    &[SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_mlock, SYS_mlock2, SYS_munlock, SYS_membarrier],
    // Threads, and the end of the process.
    &[SYS_futex, SYS_set_robust_list, SYS_rseq, SYS_sched_yield, SYS_sched_getaffinity, SYS_gettid],
    &[SYS_getcpu, SYS_exit, SYS_exit_group, SYS_restart_syscall, SYS_get_robust_list],
    // Signals: SIGTERM drains, SIGHUP reads the certificate again.
    &[SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_rt_sigtimedwait],
    // The clock, timers, random bytes.
    &[SYS_clock_gettime, SYS_clock_nanosleep, SYS_clock_getres, SYS_nanosleep, SYS_gettimeofday],
    &[SYS_getrandom],
    // Waiting.
    &[SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_ppoll, SYS_eventfd2],
    &[SYS_pipe2],
    // Files, which Landlock bounds: the store, the journal, sources of secrets.
    &[SYS_openat, SYS_openat2, SYS_close, SYS_close_range, SYS_read, SYS_write, SYS_readv, SYS_writev],
    &[SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_lseek],
    &[SYS_fstat, SYS_newfstatat, SYS_statx, SYS_faccessat, SYS_faccessat2, SYS_statfs, SYS_fstatfs],
    &[SYS_fcntl, SYS_flock, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate, SYS_fadvise64],
    &[SYS_renameat2, SYS_unlinkat, SYS_linkat, SYS_mkdirat, SYS_readlinkat, SYS_getdents64, SYS_getcwd],
    &[SYS_fchmod, SYS_fchmodat, SYS_fchown, SYS_umask, SYS_dup, SYS_dup3, SYS_copy_file_range],
    // Connections. No `listen`: what listens was opened before.
    &[SYS_connect, SYS_bind, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_setsockopt],
    &[SYS_accept4, SYS_shutdown, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_recvfrom, SYS_recvmsg],
    &[SYS_recvmmsg],
    // Who and where it is.
    &[SYS_getpid, SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_uname, SYS_sysinfo],
    &[SYS_getrusage],
    // The end of a helper that was started before, such as the one that holds a PKCS#11 module.
    &[SYS_wait4, SYS_waitid],
    OLD_SERVING,
];
#[cfg(target_arch = "x86_64")]
const OLD_SERVING: Group = &[
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_rename,
    SYS_renameat,
    SYS_unlink,
    SYS_link,
    SYS_mkdir,
    SYS_readlink,
    SYS_chmod,
    SYS_poll,
    SYS_epoll_wait,
    SYS_accept,
    SYS_time,
    SYS_rmdir,
    SYS_getdents,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_SERVING: Group = &[SYS_accept];

/// x86-64's kernel also takes the calls of its 32-bit kin by these numbers (`arch/x86/entry/syscalls/syscall_64.tbl`): with a bit set, and some
/// by other numbers. A list of what is denied has to have both.
#[cfg(target_arch = "x86_64")]
pub(crate) fn by_every_number(call: i64) -> Vec<i64> {
    const X32: i64 = 0x4000_0000;
    const RENUMBERED: [(i64, i64); 7] = [
        (SYS_ioctl, 514),
        (SYS_execve, 520),
        (SYS_ptrace, 521),
        (SYS_kexec_load, 528),
        (SYS_process_vm_readv, 539),
        (SYS_process_vm_writev, 540),
        (SYS_execveat, 545),
    ];
    let other = RENUMBERED.iter().find(|(number, _)| *number == call).map(|(_, other)| X32 | other);
    [call, X32 | call].into_iter().chain(other).collect()
}

/// Other architectures have one number for each call.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn by_every_number(call: i64) -> Vec<i64> {
    vec![call]
}
