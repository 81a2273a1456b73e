//! Texts that open something: workload keys, API tokens, sessions. Made here, shown once, kept as keyed hashes only.

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 43 base62 symbols: 256 bits.
const SYMBOLS: usize = 43;

/// A prefix that says what it opens, and 43 symbols that nobody guesses.
pub(crate) fn fresh(prefix: &str) -> Result<String, getrandom::Error> {
    let (mut text, whole) = (String::from(prefix), prefix.len() + SYMBOLS);
    let mut buffer = [0u8; 64];
    while text.len() < whole {
        getrandom::fill(&mut buffer)?;
        // Bytes above the largest multiple of 62 are dropped, so that every symbol is equally likely.
        let fair =
            buffer.iter().filter(|byte| **byte < 248).map(|byte| char::from(BASE62[usize::from(byte % 62)]));
        text.extend(fair.take(whole - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_text_is_a_prefix_and_43_symbols_and_never_the_same() {
        let (one, two) = (fresh("cwk_").unwrap(), fresh("cwk_").unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 47);
        assert!(one.starts_with("cwk_") && one[4..].bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}
