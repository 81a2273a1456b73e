//! The payload of a Close frame (RFC 6455, section 5.5.1).

use super::frame::CONTROL;
use super::violation::Violation;
use bytes::Bytes;

/// A status and a reason; a Close frame may have neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    pub(crate) code: u16,
    /// UTF-8.
    pub(crate) reason: Bytes,
}

impl Close {
    /// Reads the payload.
    pub(crate) fn parse(payload: &Bytes) -> Result<Option<Self>, Violation> {
        match payload.as_ref() {
            [] => Ok(None),
            [_] => Err(Violation::protocol("a close frame has half a status")),
            [a, b, reason @ ..] => {
                let code = u16::from_be_bytes([*a, *b]);
                if !may_be_sent(code) {
                    return Err(Violation::protocol("a close frame has a status that is never sent"));
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(Violation::not_text("the reason of a close frame is not UTF-8"));
                }
                Ok(Some(Self { code, reason: payload.slice(2..) }))
            }
        }
    }

    /// The payload; a reason that is too long is cut between characters.
    pub(crate) fn payload(code: u16, reason: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(reason);
        let mut end = text.len().min(CONTROL - 2);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        [&code.to_be_bytes(), &text.as_bytes()[..end]].concat()
    }
}

/// Whether a status may stand in a frame: 1004 to 1006 and 1015 never do (section 7.4.1); 1012 to 1014 were registered
/// later; 3000 to 4999 are for applications.
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
