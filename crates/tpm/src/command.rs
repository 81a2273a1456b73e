//! Commands and responses (Part 1, 18): handles, up to one session, parameters.
//!
//! ```text
//!  command   | tag 2 | size 4 | code 4 | handles 4 … | size 4, authorization | parameters … |
//!  response  | tag 2 | size 4 | code 4 | handle 4    | size 4                | parameters … | authorization |
//! ```

use crate::address::HEADER;
use crate::error::TpmError;
use crate::session::Session;
use crate::wire::{Reader, Writer};
use aws_lc_rs::digest;
use zeroize::Zeroizing;

pub(crate) const TPM_CC_CREATE_PRIMARY: u32 = 0x131;
pub(crate) const TPM_CC_CREATE: u32 = 0x153;
pub(crate) const TPM_CC_LOAD: u32 = 0x157;
pub(crate) const TPM_CC_QUOTE: u32 = 0x158;
pub(crate) const TPM_CC_UNSEAL: u32 = 0x15e;
pub(crate) const TPM_CC_FLUSH_CONTEXT: u32 = 0x165;
pub(crate) const TPM_CC_START_AUTH_SESSION: u32 = 0x176;
pub(crate) const TPM_CC_GET_CAPABILITY: u32 = 0x17a;
pub(crate) const TPM_CC_PCR_READ: u32 = 0x17e;
pub(crate) const TPM_CC_POLICY_PCR: u32 = 0x17f;
pub(crate) const TPM_CC_PCR_EXTEND: u32 = 0x182;

const TPM_ST_NO_SESSIONS: u16 = 0x8001;
const TPM_ST_SESSIONS: u16 = 0x8002;
/// The authorization that is a password.
const TPM_RS_PW: u32 = 0x4000_0009;

const CONTINUE: u8 = 0x01;
/// The first parameter of the command is encrypted, and the TPM decrypts it.
const DECRYPT: u8 = 0x20;
/// The first parameter of the response is encrypted.
const ENCRYPT: u8 = 0x40;

/// A command on its way. The first handles are those that need an authorization.
pub(crate) struct Command {
    code: u32,
    handles: Vec<u32>,
    /// What authorization is computed over in their place: names of objects, or the handles themselves.
    names: Vec<u8>,
    parameters: Writer,
}

/// What came back, once it is known to be the TPM's.
pub(crate) struct Response {
    /// 0 where there is none.
    pub(crate) handle: u32,
    pub(crate) parameters: Zeroizing<Vec<u8>>,
}

/// Which first parameter a session hides.
#[derive(Clone, Copy)]
pub(crate) enum Hidden {
    Nothing,
    OfCommand,
    OfResponse,
}

impl Command {
    pub(crate) fn new(code: u32) -> Self {
        Self { code, handles: Vec::new(), names: Vec::new(), parameters: Writer::new() }
    }

    /// A hierarchy, a PCR or a session: its name is itself.
    pub(crate) fn handle(mut self, handle: u32) -> Self {
        self.handles.push(handle);
        self.names.extend_from_slice(&handle.to_be_bytes());
        self
    }

    /// An object, with its name.
    pub(crate) fn object(mut self, handle: u32, name: &[u8]) -> Self {
        self.handles.push(handle);
        self.names.extend_from_slice(name);
        self
    }

    pub(crate) fn parameters(mut self, parameters: Writer) -> Self {
        self.parameters = parameters;
        self
    }

    /// Without a session.
    pub(crate) fn plain(&self) -> Writer {
        self.framed(TPM_ST_NO_SESSIONS, None, self.parameters.bytes())
    }

    /// With empty passwords, for `count` handles.
    pub(crate) fn with_password(&self, count: usize) -> Writer {
        let one = Writer::new().four(TPM_RS_PW).two(0).byte(CONTINUE).two(0);
        self.framed(TPM_ST_SESSIONS, Some(&one.bytes().repeat(count)), self.parameters.bytes())
    }

