//! CBOR as authenticators write it (CTAP2 canonical form, a part of RFC 8949): every length in its shortest form, none
//! indefinite. A reader that never reads past its end.

use super::Unreadable;

/// How deep a value that is passed over may nest.
const DEPTH: u8 = 8;

pub(super) struct Cbor<'b>(&'b [u8]);

impl<'b> Cbor<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// An integer of either sign.
    pub(super) fn integer(&mut self) -> Result<i64, Unreadable> {
        match self.head()? {
            (0, value) => i64::try_from(value).map_err(|_| Unreadable),
            (1, value) => i64::try_from(value).map(|value| -1 - value).map_err(|_| Unreadable),
            _ => Err(Unreadable),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'b [u8], Unreadable> {
        self.string(2)
    }

    pub(super) fn text(&mut self) -> Result<&'b [u8], Unreadable> {
        self.string(3)
    }

    /// How many pairs a map has.
    pub(super) fn map(&mut self) -> Result<u64, Unreadable> {
        match self.head()? {
            (5, pairs) => Ok(pairs),
            _ => Err(Unreadable),
        }
    }

    /// Passes over one value, whatever it is.
    pub(super) fn skip(&mut self) -> Result<(), Unreadable> {
        self.skip_at(DEPTH)
    }

    fn skip_at(&mut self, depth: u8) -> Result<(), Unreadable> {
        let depth = depth.checked_sub(1).ok_or(Unreadable)?;
        let (major, value) = self.head()?;
        let items = match major {
            0 | 1 | 7 => 0,
            2 | 3 => return self.take(value).map(drop),
            4 => value,
            5 => value.checked_mul(2).ok_or(Unreadable)?,
            _ => return Err(Unreadable),
        };
        (0..items).try_for_each(|_| self.skip_at(depth))
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), Unreadable> {
        if self.0.is_empty() { Ok(()) } else { Err(Unreadable) }
    }

    fn string(&mut self, wanted: u8) -> Result<&'b [u8], Unreadable> {
        match self.head()? {
            (major, length) if major == wanted => self.take(length),
            _ => Err(Unreadable),
        }
    }

    /// Major type and argument. SPEC: RFC 8949, section 3.
    fn head(&mut self) -> Result<(u8, u64), Unreadable> {
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 0x1f);
        let (value, least) = match info {
            0..24 => return Ok((major, u64::from(info))),
            24 => (self.number(1)?, 24),
            25 => (self.number(2)?, 1 << 8),
            26 => (self.number(4)?, 1 << 16),
            27 => (self.number(8)?, 1 << 32),
            _ => return Err(Unreadable),
        };
        // SECURITY: two spellings of one key would be two keys.
        if value < least { Err(Unreadable) } else { Ok((major, value)) }
    }

    fn number(&mut self, bytes: u64) -> Result<u64, Unreadable> {
        Ok(self.take(bytes)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn take(&mut self, count: u64) -> Result<&'b [u8], Unreadable> {
        let count = usize::try_from(count).map_err(|_| Unreadable)?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling() {
        assert_eq!(Cbor::new(&[0x17]).integer().unwrap(), 23);
        assert_eq!(Cbor::new(&[0x18, 24]).integer().unwrap(), 24);
        assert_eq!(Cbor::new(&[0x39, 0x01, 0x00]).integer().unwrap(), -257);
        for long in
            [&[0x18, 23][..], &[0x19, 0, 255], &[0x1a, 0, 0, 255, 255], &[0x1b, 0, 0, 0, 0, 1, 1, 1, 1]]
        {
            assert!(Cbor::new(long).integer().is_err(), "{long:?}");
        }
        assert!(Cbor::new(&[0x5f, 0x41, 0, 0xff]).bytes().is_err(), "indefinite");
        assert!(Cbor::new(&[0x42, 1]).bytes().is_err(), "cut");
    }

    #[test]
    fn what_is_passed_over_is_bounded() {
        assert!(Cbor::new(&[0x82, 0x01, 0xa1, 0x61, b'a', 0xf6]).skip().is_ok());
        assert!(Cbor::new(&[0x81; 64]).skip().is_err(), "too deep");
        assert!(
            Cbor::new(&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).skip().is_err(),
            "too long"
        );
        assert!(
            Cbor::new(&[0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).skip().is_err(),
            "too long"
        );
    }
}
