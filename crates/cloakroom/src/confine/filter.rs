//! Filters of system calls: what is answered how, made into what the kernel takes. `run`, `init` and `serve` write theirs with it.

use super::calls::{Group, by_every_number};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: TargetArch = TargetArch::aarch64;

/// What the kernel does instead of a call that a filter does not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Says that it is not permitted (`EPERM`).
    Refused,
    /// Says that there is no such call (`ENOSYS`): programs fall back to an older one.
    Absent,
    /// Says that there is no such family of sockets (`EAFNOSUPPORT`).
    NoFamily,
    /// Ends the whole process at once (`SIGSYS`), and notes the call in the kernel's log.
    Killed,
}

impl Answer {
    fn action(self) -> SeccompAction {
        let errno = |errno: i32| SeccompAction::Errno(errno.unsigned_abs());
        match self {
            Self::Refused => errno(libc::EPERM),
            Self::Absent => errno(libc::ENOSYS),
            Self::NoFamily => errno(libc::EAFNOSUPPORT),
            Self::Killed => SeccompAction::KillProcess,
        }
    }
}

/// What one argument of a call has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Is {
    /// This value.
    Exactly(u64),
    /// Anything but this value.
    Not(u64),
    /// None of these bits is set.
    Without(u64),
    /// All of these bits are set.
    With(u64),
    /// No pointer.
    Null,
}

/// A test of one argument, counted from 0. SECURITY: of numbers the kernel reads the lower 32 bits, and so does the test; of pointers all 64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Argument(pub(crate) u8, pub(crate) Is);

impl Argument {
    fn condition(self) -> Result<SeccompCondition, BackendError> {
        let (length, operator, value) = match self.1 {
            Is::Exactly(value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value),
            Is::Not(value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value),
            Is::Without(bits) => (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), 0),
            Is::With(bits) => (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), bits),
            Is::Null => (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0),
        };
        SeccompCondition::new(self.0, length, operator, value)
    }
}

/// Calls that are picked out.
#[derive(Default)]
pub(crate) struct Calls(BTreeMap<i64, Vec<SeccompRule>>);

impl Calls {
    /// None.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// These, whatever their arguments.
    #[must_use]
    pub(crate) fn all(mut self, groups: &[Group]) -> Self {
        self.0.extend(groups.iter().copied().flatten().map(|call| (*call, Vec::new())));
        self
    }

    /// These, where every one of the tests is met. Said twice of a call, either will do.
    ///
    /// # Errors
    /// Where the kernel has no such argument.
    pub(crate) fn when(mut self, groups: &[Group], tests: &[Argument]) -> Result<Self, BackendError> {
        for call in groups.iter().copied().flatten() {
            let conditions = tests.iter().map(|test| test.condition()).collect::<Result<Vec<_>, _>>()?;
            self.0.entry(*call).or_default().push(SeccompRule::new(conditions)?);
        }
        Ok(self)
    }

    /// Everything is let through but these, by whatever number they are called.
    ///
    /// # Errors
    /// Where it gets too long for the kernel.
    pub(crate) fn are(self, answer: Answer) -> Result<BpfProgram, BackendError> {
        let everywhere = |(call, rules): (i64, Vec<SeccompRule>)| {
            by_every_number(call).into_iter().map(move |number| (number, rules.clone()))
        };
        let rules = self.0.into_iter().flat_map(everywhere).collect();
        SeccompFilter::new(rules, SeccompAction::Allow, answer.action(), ARCHITECTURE)?.try_into()
    }

    /// Only these are let through.
    ///
    /// # Errors
    /// Where it gets too long for the kernel.
    pub(crate) fn are_all_there_is(self, otherwise: Answer) -> Result<BpfProgram, BackendError> {
        SeccompFilter::new(self.0, otherwise.action(), SeccompAction::Allow, ARCHITECTURE)?.try_into()
    }
}

/// Puts filters on every thread of this process and on all it will start. They cannot be taken off; of several the kernel takes the strictest
/// answer.
///
/// # Errors
/// Where the kernel refuses.
pub(crate) fn apply(programs: &[BpfProgram]) -> Result<(), seccompiler::Error> {
    programs.iter().try_for_each(|program| seccompiler::apply_filter_all_threads(program))
}
