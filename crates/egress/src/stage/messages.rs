//! The messages of a gRPC reply: where each ends, and that none is compressed.
//!
//! SECURITY: a message that is compressed on its own hides what it holds from the scrubber, so it ends the reply. Calls go out
//! with `grpc-accept-encoding: identity`, so nobody who keeps to the protocol sends one.

use bytes::Bytes;
use cloakroom_model::BodyFault;

/// A flag, and the length in four bytes.
const PREFIX: usize = 5;

/// How far a reply is.
#[derive(Debug, Default)]
pub(super) struct Messages {
    prefix: [u8; PREFIX],
    have: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl Messages {
    /// Takes what belongs to the current message, and tells whether it ends there.
    ///
    /// # Errors
    /// [`BodyFault::Undecodable`] for a message that is compressed, or no message at all.
    pub(super) fn next(&mut self, bytes: &mut Bytes) -> Result<(Bytes, bool), BodyFault> {
        let of_prefix = (PREFIX - self.have).min(bytes.len());
        self.prefix[self.have..self.have + of_prefix].copy_from_slice(&bytes[..of_prefix]);
        self.have += of_prefix;
        if self.have > 0 && self.prefix[0] != 0 {
            return Err(BodyFault::Undecodable);
        }
        if self.have < PREFIX {
            return Ok((bytes.split_to(of_prefix), false));
        }
        if of_prefix > 0 {
            let length = self.prefix[1..].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            self.left = length;
        }
        let of_message = self.left.min(bytes.len() - of_prefix);
        self.left -= of_message;
        if self.left == 0 {
            self.have = 0;
        }
        Ok((bytes.split_to(of_prefix + of_message), self.left == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn framed(texts: &[Vec<u8>]) -> Vec<u8> {
        let one =
            |text: &Vec<u8>| [&[0], &u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat();
        texts.iter().flat_map(one).collect()
    }

    /// The messages with their prefixes, as they are told apart when the stream is cut there.
    fn told(stream: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.min(&stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let (mut messages, mut found, mut open) = (Messages::default(), Vec::new(), Vec::new());
        for cut in cuts.windows(2) {
            let mut bytes = Bytes::copy_from_slice(&stream[cut[0]..cut[1]]);
            while !bytes.is_empty() {
                let (piece, ends) = messages.next(&mut bytes).unwrap();
                open.extend_from_slice(&piece);
                if ends {
                    found.push(std::mem::take(&mut open));
                }
            }
        }
        assert!(open.is_empty());
        found
    }

    proptest! {
        #[test]
        fn messages_are_told_apart_however_they_arrive(
            texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..6),
            cuts in proptest::collection::vec(0usize..1500, 0..20),
        ) {
            let expected: Vec<_> = texts.iter().map(|text| framed(std::slice::from_ref(text))).collect();
            prop_assert_eq!(told(&framed(&texts), &cuts), expected);
        }
    }

    #[test]
    fn t02_a_message_that_is_compressed_ends_the_reply() {
        for first in [1, 2, 0x80, 0xff] {
            let mut bytes =
                Bytes::from([framed(&[b"plain".to_vec()]), vec![first, 0, 0, 0, 1, b'x']].concat());
            let mut messages = Messages::default();
            assert_eq!(messages.next(&mut bytes).map(|(_, ends)| ends), Ok(true));
            assert_eq!(messages.next(&mut bytes), Err(BodyFault::Undecodable));
        }
    }
}
