//! What can go wrong with a TPM, told apart by who has to do something about it.

/// Why a TPM did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// It is not there, or it hung up.
    #[error("the TPM does not answer: {0}")]
    Unreachable(#[from] std::io::Error),
    /// What it answered is no answer, or not from the TPM that was asked.
    #[error("the TPM's answer cannot be relied on: {0}")]
    Answer(&'static str),
    /// It is busy, or its lockout is on.
    #[error("the TPM asks to be asked later (code {0:#05x})")]
    Busy(u32),
    /// The PCRs are not as they were when it was sealed.
    #[error("the machine's PCRs are not as they were when the key was sealed")]
    Measurements,
    /// It was sealed by another TPM.
    #[error("it was sealed by another TPM")]
    Another,
    /// A hierarchy has a password.
    #[error("the TPM's owner hierarchy has a password")]
    OwnerPassword,
    /// Anything else that it says.
    #[error("the TPM refuses (code {0:#05x})")]
    Code(u32),
    /// What was sealed is damaged, or of another version.
    #[error("this is nothing that a TPM sealed for us")]
    Damaged,
    /// The operating system or the cryptography library failed.
    #[error("the cryptography library failed to {0}")]
    Cryptography(&'static str),
}

impl TpmError {
    /// Of a response code (Part 2, 6.6).
    pub(crate) fn of_code(code: u32) -> Self {
        const FORMAT_ONE: u32 = 0x080;
        // In format one, bits 8 to 11 say which handle, session or parameter it is about, and bit 6 that it is a parameter.
        let bare = if code & FORMAT_ONE != 0 { code & 0x0bf } else { code };
        match bare {
            0x09d => Self::Measurements,          // TPM_RC_POLICY_FAIL
            0x128 => Self::Measurements,          // TPM_RC_PCR_CHANGED
            0x09f => Self::Another,               // TPM_RC_INTEGRITY
            0x08e | 0x0a2 => Self::OwnerPassword, // TPM_RC_AUTH_FAIL, TPM_RC_BAD_AUTH
            // TPM_RC_YIELDED, CANCELED, TESTING, NV_RATE, LOCKOUT, RETRY, NV_UNAVAILABLE; INITIALIZE: it starts just now.
            0x908 | 0x909 | 0x90a | 0x920 | 0x921 | 0x922 | 0x923 | 0x100 => Self::Busy(code),
            _ => Self::Code(code),
        }
    }

    /// Whether the same question may be answered later, without anybody's doing.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Answer(_) | Self::Busy(_))
    }
}
