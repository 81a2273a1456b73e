//! A short phrase for a text, so that two screens can be compared by eye or aloud.
//!
//! Six words of 256 and four digits from the SHA-256 of the text: 61 bits. It is no signature and replaces none; it shows that two
//! screens show the same text.

use aws_lc_rs::digest::{SHA256, digest};

/// The phrase of this text, byte for byte.
///
/// The words are picked by the first six bytes of the SHA-256, the digits are the next four bytes as a number, modulo ten thousand.
pub fn phrase(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let bytes = hash.as_ref();
    let words: Vec<&str> = bytes.iter().take(6).map(|byte| WORDS[usize::from(*byte)]).collect();
    let number = bytes.iter().skip(6).take(4).fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{} {:04}", words.join(" "), number % 10_000)
}

/// Short, common, and unlike each other: no two begin with the same four letters. INVARIANT: never changed; phrases are read from paper too.
#[rustfmt::skip]
const WORDS: [&str; 256] = [
    "acid", "acorn", "actor", "adult", "agent", "alarm", "album", "alley", "almond", "amber", "anchor", "angle", "apple", "april", "apron", "arrow",
    "atlas", "attic", "author", "autumn", "avenue", "badge", "bakery", "balcony", "banana", "barrel", "basket", "beach", "beaver", "bench", "berry", "bicycle",
    "bishop", "blanket", "blue", "bottle", "branch", "bread", "bridge", "bronze", "brush", "bucket", "butter", "cabin", "cactus", "camel", "candle", "canyon",
    "carpet", "castle", "cedar", "cello", "chain", "cherry", "chimney", "circle", "citrus", "clay", "clock", "cloud", "coffee", "comet", "copper", "coral",
    "cotton", "cousin", "crane", "cricket", "crystal", "curtain", "dairy", "dance", "delta", "desert", "diary", "dinner", "doctor", "dolphin", "donkey", "dragon",
    "drum", "eagle", "earth", "echo", "elbow", "elder", "empire", "engine", "envelope", "evening", "fabric", "falcon", "farmer", "feather", "fence", "fiddle",
    "finger", "flame", "flute", "forest", "fossil", "fountain", "fridge", "frost", "gallery", "garden", "garlic", "gentle", "ginger", "giraffe", "glacier", "glove",
    "goblet", "gold", "grape", "gravel", "guitar", "hammer", "harbor", "harvest", "hazel", "helmet", "herring", "hill", "hockey", "honey", "hotel", "hunter",
    "icicle", "igloo", "indigo", "island", "ivory", "jacket", "jaguar", "jelly", "jewel", "juice", "jungle", "kettle", "kidney", "kitchen", "kiwi", "knight",
    "ladder", "lagoon", "lantern", "laurel", "lemon", "letter", "lilac", "linen", "lion", "lizard", "lobster", "lotus", "lumber", "magnet", "mango", "maple",
    "marble", "meadow", "melon", "mercury", "mirror", "mitten", "monkey", "moon", "mosaic", "mountain", "museum", "mustard", "napkin", "needle", "nephew", "nickel",
    "north", "nutmeg", "ocean", "october", "olive", "onion", "opera", "orange", "orchid", "otter", "oven", "oyster", "paddle", "palace", "panther", "paper",
    "parrot", "peach", "pebble", "pencil", "pepper", "piano", "pigeon", "pillow", "planet", "plum", "pocket", "poem", "pony", "potato", "prairie", "pumpkin",
    "puzzle", "quarry", "queen", "quilt", "rabbit", "radio", "raven", "ribbon", "river", "robin", "rocket", "ruby", "saddle", "salmon", "sandal", "satin",
    "school", "silver", "sister", "sketch", "spider", "spoon", "spring", "stable", "statue", "sugar", "summer", "sunset", "table", "tailor", "temple", "thunder",
    "tiger", "timber", "tomato", "trumpet", "tulip", "turtle", "uncle", "urban", "valley", "velvet", "violin", "walnut", "whale", "willow", "yellow", "zebra",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_unlike_each_other() {
        let starts: std::collections::BTreeSet<&str> =
            WORDS.iter().map(|word| &word[..word.len().min(4)]).collect();
        assert_eq!(starts.len(), 256);
        assert!(WORDS.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase()) && word.len() <= 8));
        assert!(WORDS.is_sorted());
    }

    #[test]
    fn t75_one_byte_makes_another_phrase() {
        // SHA-256 of nothing begins e3b0c44298fc 1c149afb: the vector everybody has.
        let number = 0x1c14_9afb_u32 % 10_000;
        let words = [0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc].map(|at: usize| WORDS[at]);
        assert_eq!(phrase(""), format!("{} {number:04}", words.join(" ")));
        let texts = [
            "may GET https://a/x\n",
            "may GET https://a/y\n",
            "may GET https://a/x",
            "may GET https://a/x \n",
        ];
        let phrases: std::collections::BTreeSet<String> = texts.map(phrase).into();
        assert_eq!(phrases.len(), 4);
    }
}
