//! Places where a test lets the process die, or a call panic. Nothing of this is in a release build.

#[cfg(debug_assertions)]
mod places {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError};

    /// Names the place where the process dies, and at which pass: `durable`, `durable:3`.
    const VARIABLE: &str = "CLOAKROOM_DIE_AT";

    static DEATH: LazyLock<Option<(String, AtomicU64)>> = LazyLock::new(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (name, pass) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU64::new(pass.parse().ok()?)))
    });

    static PANIC: Mutex<Option<&'static str>> = Mutex::new(None);

    /// Dies here when the test wants it: at once, without a destructor or a flush, as by SIGKILL.
    ///
    /// # Panics
    /// Where [`panic_at`] says so.
    #[expect(clippy::panic, reason = "that is what it is for")]
    pub fn point(name: &str) {
        if let Some((wanted, left)) = &*DEATH
            && wanted == name
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            std::process::abort();
        }
        if *PANIC.lock().unwrap_or_else(PoisonError::into_inner) == Some(name) {
            panic!("a test wants a panic {name}");
        }
    }

    /// Lets whoever comes to this place in this process panic from now on.
    pub fn panic_at(name: Option<&'static str>) {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = name;
    }
}

#[cfg(debug_assertions)]
pub use places::{panic_at, point};

/// Nothing.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &str) {}
