//! The bytes of TPM structures: big-endian, sized buffers with two bytes of length (`TPM2B_…`).

use crate::error::TpmError;
use zeroize::Zeroizing;

/// Writes structures. What it holds may be secret, so it is wiped.
#[derive(Default)]
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(crate) fn new() -> Self {
        // Room for any command: growing would leave copies behind.
        Self(Zeroizing::new(Vec::with_capacity(2048)))
    }

    pub(crate) fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn two(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn four(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A sized buffer. Nothing of ours comes near 64 KiB.
    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        self.two(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).raw(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads structures; what is cut short is no answer.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], TpmError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(TpmError::Answer("it is cut short"))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, TpmError> {
        self.raw(1).map(|bytes| bytes[0])
    }

    pub(crate) fn two(&mut self) -> Result<u16, TpmError> {
        self.raw(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn four(&mut self) -> Result<u32, TpmError> {
        self.raw(4).map(|bytes| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(crate) fn sized(&mut self) -> Result<&'a [u8], TpmError> {
        let length = self.two()?;
        self.raw(usize::from(length))
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn end(self) -> Result<(), TpmError> {
        self.0.is_empty().then_some(()).ok_or(TpmError::Answer("something follows it"))
    }
}
