//! Finds the heads of HTTP/2 frames in bytes that go by (RFC 9113, section 4.1). It keeps none of them.

/// What begins a connection, before its first frame (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD: usize = 9;
/// The first bytes of a payload that are looked at: the error code of RST_STREAM.
const LOOKED_AT: usize = 4;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

/// `END_STREAM` of DATA and HEADERS, `ACK` of SETTINGS and PING.
pub(super) const FIRST_FLAG: u8 = 1;

/// The head of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of payload.
    pub(super) length: usize,
    /// The type.
    pub(super) kind: u8,
    /// The flags.
    pub(super) flags: u8,
    /// What its payload begins with, where that is an error code; else zero.
    pub(super) code: u32,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface that are still to come.
    preface: usize,
    head: [u8; HEAD + LOOKED_AT],
    have: usize,
    /// Bytes of payload that are still to come.
    skip: usize,
}

impl Frames {
    /// What a server sends.
    pub(super) const fn of_server() -> Self {
        Self { preface: 0, head: [0; HEAD + LOOKED_AT], have: 0, skip: 0 }
    }

    /// What is sent to a server: it begins with the preface.
    pub(super) const fn to_server() -> Self {
        Self { preface: PREFACE.len(), ..Self::of_server() }
    }

    /// Reads on; `each` is told of each frame once.
    pub(super) fn read(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        bytes = skip(bytes, &mut self.preface);
        while !bytes.is_empty() {
            bytes = skip(bytes, &mut self.skip);
            let take = (self.wanted() - self.have).min(bytes.len());
            self.head[self.have..self.have + take].copy_from_slice(&bytes[..take]);
            self.have += take;
            bytes = &bytes[take..];
            // How much is wanted becomes clear with the ninth byte.
            if self.have >= HEAD && self.have == self.wanted() {
                let frame = self.frame();
                self.skip = frame.length - (self.have - HEAD);
                self.have = 0;
                each(frame);
            }
        }
    }

    fn wanted(&self) -> usize {
        let has_code = self.have >= HEAD && self.head[3] == RST_STREAM;
        if has_code { HEAD + self.length().min(LOOKED_AT) } else { HEAD }
    }

    fn length(&self) -> usize {
        self.head[..3].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    }

    fn frame(&self) -> Frame {
        let code =
            self.head[HEAD..self.have.max(HEAD)].iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        Frame { length: self.length(), kind: self.head[3], flags: self.head[4], code }
    }
}

fn skip<'a>(bytes: &'a [u8], left: &mut usize) -> &'a [u8] {
    let take = bytes.len().min(*left);
    *left -= take;
    &bytes[take..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn heads(mut frames: Frames, pieces: &[&[u8]]) -> Vec<Frame> {
        let mut found = Vec::new();
        for piece in pieces {
            frames.read(piece, |frame| found.push(frame));
        }
        found
    }

    #[test]
    fn each_frame_is_told_of_once_with_its_length_and_its_error_code() {
        let stream = [
            PREFACE.to_vec(),
            raw(SETTINGS, 0, &[]),
            raw(DATA, 1, &[7; 300]),
            raw(RST_STREAM, 0, &8u32.to_be_bytes()),
            raw(RST_STREAM, 0, &[]),
            raw(PING, 1, &[0; 8]),
        ]
        .concat();
        let frame = |length, kind, flags, code| Frame { length, kind, flags, code };
        let expected = [
            frame(0, SETTINGS, 0, 0),
            frame(300, DATA, 1, 0),
            frame(4, RST_STREAM, 0, 8),
            frame(0, RST_STREAM, 0, 0),
            frame(8, PING, 1, 0),
        ];
        assert_eq!(heads(Frames::to_server(), &[&stream]), expected);
        assert_eq!(heads(Frames::of_server(), &[&stream[PREFACE.len()..]]), expected);
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_makes_no_difference(
            frames in proptest::collection::vec((0u8..12, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..12),
            cuts in proptest::collection::vec(0usize..600, 0..20),
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|(kind, flags, payload)| raw(*kind, *flags, payload)).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            let whole = heads(Frames::of_server(), &[&stream]);
            prop_assert_eq!(whole.len(), frames.len());
            prop_assert_eq!(heads(Frames::of_server(), &pieces), whole);
        }
    }
}
