//! The plaintext of one secret: readable in this crate only, on locked pages of its own, wiped on drop.
//!
//! A secret never shares a page with anything else, so that `mlock` (no swap) covers exactly it. Pages go back to a
//! small free list: after warm-up, opening a secret costs no system call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use zeroize::{Zeroize, Zeroizing};

/// One page: room for nearly every secret there is.
const SMALL: usize = 4096;
/// Five pages: the longest secret (16 KiB) and its authentication tag.
const LARGE: usize = 5 * 4096;

static SMALL_FREE: FreeList<SMALL> = FreeList::new(256);
static LARGE_FREE: FreeList<LARGE> = FreeList::new(8);
static UNLOCKED: AtomicUsize = AtomicUsize::new(0);

/// A secret. Neither `Clone`, `Debug`, `Display`, `Deref`, `Serialize` nor `PartialEq`.
pub(crate) struct Secret {
    room: Option<Room>,
    /// How much of the room was ever written: what has to be wiped.
    written: usize,
    length: usize,
}

enum Room {
    Small(Pages<SMALL>),
    Large(Pages<LARGE>),
    /// Longer than any secret we accept; what is composed from one can be.
    Heap(Zeroizing<Vec<u8>>),
}

impl Secret {
    /// Takes over the plaintext.
    pub(crate) fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        let mut secret = Self::with_room(bytes.len());
        secret.writable().copy_from_slice(&bytes);
        secret
    }

    /// Lets `fill` write into `length` zeroed bytes; what it returns is how many of them, from the first, are the secret.
    ///
    /// # Errors
    /// What `fill` returns.
    pub(crate) fn filled<E>(
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Self, E> {
        let mut secret = Self::with_room(length);
        let filled = fill(secret.writable())?;
        secret.length = filled.min(length);
        Ok(secret)
    }

    /// The plaintext.
    pub(crate) fn expose(&self) -> &[u8] {
        match &self.room {
            Some(Room::Small(pages)) => &pages.bytes.0[..self.length],
            Some(Room::Large(pages)) => &pages.bytes.0[..self.length],
            Some(Room::Heap(bytes)) => &bytes[..self.length],
            None => &[],
        }
    }

    fn with_room(length: usize) -> Self {
        let room = match length {
            ..=SMALL => Room::Small(SMALL_FREE.take()),
            _ if length <= LARGE => Room::Large(LARGE_FREE.take()),
            _ => Room::Heap(Zeroizing::new(vec![0; length])),
        };
        Self { room: Some(room), written: length, length }
    }

    fn writable(&mut self) -> &mut [u8] {
        match &mut self.room {
            Some(Room::Small(pages)) => &mut pages.bytes.0[..self.written],
            Some(Room::Large(pages)) => &mut pages.bytes.0[..self.written],
            Some(Room::Heap(bytes)) => bytes.as_mut_slice(),
            None => &mut [],
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.writable().zeroize();
        match self.room.take() {
            Some(Room::Small(pages)) => SMALL_FREE.put(pages),
            Some(Room::Large(pages)) => LARGE_FREE.put(pages),
            Some(Room::Heap(_)) | None => {}
        }
    }
}

/// How many blocks of secret pages could not be locked into memory, because the limit (`ulimit -l`) is too small.
pub(crate) fn unlocked_blocks() -> usize {
    UNLOCKED.load(Ordering::Relaxed)
}

/// Whole pages that hold one secret at a time.
struct Pages<const N: usize> {
    /// INVARIANT: declared before `bytes`, so that the pages are unlocked before they are freed.
    _lock: Option<region::LockGuard>,
    bytes: Box<Aligned<N>>,
}

#[repr(align(4096))]
struct Aligned<const N: usize>([u8; N]);

impl<const N: usize> Pages<N> {
    fn new() -> Self {
        let bytes = Box::new(Aligned([0; N]));
        let lock = region::lock(bytes.0.as_ptr(), N).ok();
        if lock.is_none() {
            UNLOCKED.fetch_add(1, Ordering::Relaxed);
        }
        Self { _lock: lock, bytes }
    }
}

/// Wiped pages, ready for the next secret.
struct FreeList<const N: usize> {
    pages: Mutex<Vec<Pages<N>>>,
    most: usize,
}

impl<const N: usize> FreeList<N> {
    const fn new(most: usize) -> Self {
        Self { pages: Mutex::new(Vec::new()), most }
    }

    fn take(&self) -> Pages<N> {
        let free = self.pages.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.unwrap_or_else(Pages::new)
    }

    fn put(&self, pages: Pages<N>) {
        let mut free = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.most {
            free.push(pages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &[u8] = b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    #[test]
    fn a_secret_of_any_size_is_what_was_put_in() {
        for length in [0, 1, SMALL - 1, SMALL, SMALL + 1, 16 * 1024, LARGE, LARGE + 1] {
            let bytes: Vec<u8> = CANARY.iter().copied().cycle().take(length).collect();
            assert_eq!(Secret::new(Zeroizing::new(bytes.clone())).expose(), bytes);
        }
    }

    #[test]
    fn t88_pages_hold_one_secret_and_are_aligned_and_locked() {
        let secrets: Vec<Secret> = (0..3).map(|_| Secret::new(Zeroizing::new(CANARY.to_vec()))).collect();
        for secret in &secrets {
            assert_eq!(secret.expose().as_ptr() as usize % 4096, 0);
        }
        let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
        if limit.is_none_or(|bytes| bytes >= 8 << 20) {
            assert_eq!(unlocked_blocks(), 0, "the limit {limit:?} leaves room, yet pages are not locked");
        }
    }

    #[test]
    fn t88_what_a_dropped_secret_wrote_is_wiped() {
        // A length of its own: other tests take from the same list.
        let mut secret = Secret::new(Zeroizing::new(CANARY.to_vec()));
        secret.writable().zeroize();
        assert_eq!(secret.expose(), [0; CANARY.len()]);
        drop(secret);
        let free = SMALL_FREE.pages.lock().unwrap();
        for pages in free.iter() {
            assert!(pages.bytes.0.iter().all(|byte| *byte == 0), "a free page holds something");
        }
    }

    #[test]
    fn a_fill_that_fails_leaves_nothing_behind() {
        let failed: Result<Secret, &str> = Secret::filled(CANARY.len(), |bytes| {
            bytes.copy_from_slice(CANARY);
            Err("no")
        });
        assert!(failed.is_err());
        assert!(SMALL_FREE.take().bytes.0.iter().all(|byte| *byte == 0));
    }
}
