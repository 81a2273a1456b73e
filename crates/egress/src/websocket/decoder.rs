//! Frames in, whole messages out.

use super::close::Close;
use super::frame::{FrameHead, Opcode, apply};
use super::violation::Violation;
use bytes::{Buf, Bytes, BytesMut};

/// More frames than this in one message only waste time: 64 bytes a frame fill a mebibyte.
const MOST_FRAMES: u32 = 16 * 1024;

/// Who sends the frames: what a workload sends is masked, what an upstream sends is not (RFC 6455, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Workload,
    Upstream,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

/// One message, whole. A text that is not compressed is UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
    pub(crate) compressed: bool,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Message(Message),
    Ping(Bytes),
    Pong(Bytes),
    Close(Option<Close>),
}

/// Reads what one peer sends, by the rules of the protocol. Holds at most one message.
pub(crate) struct Decoder {
    sender: Sender,
    /// Whether compression was negotiated.
    deflate: bool,
    /// The longest message.
    most: u64,
    frame: Option<Open>,
    message: Option<Assembly>,
    closed: bool,
}

/// A data frame of which some payload is still to come.
struct Open {
    head: FrameHead,
    taken: u64,
}

/// A message of which something is still to come.
struct Assembly {
    message: Message,
    frames: u32,
    /// How much of a text is known to be UTF-8.
    checked: usize,
}

impl Decoder {
    pub(crate) fn new(sender: Sender, deflate: bool, most: u64) -> Self {
        Self { sender, deflate, most, frame: None, message: None, closed: false }
    }

    /// The next event in `input`; `None` when it is used up, and after a Close, behind which nothing counts.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Violation> {
        while !self.closed {
            if self.frame.is_none() {
                let Some((head, length)) = FrameHead::parse(input)? else { return Ok(None) };
                self.check(&head)?;
                if head.opcode.is_control() {
                    return self.control(head, length, input);
                }
                input.advance(length);
                self.begin(&head)?;
                self.frame = Some(Open { head, taken: 0 });
            }
            match self.take(input)? {
                Progress::Message(message) => return Ok(Some(Event::Message(message))),
                Progress::Frame => {}
                Progress::Short => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The rules that a head alone can break.
    fn check(&self, head: &FrameHead) -> Result<(), Violation> {
        match (self.sender, head.mask) {
            (Sender::Workload, None) => return Err(Violation::protocol("a workload's frame is not masked")),
            (Sender::Upstream, Some(_)) => return Err(Violation::protocol("an upstream's frame is masked")),
            _ => {}
        }
        if head.rsv1 && !self.deflate {
            return Err(Violation::protocol("a frame is compressed, and compression was not negotiated"));
        }
        match (head.opcode, &self.message) {
            (Opcode::Continuation, None) => {
                Err(Violation::protocol("a continuation frame continues nothing"))
            }
            (Opcode::Continuation, Some(_)) if head.rsv1 => {
                Err(Violation::protocol("a continuation frame says that it is compressed"))
            }
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                Err(Violation::protocol("a message begins inside another"))
            }
            _ => Ok(()),
        }
    }

    /// A control frame, once it is all there; it may stand between the frames of a message.
    fn control(
        &mut self,
        head: FrameHead,
        length: usize,
        input: &mut BytesMut,
    ) -> Result<Option<Event>, Violation> {
        let payload = usize::try_from(head.length).unwrap_or(usize::MAX);
        if input.len() < length.saturating_add(payload) {
            return Ok(None);
        }
        input.advance(length);
        let mut payload = input.split_to(payload);
        if let Some(mask) = head.mask {
            apply(mask, 0, &mut payload);
        }
        // A copy: the event may outlive the buffer's turn.
        let payload = Bytes::copy_from_slice(&payload);
        Ok(Some(match head.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Pong(payload),
            _ => {
                let close = Close::parse(&payload)?;
                self.closed = true;
                Event::Close(close)
            }
        }))
    }

    /// The first or next frame of a message, before its payload: nothing beyond the bound is ever held.
    fn begin(&mut self, head: &FrameHead) -> Result<(), Violation> {
        let kind = if head.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
        let assembly = self.message.get_or_insert_with(|| Assembly {
            message: Message { kind, payload: Vec::new(), compressed: head.rsv1 },
            frames: 0,
            checked: 0,
        });
        assembly.frames += 1;
        if assembly.frames > MOST_FRAMES {
            return Err(Violation::too_big("a message has too many frames"));
        }
        match (assembly.message.payload.len() as u64).checked_add(head.length) {
            Some(length) if length <= self.most => Ok(()),
            _ => Err(Violation::too_big("a message is larger than the limit")),
        }
    }

    /// Takes what is there of the open frame.
    fn take(&mut self, input: &mut BytesMut) -> Result<Progress, Violation> {
        let (Some(open), Some(assembly)) = (&mut self.frame, &mut self.message) else {
            return Ok(Progress::Short);
        };
        let left = open.head.length - open.taken;
        let mut part = input.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(input.len()));
        if let Some(mask) = open.head.mask {
            apply(mask, open.taken, &mut part);
        }
        open.taken += part.len() as u64;
        assembly.message.payload.extend_from_slice(&part);
        let (whole, fin) = (open.taken == open.head.length, open.head.fin);
        assembly.check_text(whole && fin)?;
        if !whole {
            return Ok(Progress::Short);
        }
        self.frame = None;
        match self.message.take_if(|_| fin) {
            Some(done) => Ok(Progress::Message(done.message)),
            None => Ok(Progress::Frame),
        }
    }
}

enum Progress {
    /// The message is whole.
    Message(Message),
    /// The frame is whole, the message is not.
    Frame,
    /// The input is used up.
    Short,
}

impl Assembly {
    /// A text that is none ends the channel as soon as that shows (RFC 6455, section 8.1).
    fn check_text(&mut self, ended: bool) -> Result<(), Violation> {
        const NOT_TEXT: Violation = Violation::not_text("a text message is not UTF-8");
        if self.message.kind != Kind::Text || self.message.compressed {
            return Ok(());
        }
        match std::str::from_utf8(&self.message.payload[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            // The begin of a character may be completed by the next bytes.
            Err(error) if error.error_len().is_none() && !ended => self.checked += error.valid_up_to(),
            Err(_) => return Err(NOT_TEXT),
        }
        Ok(())
    }
}
