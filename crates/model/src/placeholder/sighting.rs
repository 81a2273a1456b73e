//! Finding placeholders in text, plain or encoded.

use super::decoded::decodings;
use super::stretch::Stretches;
use super::{Alphabet, CoreId, LookupKey};

/// How many times text may be encoded one encoding inside another before the hunt gives up.
const DEPTH: usize = 3;

impl LookupKey {
    /// Every placeholder in `text`, each once, as it is or under up to three layers of percent, base64, hex, JSON, HTML or
    /// UTF-16 encoding. `known` tells whether a core is in the table; where the tag has its full length, the tag alone
    /// decides.
    pub fn sightings(&self, text: &[u8], known: &dyn Fn(CoreId) -> bool) -> Vec<CoreId> {
        let mut seen = Vec::new();
        self.hunt(text, known, 0, &mut seen);
        seen
    }

    fn hunt(&self, text: &[u8], known: &dyn Fn(CoreId) -> bool, depth: usize, seen: &mut Vec<CoreId>) {
        for stretch in Stretches::new(text) {
            self.find(stretch, known, seen);
            if depth < DEPTH {
                decodings(stretch, &mut |decoded| self.hunt(decoded, known, depth + 1, seen));
            }
        }
    }

    /// Every core in `text` as it stands.
    fn find(&self, text: &[u8], known: &dyn Fn(CoreId) -> bool, seen: &mut Vec<CoreId>) {
        for run in runs(text, |b| b.is_ascii_alphanumeric()) {
            self.find_in_run(Alphabet::Base62, run, known, seen);
            if run.len() >= Alphabet::Base32.shortest() {
                for part in runs(run, |b| matches!(b, b'A'..=b'Z' | b'2'..=b'7')) {
                    self.find_in_run(Alphabet::Base32, part, known, seen);
                }
            }
            if run.len() >= Alphabet::Hex.shortest() {
                for part in runs(run, |b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    self.find_in_run(Alphabet::Hex, part, known, seen);
                }
            }
        }
        self.find_uuids(text, known, seen);
    }

    fn find_in_run(
        &self,
        alphabet: Alphabet,
        run: &[u8],
        known: &dyn Fn(CoreId) -> bool,
        seen: &mut Vec<CoreId>,
    ) {
        let core_length = alphabet.core_length();
        let mut at = 0;
        while at + alphabet.shortest() <= run.len() {
            let (core, after) = run[at..].split_at(core_length);
            match self.tagged(alphabet, core, after, known) {
                Some(id) => {
                    note(id, seen);
                    at += alphabet.shortest();
                }
                None => at += 1,
            }
        }
    }

    fn tagged(
        &self,
        alphabet: Alphabet,
        core: &[u8],
        after: &[u8],
        known: &dyn Fn(CoreId) -> bool,
    ) -> Option<CoreId> {
        let mut bits = self.tag(alphabet, core);
        let mut matched = 0;
        for byte in after.iter().take(alphabet.full_tag()) {
            if alphabet.take_symbol(&mut bits) != *byte {
                break;
            }
            matched += 1;
        }
        if matched < Alphabet::SHORTEST_TAG {
            return None;
        }
        let id = self.core_id(alphabet, core);
        (matched == alphabet.full_tag() || known(id)).then_some(id)
    }

    fn find_uuids(&self, text: &[u8], known: &dyn Fn(CoreId) -> bool, seen: &mut Vec<CoreId>) {
        for run in runs(text, |b| b == b'-' || b.is_ascii_hexdigit()) {
            for window in run.windows(36).filter(|w| [8, 13, 18, 23].iter().all(|dash| w[*dash] == b'-')) {
                let mut digits = [0u8; 32];
                let mut given = window.iter().filter(|b| **b != b'-').map(u8::to_ascii_lowercase);
                digits.iter_mut().zip(&mut given).for_each(|(digit, byte)| *digit = byte);
                // Four dashes, no more: then the digits are 32.
                if window.iter().filter(|b| **b == b'-').count() == 4 {
                    let (core, tag) = digits.split_at(Alphabet::Uuid.core_length());
                    if let Some(id) = self.tagged(Alphabet::Uuid, core, tag, known) {
                        note(id, seen);
                    }
                }
            }
        }
    }
}

fn note(id: CoreId, seen: &mut Vec<CoreId>) {
    if !seen.contains(&id) {
        seen.push(id);
    }
}

