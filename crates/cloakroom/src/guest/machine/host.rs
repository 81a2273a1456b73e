//! What goes between the machine and its host beside the calls: the command's streams, signals, the size of the terminal, the exit code.
//!
//! ```text
//!  a connection begins with one byte     then
//!    i  standard input                   bytes, host to machine
//!    o  standard output                  bytes, machine to host
//!    e  standard error                   bytes, machine to host
//!    c  control                          host: s NUMBER, or w ROWS ROWS COLUMNS COLUMNS;  machine: the exit code, once
//! ```

use super::{HOST, STREAMS};
use crate::failure::Failure;
use rustix::termios::Winsize;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What each connection begins with, in the order in which they are made.
pub(crate) const ROLES: [u8; 4] = *b"ioec";

/// What the host says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// A signal for the command.
    Signal(u8),
    /// Rows and columns.
    Size([u16; 2]),
}

impl Word {
    /// As it is sent.
    pub(crate) fn bytes(self) -> Vec<u8> {
        match self {
            Self::Signal(number) => vec![b's', number],
            Self::Size([rows, columns]) => [&b"w"[..], &rows.to_be_bytes(), &columns.to_be_bytes()].concat(),
        }
    }

    /// The next one; `None` at the end, and where it is none.
    pub(crate) async fn read(from: &mut (impl AsyncReadExt + Unpin)) -> Option<Self> {
        match from.read_u8().await.ok()? {
            b's' => Some(Self::Signal(from.read_u8().await.ok()?)),
            b'w' => Some(Self::Size([from.read_u16().await.ok()?, from.read_u16().await.ok()?])),
            _ => None,
        }
    }
}

/// As the terminal is told.
pub(super) fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// The three streams of a command.
pub(super) struct Streams {
    pub(super) input: TcpStream,
    pub(super) output: TcpStream,
    pub(super) errors: TcpStream,
}

/// The machine's end.
pub(super) struct Host {
    streams: Option<Streams>,
    words: tokio::sync::mpsc::Receiver<Word>,
    control: tokio::net::tcp::OwnedWriteHalf,
}

impl Host {
    /// Makes the connections. The command does not run yet, and the host takes no others.
    pub(super) async fn connect() -> Result<Self, Failure> {
        let role = async |role: u8| -> io::Result<TcpStream> {
            let mut stream = TcpStream::connect((HOST, STREAMS)).await?;
            stream.set_nodelay(true)?;
            stream.write_all(&[role]).await?;
            Ok(stream)
        };
        let [input, output, errors, control] = ROLES;
        let streams =
            Streams { input: role(input).await?, output: role(output).await?, errors: role(errors).await? };
        let (mut from, control) = role(control).await?.into_split();
        let (said, words) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(word) = Word::read(&mut from).await {
                if said.send(word).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self { streams: Some(streams), words, control })
    }

    /// Once.
    pub(super) fn streams(&mut self) -> Result<Streams, Failure> {
        self.streams.take().ok_or_else(|| Failure::failed("the streams were taken already"))
    }

    pub(super) async fn hears(&mut self) -> Option<Word> {
        self.words.recv().await
    }

    /// Says the exit code, and waits until the host has it: then it closes its end.
    pub(super) async fn ended(mut self, code: u8) -> Result<(), Failure> {
        self.control.write_all(&[code]).await?;
        while self.hears().await.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_are_read_as_they_were_said_and_anything_else_is_the_end() {
        let said = [Word::Signal(15), Word::Size([24, 80])];
        let bytes = said.iter().flat_map(|word| word.bytes()).chain(*b"x").collect::<Vec<_>>();
        let mut from = &bytes[..];
        for word in said {
            assert_eq!(Word::read(&mut from).await, Some(word));
        }
        assert_eq!(Word::read(&mut from).await, None);
        assert_eq!(Word::read(&mut &b"w\0"[..]).await, None);
    }
}
