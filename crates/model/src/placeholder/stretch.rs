//! Where in a text a placeholder could stand at all, plain or encoded: what is left out is never decoded.
//!
//! Whatever the encoding, each symbol of a placeholder is at least one byte of the text, and that byte is one of a few:
//! a letter or digit, a sign of base64, a byte of an escape, or filler. A placeholder therefore lies inside one
//! *stretch*: a maximal run of such bytes, of its shortest length or more. Ordinary text has none, because a blank, a quote, a
//! comma, a colon, a dot or a bracket ends a run.
//!
//! INVARIANT: every byte that `decoded` reads as part of an escape, a digit pair or a base64 text is in `CARRIES`; the one
//! exception is the `"` of `\"`, which decodes to itself. So decoding a text means decoding its stretches, one by one.

/// The shortest text that can hold a placeholder's core and tag.
pub(super) const SHORTEST: usize = 24;

const CARRIES: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"+/-_%\\&#;\0\r\n";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] |= byte.is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

fn carries(byte: u8) -> bool {
    CARRIES[usize::from(byte)]
}

/// The stretches of a text, in order.
pub(super) struct Stretches<'t> {
    rest: &'t [u8],
}

impl<'t> Stretches<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { rest: text }
    }
}

impl<'t> Iterator for Stretches<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        // Looking from the end of the shortest stretch backwards, most bytes of ordinary text are never looked at.
        while let Some(last) = self.rest.get(..SHORTEST)?.iter().rposition(|byte| !carries(*byte)) {
            self.rest = &self.rest[last + 1..];
        }
        let more = self.rest[SHORTEST..].iter().position(|byte| !carries(*byte));
        let (stretch, rest) = self.rest.split_at(more.map_or(self.rest.len(), |more| SHORTEST + more));
        self.rest = rest;
        Some(stretch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by looking at every byte.
    fn slowly(text: &[u8]) -> Vec<&[u8]> {
        text.split(|byte| !carries(*byte)).filter(|run| run.len() >= SHORTEST).collect()
    }

    proptest! {
        #[test]
        fn the_stretches_are_the_runs_that_are_long_enough(
            runs in prop::collection::vec((20usize..30, "[ \",.:=]{0,3}"), 0..8)
        ) {
            let text: Vec<u8> = runs.iter().flat_map(|(length, end)| [vec![b'a'; *length], end.clone().into_bytes()].concat()).collect();
            prop_assert_eq!(Stretches::new(&text).collect::<Vec<_>>(), slowly(&text));
        }
    }

    #[test]
    fn ordinary_text_has_no_stretch() {
        let text = br#"{"amount":4200,"currency":"eur","note":"two tickets, row 7","url":"https://api.example.com/v1"}"#;
        assert_eq!(Stretches::new(text).count(), 0);
        assert_eq!(Stretches::new(b"").count(), 0);
        assert_eq!(Stretches::new(&[b'a'; SHORTEST]).count(), 1);
        assert_eq!(Stretches::new(&[b'a'; SHORTEST - 1]).count(), 0);
    }
}
