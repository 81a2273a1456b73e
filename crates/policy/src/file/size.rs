//! Sizes: a plain number of bytes, or a number with B, KiB or MiB.

use super::complaint::Complaints;
use super::reader::Value;

/// Reads a size from 1 to `most` bytes.
pub(super) fn read(value: &Value<'_, '_>, most: u64, to: &mut Complaints<'_>) -> Option<u64> {
    let size = match value.value.as_str() {
        Some(text) => parse(text),
        None => value.integer().and_then(|bytes| u64::try_from(bytes).ok()),
    };
    match size {
        Some(0) => value.complain(to, "no byte at all", "write type = \"none\" to allow no body"),
        Some(bytes) if bytes > most => value.complain(
            to,
            format!("more than {} MiB", most >> 20),
            "bodies that are looked into are kept in memory",
        ),
        Some(bytes) => return Some(bytes),
        None => {
            value.complain(to, "not a size", "write a number of bytes, or one with B, KiB or MiB: \"64KiB\"")
        }
    }
    None
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit: u64 = match text[digits..].trim_start_matches(' ') {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_size_has_a_binary_unit_or_none() {
        for (text, bytes) in [("5", 5), ("64KiB", 65_536), ("64 KiB", 65_536), ("2MiB", 2 << 20), ("7B", 7)] {
            assert_eq!(super::parse(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "KiB",
            "64kb",
            "64KB",
            "64K",
            "1GiB",
            "-1",
            "1.5MiB",
            "99999999999999999999",
            "17592186044416MiB",
        ] {
            assert_eq!(super::parse(text), None, "{text}");
        }
    }
}
