//! What follows the head: chunks of 64 KiB, each sealed under its number, the last one marked so that nothing can be cut off.

use super::x25519::chacha;
use super::{AgeError, Identity, Recipient, header};
use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use std::io::{BufRead, Error, ErrorKind, Read, Write};
use zeroize::Zeroizing;

const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
const NONCE: usize = 16;

/// Encrypts what is written to it. [`Sealer::finish`] ends the file: without it, it is cut off, and does not open.
pub struct Sealer<W: Write> {
    to: W,
    key: LessSafeKey,
    number: u64,
    chunk: Zeroizing<Vec<u8>>,
}

/// Decrypts a file. What it gives is authentic, chunk by chunk; that it is whole is known at its end only.
pub struct Opener<R: BufRead> {
    from: R,
    key: LessSafeKey,
    number: u64,
    chunk: Zeroizing<Vec<u8>>,
    read: usize,
    is_last: bool,
}

impl<W: Write> Sealer<W> {
    /// Begins a file that any of these can open.
    ///
    /// # Errors
    /// When there are none, or the head cannot be written.
    pub fn begin(recipients: &[Recipient], mut to: W) -> Result<Self, AgeError> {
        if recipients.is_empty() {
            return Err(AgeError::Nobody);
        }
        let (file_key, head) = header::write(recipients)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| AgeError::Cryptography)?;
        to.write_all(&head)?;
        to.write_all(&nonce)?;
        let key = chacha(&Salt::new(HKDF_SHA256, &nonce), &*file_key, b"payload")?;
        // Reserved whole: growing would leave copies behind.
        Ok(Self { to, key, number: 0, chunk: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)) })
    }

    /// Writes the last chunk, and gives back what was written to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> std::io::Result<W> {
        self.put(true)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn put(&mut self, is_last: bool) -> std::io::Result<()> {
        let nonce = nonce(self.number, is_last);
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut *self.chunk);
        sealed.map_err(|_| Error::other("the cryptography library failed"))?;
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number += 1;
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // A full chunk is written once it is known that it is not the last.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.put(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

impl<R: BufRead> Opener<R> {
    /// Opens a file that was encrypted to the recipient of one of these identities.
    ///
    /// # Errors
    /// When it is no such file, or for nobody of them.
    pub fn begin(identities: &[Identity], mut from: R) -> Result<Self, AgeError> {
        let file_key = header::read(&mut from, identities)?;
        let mut nonce = [0; NONCE];
        from.read_exact(&mut nonce)?;
        let key = chacha(&Salt::new(HKDF_SHA256, &nonce), &*file_key, b"payload")?;
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK + TAG));
        Ok(Self { from, key, number: 0, chunk, read: 0, is_last: false })
    }

    fn next(&mut self) -> std::io::Result<()> {
        let broken = |what| Error::new(ErrorKind::InvalidData, what);
        self.chunk.clear();
        self.read = 0;
        (&mut self.from).take((CHUNK + TAG) as u64).read_to_end(&mut self.chunk)?;
        self.is_last = self.from.fill_buf()?.is_empty();
        let nonce = nonce(self.number, self.is_last);
        let opened = self.key.open_in_place(nonce, Aad::empty(), &mut self.chunk);
        let length = opened.map_err(|_| broken("the file was changed or cut off"))?.len();
        self.chunk.truncate(length);
        // Only a file without content has an empty chunk.
        if length == 0 && self.number > 0 {
            return Err(broken("the file has an empty chunk at its end"));
        }
        self.number += 1;
        Ok(())
    }
}

impl<R: BufRead> Read for Opener<R> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        if self.read == self.chunk.len() && !self.is_last {
            self.next()?;
        }
        let left = &self.chunk[self.read..];
        let taken = left.len().min(room.len());
        room[..taken].copy_from_slice(&left[..taken]);
        self.read += taken;
        Ok(taken)
    }
}

/// Eleven bytes of the chunk's number, big-endian, and whether it is the last.
fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut bytes = [0; 12];
    bytes[3..11].copy_from_slice(&number.to_be_bytes());
    bytes[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(bytes)
}
