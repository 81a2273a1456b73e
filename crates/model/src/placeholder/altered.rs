//! Finding placeholders whose end was altered: the core is one of ours, the tag is not its tag.

use super::decoded::decodings;
use super::sighting::runs;
use super::stretch::Stretches;
use super::{Alphabet, CoreId, LookupKey};

impl LookupKey {
    /// A known core in `text`, whatever stands behind it, as it is or under one layer of encoding. For texts in which
    /// [`Self::sightings`] found nothing: each place is looked up, which is too dear for calls that are in order.
    pub fn altered(&self, text: &[u8], known: &dyn Fn(CoreId) -> bool) -> Option<CoreId> {
        let mut found = self.core_in(text, known);
        for stretch in Stretches::new(text) {
            decodings(stretch, &mut |decoded| found = found.or_else(|| self.core_in(decoded, known)));
        }
        found
    }

    fn core_in(&self, text: &[u8], known: &dyn Fn(CoreId) -> bool) -> Option<CoreId> {
        [Alphabet::Base62, Alphabet::Base32, Alphabet::Hex].into_iter().find_map(|alphabet| {
            let windows =
                runs(text, |b| is_symbol(alphabet, b)).flat_map(|run| run.windows(alphabet.core_length()));
            windows.map(|core| self.core_id(alphabet, core)).find(|id| known(*id))
        })
    }
}

fn is_symbol(alphabet: Alphabet, byte: u8) -> bool {
    match alphabet {
        Alphabet::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
        Alphabet::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        _ => byte.is_ascii_alphanumeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LookupKey, Shape};
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn another_end_does_not_hide_a_core_and_another_core_is_nobodys() {
        let key = LookupKey::from_bytes(&[3; 32]);
        for (prefix, alphabet, length) in
            [("sk_live_", Alphabet::Base62, 32), ("", Alphabet::Hex, 40), ("AKIA", Alphabet::Base32, 20)]
        {
            let shape = Shape::prefixed(prefix, alphabet, length);
            let minted = key.mint(&shape).unwrap();
            let known = |id| id == minted.core;
            let (kept, tag) = minted.text.reveal().split_at(prefix.len() + alphabet.core_length());
            let other = |b: char| if b == '7' { '6' } else { '7' };
            let altered = format!("{kept}{}", tag.chars().map(other).collect::<String>());
            assert_eq!(key.sightings(altered.as_bytes(), &known), [], "{shape:?}");
            let user = STANDARD.encode(format!("x:{altered}"));
            for shown in [altered.clone(), format!("Bearer {altered}"), format!("Basic {user}")] {
                assert_eq!(key.altered(shown.as_bytes(), &known), Some(minted.core), "{shown}");
            }
            assert_eq!(key.altered(altered.as_bytes(), &|_| false), None);
            assert_eq!(key.altered(b"Bearer sk_live_0123456789abcdefghijklmnopqrstuv", &known), None);
        }
    }
}
