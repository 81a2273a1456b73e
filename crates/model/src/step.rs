//! The steps of a call, as they are timed.

/// A step of a call that can take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Which permits allow it.
    Authorize,
    /// A human is asked.
    Approve,
    /// Uses are spent, the intent is recorded, secrets are opened and put in.
    Arm,
    /// To the destination, up to the head of its reply.
    Send,
    /// The reply's body, on its way back.
    Scrub,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 5] = [Self::Authorize, Self::Approve, Self::Arm, Self::Send, Self::Scrub];

    /// As labels and spans have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Approve => "approve",
            Self::Arm => "arm",
            Self::Send => "send",
            Self::Scrub => "scrub",
        }
    }
}