/// The maximal runs of bytes that satisfy `inside`.
pub(super) fn runs(text: &[u8], inside: impl Fn(u8) -> bool) -> impl Iterator<Item = &[u8]> {
    text.split(move |byte| !inside(*byte)).filter(|run| !run.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::{Minted, Piece, Shape};
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    fn key() -> LookupKey {
        LookupKey::from_bytes(&[3; 32])
    }

    fn shapes() -> Vec<Shape> {
        vec![
            Shape::prefixed("sk_live_", Alphabet::Base62, 32),
            Shape::prefixed("sk-proj-", Alphabet::Base62, 164),
            Shape::new(vec![
                Piece::Literal("ghp_".into()),
                Piece::Core(Alphabet::Base62, 30),
                Piece::Checksum,
            ]),
            Shape::prefixed("", Alphabet::Hex, 40),
            Shape::prefixed("AKIA", Alphabet::Base32, 20),
            Shape::prefixed("", Alphabet::Uuid, 36),
        ]
    }

    fn seen(minted: &Minted, text: &[u8]) -> bool {
        let core = minted.core;
        key().sightings(text, &|id| id == core).contains(&core)
    }

    #[test]
    fn a_placeholder_is_seen_anywhere_in_text() {
        for shape in shapes() {
            let minted = key().mint(&shape).unwrap();
            let text = format!("/a/x{}y?b=1", minted.text.reveal());
            let plain = format!("Bearer {}", minted.text.reveal());
            assert!(seen(&minted, plain.as_bytes()), "{shape:?}");
            if !matches!(shape.pieces()[0], Piece::Core(Alphabet::Hex, _)) {
                assert!(seen(&minted, text.as_bytes()), "{shape:?}");
            }
        }
    }

    #[test]
    fn t15_an_encoded_placeholder_is_seen() {
        for shape in shapes() {
            let minted = key().mint(&shape).unwrap();
            let text = minted.text.reveal();
            let percent: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
            let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
            let json: String = text.bytes().map(|b| format!("\\u{b:04x}")).collect();
            let html: String = text.bytes().map(|b| format!("&#{b};")).collect();
            let html_hex: String = text.bytes().map(|b| format!("&#x{b:x};")).collect();
            let wide: Vec<u8> = text.bytes().flat_map(|b| [b, 0]).collect();
            for (what, encoded) in [
                ("percent", percent.clone().into_bytes()),
                ("percent twice", percent.replace('%', "%25").into_bytes()),
                ("hex", hex.clone().into_bytes()),
                ("upper hex", hex.to_uppercase().into_bytes()),
                ("json", json.clone().into_bytes()),
                ("json twice", json.replace('\\', "\\\\").into_bytes()),
                ("html", html.into_bytes()),
                ("html hex", html_hex.into_bytes()),
                ("utf-16", wide),
                ("base64", STANDARD.encode(text).into_bytes()),
                ("base64 at 1", STANDARD.encode(format!("u{text}")).into_bytes()),
                ("base64 at 2", STANDARD.encode(format!("u:{text}")).into_bytes()),
                ("base64url", URL_SAFE_NO_PAD.encode(format!("user:{text}")).into_bytes()),
                ("base64 of percent", STANDARD.encode(&percent).into_bytes()),
                ("base64 of base64", STANDARD.encode(STANDARD.encode(text)).into_bytes()),
                ("percent and plain mixed", text.replacen('s', "%73", 1).into_bytes()),
            ] {
                assert!(seen(&minted, &encoded), "{what} of {shape:?}");
            }
        }
    }

    #[test]
    fn other_text_is_not_taken_for_a_placeholder() {
        let text: String = (0..20_000u32).map(|i| format!("{:x}Zq", i.wrapping_mul(2_654_435_761))).collect();
        assert_eq!(key().sightings(text.as_bytes(), &|_| false), []);
        let other = LookupKey::from_bytes(&[4; 32]).mint(&shapes()[0]).unwrap();
        assert_eq!(key().sightings(other.text.reveal().as_bytes(), &|_| false), []);
    }

    #[test]
    fn t16_each_placeholder_is_seen_once_however_often_it_stands_there() {
        let (one, two) = (key().mint(&shapes()[2]).unwrap(), key().mint(&shapes()[0]).unwrap());
        let (first, second) = (one.text.reveal(), two.text.reveal());
        let text = format!("a%20{first} {first},{second} {}", STANDARD.encode(second));
        let known = |id| id == one.core || id == two.core;
        assert_eq!(key().sightings(text.as_bytes(), &known), [one.core, two.core]);
    }

    /// The hunt without stretches, as it was before there were any.
    fn slowly(
        key: &LookupKey,
        text: &[u8],
        known: &dyn Fn(CoreId) -> bool,
        depth: usize,
        seen: &mut Vec<CoreId>,
    ) {
        key.find(text, known, seen);
        if depth < DEPTH {
            decodings(text, &mut |decoded| slowly(key, decoded, known, depth + 1, seen));
        }
    }

    fn layer() -> impl Strategy<Value = fn(&str) -> String> {
        let layers: [fn(&str) -> String; 8] = [
            |text| text.to_owned(),
            |text| text.bytes().map(|b| format!("%{b:02x}")).collect(),
            |text| text.bytes().map(|b| format!("\\u{b:04x}")).collect(),
            |text| text.bytes().map(|b| format!("&#{b};")).collect(),
            |text| text.bytes().map(|b| format!("{b:02X}")).collect(),
            |text| STANDARD.encode(text),
            |text| text.replace('%', "%25").replace('\\', "\\\\").replace('"', "\\\""),
            |text| text.replace('e', "\\\"%65").replace('a', "a\r\n"),
        ];
        prop::sample::select(layers.to_vec())
    }

    proptest! {
        #[test]
        fn t15_searching_stretches_finds_what_searching_everything_finds(
            shape in prop::sample::select(shapes()),
            layers in prop::collection::vec(layer(), 0..4),
            before in "[a-z%&\"\\\\:;, =_/\r\n-]{0,12}",
            after in "[a-z%&\"\\\\:;, =_/\r\n-]{0,12}",
        ) {
            let minted = key().mint(&shape).unwrap();
            let text = layers.iter().fold(minted.text.reveal().to_owned(), |text, layer| layer(&text));
            let text = format!("{before}{text}{after}");
            let known = |id| id == minted.core;
            let mut expected = Vec::new();
            slowly(&key(), text.as_bytes(), &known, 0, &mut expected);
            let mut found = key().sightings(text.as_bytes(), &known);
            expected.sort();
            found.sort();
            prop_assert_eq!(found, expected, "{}", text);
        }
    }
}
