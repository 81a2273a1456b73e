//! The only secret in the test suite.

/// The canary: what stands for a real credential in every test.
pub const CANARY: &str = "canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

/// The part of the canary that no other text in a test can hold by chance. [`crate::hunt`] looks for this.
pub const TAIL: &str = "7Q2mZ9xKp4Lw8RtY3vNc6HsD";

/// The canary in the format of some service: its public prefix, then the canary's tail.
pub fn shaped(prefix: &str) -> String {
    format!("{prefix}{TAIL}")
}
