//! What is said to a mail server, and what it answers: lines and numbers. Whatever else it says is not read.

use super::{Letter, MailError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::Zeroizing;

/// The longest reply, all of its lines together.
const LONGEST: usize = 16 * 1024;
/// The name by which the broker greets: an address literal of nobody's (RFC 5321, section 4.1.3).
const HELLO: &str = "EHLO [127.0.0.1]\r\n";

/// A conversation.
pub(super) struct Dialogue<S> {
    stream: S,
    /// What was read and belongs to no reply yet.
    ahead: Vec<u8>,
    extensions: Vec<String>,
}

/// One reply: its number, and the text of its lines.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new(), extensions: Vec::new() }
    }

    pub(super) async fn greeted(&mut self) -> Result<(), MailError> {
        self.reply().await?.require(220, "it does not greet")
    }

    pub(super) async fn hello(&mut self) -> Result<(), MailError> {
        let reply = self.ask(HELLO.as_bytes()).await?;
        self.extensions = reply.lines.iter().map(|line| line.to_ascii_uppercase()).collect();
        reply.require(250, "it does not speak as RFC 5321 says")
    }

    /// Gives the stream back, for TLS.
    pub(super) async fn start_tls(mut self) -> Result<S, MailError> {
        if !self.extensions.iter().any(|line| line == "STARTTLS") {
            return Err(MailError::Never("it offers no TLS"));
        }
        self.ask(b"STARTTLS\r\n").await?.require(220, "it does not begin TLS")?;
        // SECURITY: what came before TLS would be taken for what came inside it (CVE-2011-0411).
        match self.ahead.is_empty() {
            true => Ok(self.stream),
            false => Err(MailError::Never("it said more before TLS began")),
        }
    }

    pub(super) async fn log_in(&mut self, user: &str, password: &str) -> Result<(), MailError> {
        const REFUSED: &str = "it does not accept the user name and password";
        let ways =
            self.extensions.iter().find_map(|line| line.strip_prefix("AUTH ")).unwrap_or_default().to_owned();
        let offers = |way: &str| ways.split(' ').any(|word| word == way);
        if offers("PLAIN") || ways.is_empty() {
            let both = Zeroizing::new(format!("\0{user}\0{password}"));
            let line = Zeroizing::new(format!("AUTH PLAIN {}\r\n", STANDARD.encode(both.as_bytes())));
            return self.ask(line.as_bytes()).await?.require(235, REFUSED);
        }
        if !offers("LOGIN") {
            return Err(MailError::Never("it offers neither PLAIN nor LOGIN"));
        }
        self.ask(b"AUTH LOGIN\r\n").await?.require(334, REFUSED)?;
        let encoded = |text: &str| Zeroizing::new(format!("{}\r\n", STANDARD.encode(text)));
        self.ask(encoded(user).as_bytes()).await?.require(334, REFUSED)?;
        self.ask(encoded(password).as_bytes()).await?.require(235, REFUSED)
    }

    pub(super) async fn send(&mut self, letter: &Letter) -> Result<(), MailError> {
        let from = format!("MAIL FROM:<{}>\r\n", letter.from);
        self.ask(from.as_bytes()).await?.require(250, "it refuses the sender")?;
        for to in &letter.to {
            let to = format!("RCPT TO:<{to}>\r\n");
            self.ask(to.as_bytes()).await?.require(250, "it refuses a receiver")?;
        }
        self.ask(b"DATA\r\n").await?.require(354, "it takes no message")?;
        self.ask(stuffed(&letter.message).as_bytes()).await?.require(250, "it refuses the message")?;
        // It has the letter; what it says to this changes nothing.
        let _ = self.stream.write_all(b"QUIT\r\n").await;
        Ok(())
    }

    async fn ask(&mut self, said: &[u8]) -> Result<Reply, MailError> {
        // SECURITY: what stands here already was said before anything was asked.
        if !self.ahead.is_empty() {
            return Err(MailError::Never("it answers before it is asked"));
        }
        let written = async {
            self.stream.write_all(said).await?;
            self.stream.flush().await
        };
        written.await.map_err(|_: std::io::Error| MailError::Later("the connection broke"))?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<Reply, MailError> {
        loop {
            if let Some((reply, end)) = Reply::parse(&self.ahead)? {
                self.ahead.drain(..end);
                return Ok(reply);
            }
            if self.ahead.len() > LONGEST {
                return Err(MailError::Never("its reply has no end"));
            }
            let mut piece = [0; 1024];
            let read = self.stream.read(&mut piece).await.unwrap_or(0);
            if read == 0 {
                return Err(MailError::Later("the connection broke"));
            }
            self.ahead.extend_from_slice(&piece[..read]);
        }
    }
}

impl Reply {
    /// The first whole reply, and where it ends.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, MailError> {
        const WRONG: MailError = MailError::Never("it does not speak as RFC 5321 says");
        let (mut lines, mut begin, mut code) = (Vec::new(), 0, None);
        while let Some(length) = bytes[begin..].windows(2).position(|pair| pair == b"\r\n") {
            let line = std::str::from_utf8(&bytes[begin..begin + length]).map_err(|_| WRONG)?;
            begin += length + 2;
            let (digits, rest) = line.split_at_checked(3).ok_or(WRONG)?;
            let number: u16 = digits.parse().map_err(|_| WRONG)?;
            if code.is_some_and(|code| code != number) {
                return Err(WRONG);
            }
            code = Some(number);
            lines.push(rest.get(1..).unwrap_or_default().to_owned());
            match rest.as_bytes().first() {
                Some(b'-') => {}
                None | Some(b' ') => return Ok(Some((Self { code: number, lines }, begin))),
                Some(_) => return Err(WRONG),
            }
        }
        Ok(None)
    }

    /// 4xx may be otherwise later, all else that was not expected will not.
    fn require(&self, code: u16, otherwise: &'static str) -> Result<(), MailError> {
        match self.code {
            // A server that forwards says 251.
            found if found == code || (code == 250 && found == 251) => Ok(()),
            400..=499 => Err(MailError::Later(otherwise)),
            _ => Err(MailError::Never(otherwise)),
        }
    }
}

/// The message as `DATA` wants it: lines that begin with a dot have two, and one alone ends it (RFC 5321, section 4.5.2).
fn stuffed(message: &str) -> String {
    let lines = message.trim_end_matches("\r\n").split("\r\n");
    let mut text: String =
        lines.flat_map(|line| [if line.starts_with('.') { "." } else { "" }, line, "\r\n"]).collect();
    text.push_str(".\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_end_before_it_ends() {
        assert_eq!(stuffed("a\r\n.\r\n..b\r\nc\r\n"), "a\r\n..\r\n...b\r\nc\r\n.\r\n");
    }

    #[test]
    fn a_reply_is_read_whole_or_not_at_all() {
        let parse = |text: &str| {
            Reply::parse(text.as_bytes())
                .map(|found| found.map(|(reply, end)| (reply.code, reply.lines.len(), end)))
        };
        assert_eq!(parse("250-a\r\n250 b\r\nmore"), Ok(Some((250, 2, 14))));
        assert_eq!((parse("250-a\r\n250"), parse("")), (Ok(None), Ok(None)));
        assert_eq!(parse("220\r\n"), Ok(Some((220, 1, 5))));
        for wrong in ["25\r\n", "abc x\r\n", "250-a\r\n251 b\r\n", "250+a\r\n"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
