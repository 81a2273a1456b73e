//! The workload listener, as the tools reach it.

/// What came back: status, and a body that is a document.
#[derive(Debug)]
pub struct Answered {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Nobody answered. The text says where and why, in fixed words and an address.
#[derive(Debug)]
pub struct Unreached(pub String);

/// One request, one answer. Called on a thread that may wait.
pub trait Listener: Send + Sync + 'static {
    /// Asks for a path, or sends a document there. `key` is the workload's.
    ///
    /// # Errors
    /// Where there was no whole answer.
    fn ask(&self, key: Option<&str>, path: &str, document: Option<&str>) -> Result<Answered, Unreached>;
}
