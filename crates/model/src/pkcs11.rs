//! What the broker and the process that reaches a PKCS#11 token say to each other: one packet a question, one packet an answer.
//!
//! ```text
//! question   number 4, big-endian | 1 wrap, 2 unwrap | bytes …
//! answer     number 4, big-endian | 0                | bytes …
//!            number 4, big-endian | fault
//! ```
//!
//! No text crosses: whoever reads a fault has its words already.

/// The longest packet, in bytes.
pub const LONGEST: usize = 8 * 1024;
const HEAD: usize = 5;

/// What is to be done with the bytes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Encrypt them with the key in the token.
    Wrap,
    /// Decrypt what was encrypted so.
    Unwrap,
}

/// A question. Its number comes back in the answer, so that a late answer is told from the one that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// Its number.
    pub number: u32,
    /// What is to be done.
    pub ask: Ask,
    /// With what.
    pub bytes: &'a [u8],
}

/// The answer to the question of a number: bytes, or why there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The number of the question.
    pub number: u32,
    /// What came of it.
    pub outcome: Result<&'a [u8], Fault>,
}

impl<'a> Question<'a> {
    /// The packet. Allocated whole: growing would leave a copy of the bytes behind.
    pub fn write(&self) -> Vec<u8> {
        let ask = match self.ask {
            Ask::Wrap => 1,
            Ask::Unwrap => 2,
        };
        packet(self.number, ask, self.bytes)
    }

    /// Reads a packet. `None` for anything that [`Question::write`] does not make.
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let (number, ask, bytes) = parts(packet)?;
        let ask = match ask {
            1 => Ask::Wrap,
            2 => Ask::Unwrap,
            _ => return None,
        };
        Some(Self { number, ask, bytes })
    }
}

impl<'a> Answer<'a> {
    /// The packet. Allocated whole.
    pub fn write(&self) -> Vec<u8> {
        match self.outcome {
            Ok(bytes) => packet(self.number, 0, bytes),
            Err(fault) => packet(self.number, fault.code(), &[]),
        }
    }

    /// Reads a packet. `None` for anything that [`Answer::write`] does not make.
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let (number, code, bytes) = parts(packet)?;
        let outcome = match code {
            0 => Ok(bytes),
            _ if !bytes.is_empty() => return None,
            _ => Err(Fault::of(code)?),
        };
        Some(Self { number, outcome })
    }
}

fn packet(number: u32, what: u8, bytes: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEAD + bytes.len());
    packet.extend_from_slice(&number.to_be_bytes());
    packet.push(what);
    packet.extend_from_slice(bytes);
    packet
}

fn parts(packet: &[u8]) -> Option<(u32, u8, &[u8])> {
    let (number, rest) = packet.split_first_chunk::<4>()?;
    let (what, bytes) = rest.split_first()?;
    (packet.len() <= LONGEST).then_some((u32::from_be_bytes(*number), *what, bytes))
}

macro_rules! faults {
    ($($(#[$doc:meta])* $variant:ident $code:literal $who:ident $text:literal;)*) => {
        /// Why a token gives no answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($(#[$doc])* $variant,)* }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// In words, for the operator.
            pub const fn text(self) -> &'static str { match self { $(Self::$variant => $text,)* } }

            /// Whether it goes away by itself, or a person has to act.
            pub const fn remedy(self) -> Remedy { match self { $(Self::$variant => Remedy::$who,)* } }

            const fn code(self) -> u8 { match self { $(Self::$variant => $code,)* } }

            const fn of(code: u8) -> Option<Self> { match code { $($code => Some(Self::$variant),)* _ => None } }
        }
    };
}

/// What ends a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Asking again later.
    Time,
    /// A person.
    Person,
}

faults! {
    /// No such token in any slot.
    Away 1 Time "the token is not there";
    /// The module cannot be loaded.
    Module 2 Person "the PKCS#11 module cannot be loaded";
    /// The module failed, or crashed.
    Failed 3 Time "the token's module failed";
    /// The module did not answer in time.
    Silent 4 Time "the token does not answer";
    /// The PIN was refused, now or before.
    PinRefused 5 Person "the token refused the PIN, which is not tried again: put it right, then remove keys/pin-refused";
    /// The token lets nobody in any more.
    PinLocked 6 Person "the token has locked its PIN";
    /// One wrong PIN more would lock it.
    LastTry 7 Person "one wrong PIN more would lock the token: log in with its vendor's program first";
    /// There is no PIN to be had.
    NoPin 8 Person "the file with the PIN cannot be read, is empty, or others can read it";
    /// No key of the label.
    NoKey 9 Person "the token has no key of this label";
    /// More than one.
    TwoKeys 10 Person "the token has more than one key of this label";
    /// More than one token of the label.
    TwoTokens 15 Person "there is more than one token of this label: name the slot";
    /// A key that can leave the token.
    Extractable 11 Person "the key can be taken out of the token: one is needed that is sensitive and not extractable";
    /// The token or the key cannot do it.
    Mechanism 12 Person "the token or its key does not do what the mechanism needs";
    /// It was wrapped by another key, or was changed.
    Foreign 13 Person "what was wrapped does not open with the key in this token";
    /// A program without dynamic loading.
    Static 14 Person "this program is built without dynamic loading, and cannot load a PKCS#11 module";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        for ask in [Ask::Wrap, Ask::Unwrap] {
            let question = Question { number: 7, ask, bytes: b"bytes" };
            assert_eq!(Question::parse(&question.write()), Some(question));
        }
        let answers = Fault::ALL.iter().map(|fault| Err(*fault)).chain([Ok(&b"bytes"[..]), Ok(&b""[..])]);
        for outcome in answers {
            let answer = Answer { number: u32::MAX, outcome };
            assert_eq!(Answer::parse(&answer.write()), Some(answer));
        }
        for packet in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\xff", b"\0\0\0\0\x01x"] {
            assert_eq!(Answer::parse(packet), None, "{packet:?}");
        }
        assert_eq!(Question::parse(b"\0\0\0\0\0"), None);
        assert_eq!(Question::parse(&vec![1; LONGEST + 1]), None);
    }
}
