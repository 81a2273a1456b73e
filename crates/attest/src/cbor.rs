//! As much of CBOR (RFC 8949) as a Nitro document is written in: integers, byte and text strings, arrays, maps, null; tags are skipped.

use crate::EvidenceError;

const CUT: EvidenceError = EvidenceError::Malformed("it is cut short, or not written in CBOR");
/// Deeper than any document.
const DEEPEST: u8 = 8;

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// Also negative ones: -1 is written as 0 of the other kind.
    Unsigned(u64),
    Negative(u64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Item<'a>>),
    Map(Vec<(Item<'a>, Item<'a>)>),
    Null,
}

impl<'a> Item<'a> {
    /// All of these bytes as one item.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, EvidenceError> {
        let mut reader = Reader(bytes);
        let item = reader.item(0)?.ok_or(CUT)?;
        reader.0.is_empty().then_some(item).ok_or(EvidenceError::Malformed("something follows it"))
    }

    /// The member of a map, which must be there once.
    pub(crate) fn member(&self, key: &Item<'_>) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        let mut found = pairs.iter().filter(|(name, _)| name == key).map(|(_, value)| value);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// `None` for the end of an item without a length.
    fn item(&mut self, depth: u8) -> Result<Option<Item<'a>>, EvidenceError> {
        if depth > DEEPEST {
            return Err(CUT);
        }
        let first = self.take(1)?[0];
        let (kind, short) = (first >> 5, first & 0x1f);
        if first == 0xff {
            return Ok(None);
        }
        let count = if short == 31 { None } else { Some(self.argument(short)?) };
        let open = |count: Option<u64>| count.ok_or(CUT);
        Ok(Some(match kind {
            0 => Item::Unsigned(open(count)?),
            1 => Item::Negative(open(count)?),
            2 => Item::Bytes(self.string(open(count)?)?),
            3 => Item::Text(std::str::from_utf8(self.string(open(count)?)?).map_err(|_| CUT)?),
            4 => Item::Array(self.items(count, depth)?),
            5 => {
                let all = self.items(count.map(|pairs| pairs.saturating_mul(2)), depth)?;
                if all.len() % 2 != 0 {
                    return Err(CUT);
                }
                let mut all = all.into_iter();
                let mut pairs = Vec::new();
                while let (Some(name), Some(value)) = (all.next(), all.next()) {
                    pairs.push((name, value));
                }
                Item::Map(pairs)
            }
            6 => return self.item(depth + 1),
            _ if first == 0xf6 => Item::Null,
            _ => return Err(CUT),
        }))
    }

    /// So many, or, without a count, up to the end.
    fn items(&mut self, count: Option<u64>, depth: u8) -> Result<Vec<Item<'a>>, EvidenceError> {
        let mut all = Vec::new();
        while count.is_none_or(|count| (all.len() as u64) < count) {
            match self.item(depth + 1)? {
                Some(item) => all.push(item),
                None if count.is_none() => break,
                None => return Err(CUT),
            }
        }
        Ok(all)
    }

    fn string(&mut self, length: u64) -> Result<&'a [u8], EvidenceError> {
        self.take(usize::try_from(length).map_err(|_| CUT)?)
    }

    fn argument(&mut self, short: u8) -> Result<u64, EvidenceError> {
        let length = match short {
            0..=23 => return Ok(u64::from(short)),
            24..=27 => 1 << (short - 24),
            _ => return Err(CUT),
        };
        Ok(self.take(length)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], EvidenceError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_documents_are_written_in_is_read_and_what_is_cut_or_too_deep_is_not() {
        // {"a": [1, -2, h'03'], "b": null}, once with lengths and once without; behind a tag.
        let with = b"\xd2\xa2\x61a\x83\x01\x21\x41\x03\x61b\xf6";
        let without = b"\xbf\x61a\x9f\x01\x21\x41\x03\xff\x61b\xf6\xff";
        let read = Item::read(with).unwrap();
        assert_eq!(read, Item::read(without).unwrap());
        let list = read.member(&Item::Text("a")).unwrap();
        assert_eq!(*list, Item::Array(vec![Item::Unsigned(1), Item::Negative(1), Item::Bytes(&[3])]));
        assert!(read.member(&Item::Text("c")).is_none());
        for end in 0..with.len() {
            assert!(Item::read(&with[..end]).is_err(), "cut at {end}");
        }
        assert!(Item::read(&[&with[..], &[0]].concat()).is_err());
        assert!(Item::read(&[0x81; 40]).is_err());
        assert!(Item::read(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
        // A member that is there twice is not there.
        assert!(Item::read(b"\xa2\x61a\x01\x61a\x02").unwrap().member(&Item::Text("a")).is_none());
    }
}