    /// With a session, which authorizes the first handle.
    pub(crate) fn with_session(&self, session: &mut Session, hidden: Hidden) -> Result<Writer, TpmError> {
        let attributes = hidden.attributes();
        session.begin()?;
        let mut parameters = Zeroizing::new(self.parameters.bytes().to_vec());
        if matches!(hidden, Hidden::OfCommand) {
            session.encrypt(first_of(&mut parameters)?)?;
        }
        let hash = sha256(&[&self.code.to_be_bytes(), &self.names, &parameters]);
        let tag = session.authorize(&hash, attributes);
        let authorization =
            Writer::new().four(session.handle).sized(session.nonce()).byte(attributes).sized(tag.as_ref());
        Ok(self.framed(TPM_ST_SESSIONS, Some(authorization.bytes()), &parameters))
    }

    fn framed(&self, tag: u16, authorization: Option<&[u8]>, parameters: &[u8]) -> Writer {
        let sized = authorization.map_or(0, |bytes| 4 + bytes.len());
        let size = HEADER + 4 * self.handles.len() + sized + parameters.len();
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut out = Writer::new().two(tag).four(length(size)).four(self.code);
        for handle in &self.handles {
            out = out.four(*handle);
        }
        if let Some(bytes) = authorization {
            out = out.four(length(bytes.len())).raw(bytes);
        }
        out.raw(parameters)
    }

    /// Reads the response to what [`Command::plain`] or [`Command::with_password`] made. `handles` is 0 or 1.
    pub(crate) fn answered(&self, bytes: &[u8], handles: usize) -> Result<Response, TpmError> {
        let (tag, mut reader) = header(bytes)?;
        let handle = if handles > 0 { reader.four()? } else { 0 };
        let parameters = match tag {
            TPM_ST_NO_SESSIONS => reader.rest(),
            TPM_ST_SESSIONS => {
                let length = reader.four()?;
                reader.raw(usize::try_from(length).unwrap_or(usize::MAX))?
            }
            _ => return Err(TpmError::Answer("its tag is unknown")),
        };
        Ok(Response { handle, parameters: Zeroizing::new(parameters.to_vec()) })
    }

    /// Reads the response to what [`Command::with_session`] made; believes it only if the session says that it is the TPM's.
    pub(crate) fn answered_in(
        &self,
        session: &mut Session,
        hidden: Hidden,
        bytes: &[u8],
        handles: usize,
    ) -> Result<Response, TpmError> {
        let (tag, mut reader) = header(bytes)?;
        if tag != TPM_ST_SESSIONS {
            return Err(TpmError::Answer("it is not authenticated"));
        }
        let handle = if handles > 0 { reader.four()? } else { 0 };
        let length = usize::try_from(reader.four()?).unwrap_or(usize::MAX);
        let mut parameters = Zeroizing::new(reader.raw(length)?.to_vec());
        let (nonce, attributes, tag) = (reader.sized()?, reader.byte()?, reader.sized()?);
        reader.end()?;
        let hash = sha256(&[&0u32.to_be_bytes(), &self.code.to_be_bytes(), &parameters]);
        session.verify(&hash, nonce, attributes, tag)?;
        if matches!(hidden, Hidden::OfResponse) {
            session.decrypt(first_of(&mut parameters)?)?;
        }
        Ok(Response { handle, parameters })
    }
}

impl Hidden {
    fn attributes(self) -> u8 {
        CONTINUE
            | match self {
                Self::Nothing => 0,
                Self::OfCommand => DECRYPT,
                Self::OfResponse => ENCRYPT,
            }
    }
}

/// The tag, and what follows the header, of a response that is no refusal.
fn header(bytes: &[u8]) -> Result<(u16, Reader<'_>), TpmError> {
    let mut reader = Reader::new(bytes);
    let (tag, size, code) = (reader.two()?, reader.four()?, reader.four()?);
    if usize::try_from(size) != Ok(bytes.len()) {
        return Err(TpmError::Answer("it has another length than it says"));
    }
    if code != 0 {
        return Err(TpmError::of_code(code));
    }
    Ok((tag, reader))
}

/// The content of the sized buffer that parameters begin with.
fn first_of(parameters: &mut [u8]) -> Result<&mut [u8], TpmError> {
    let length = Reader::new(parameters).two()?;
    parameters.get_mut(2..2 + usize::from(length)).ok_or(TpmError::Answer("it is cut short"))
}

pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
