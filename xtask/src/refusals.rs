//! The refusal codes, read from the one place that defines them.

use crate::fault::Fault;
use crate::shell::root;
use std::fs;

/// One code.
pub(crate) struct RefusalCode {
    /// As it stands in answers: `call-not-permitted`.
    pub(crate) text: String,
    /// As it stands in Rust: `CallNotPermitted`.
    pub(crate) variant: String,
}

/// Every code in `crates/model/src/refusal.rs`.
pub(crate) fn codes() -> Result<Vec<RefusalCode>, Fault> {
    let source = fs::read_to_string(root().join("crates/model/src/refusal.rs"))?;
    let codes: Vec<RefusalCode> = source.lines().filter_map(parse).collect();
    match codes.len() {
        0 => Err(Fault::new("crates/model/src/refusal.rs: no codes found; did its layout change?")),
        _ => Ok(codes),
    }
}

/// `    MalformedCall "malformed-call" 400 "…"`.
fn parse(line: &str) -> Option<RefusalCode> {
    let mut words = line.split_ascii_whitespace();
    let (variant, text, status) = (words.next()?, words.next()?, words.next()?);
    let text = text.strip_prefix('"')?.strip_suffix('"')?;
    status.parse::<u16>().ok()?;
    Some(RefusalCode { text: text.into(), variant: variant.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_found_in_their_source() {
        let codes = codes().unwrap();
        assert!(codes.iter().any(|code| code.text == "malformed-call" && code.variant == "MalformedCall"));
        assert!(codes.iter().any(|code| code.text == "internal-fault"));
    }
}
