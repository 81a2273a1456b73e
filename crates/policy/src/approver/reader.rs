//! The wire form of SSH (RFC 4251, section 5): lengths and bytes. A reader that never reads past its end.

use super::sshsig::Unreadable;

pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], Unreadable> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Unreadable> {
        self.take(4)?.try_into().map(u32::from_be_bytes).map_err(|_| Unreadable)
    }

    /// `string`.
    pub(super) fn string(&mut self) -> Result<&'b [u8], Unreadable> {
        let length = self.u32()?;
        self.take(usize::try_from(length).map_err(|_| Unreadable)?)
    }

    /// `mpint`, positive, without the zero that keeps it so.
    pub(super) fn number(&mut self) -> Result<&'b [u8], Unreadable> {
        let bytes = self.string()?;
        match bytes {
            [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Ok(rest),
            [first, ..] if (1..0x80).contains(first) => Ok(bytes),
            _ => Err(Unreadable),
        }
    }

    /// Nothing may follow: two spellings of one signature would be two signatures.
    pub(super) fn end(self) -> Result<(), Unreadable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable) }
    }
}
