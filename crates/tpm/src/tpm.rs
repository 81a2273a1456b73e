//! A TPM that commands are sent to, and the objects that are loaded into it meanwhile.

use crate::address::{Address, Line};
use crate::command::{
    Command, Hidden, Response, TPM_CC_CREATE_PRIMARY, TPM_CC_FLUSH_CONTEXT, TPM_CC_GET_CAPABILITY, sha256,
};
use crate::error::TpmError;
use crate::session::{DIGEST, Session, TPM_ALG_AES, TPM_ALG_CFB, TPM_ALG_SHA256};
use crate::wire::{Reader, Writer};

const TPM_RH_OWNER: u32 = 0x4000_0001;
const TPM_ALG_NULL: u16 = 0x0010;
const TPM_ALG_ECC: u16 = 0x0023;
const TPM_ECC_NIST_P256: u16 = 0x0003;
const TPM_CAP_HANDLES: u32 = 1;

/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, decrypt: a storage key (Part 2, 8.3).
const STORAGE: u32 = 0x0003_0472;
/// The same, with sign in place of decrypt: signs only what the TPM itself made.
const ATTESTATION: u32 = 0x0005_0472;

/// A connection to a TPM. What was loaded is flushed when it is dropped.
pub struct Tpm {
    line: Line,
    loaded: Vec<u32>,
}

/// A primary key of the owner hierarchy: the same TPM makes the same one each time.
pub(crate) struct Primary {
    pub(crate) handle: u32,
    /// Its name: the algorithm, and the hash of its public area.
    pub(crate) name: Vec<u8>,
    /// Its coordinates on P-256.
    pub(crate) point: ([u8; DIGEST], [u8; DIGEST]),
}

/// What a primary key is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Storage,
    Attestation,
}

impl Tpm {
    /// Connects. Where nobody keeps programs apart, what a former process of ours left behind is flushed.
    ///
    /// # Errors
    /// [`TpmError::Unreachable`], and what the TPM says.
    pub fn open(address: &Address) -> Result<Self, TpmError> {
        let mut tpm = Self { line: address.connect()?, loaded: Vec::new() };
        if !address.is_shared() {
            // Transient objects, HMAC sessions, policy sessions (Part 2, 7.4).
            for kind in [0x8000_0000, 0x0200_0000, 0x0300_0000] {
                for handle in tpm.handles(kind)? {
                    tpm.flush(handle)?;
                }
            }
        }
        Ok(tpm)
    }

    /// A primary key for this purpose.
    pub(crate) fn primary(&mut self, purpose: Purpose) -> Result<Primary, TpmError> {
        let template = template(purpose);
        let parameters = Writer::new().sized(&[0, 0, 0, 0]).sized(template.bytes()).sized(&[]).four(0);
        let command = Command::new(TPM_CC_CREATE_PRIMARY).handle(TPM_RH_OWNER).parameters(parameters);
        let response = self.run_with_password(&command, 1)?;
        self.loaded.push(response.handle);
        let public = Reader::new(&response.parameters).sized()?.to_vec();
        // SECURITY: what it says of itself is compared with what was asked for, but for the point.
        let point = point_of(&public, &template)?;
        // The name is computed, not believed.
        let name = [&TPM_ALG_SHA256.to_be_bytes()[..], &sha256(&[&public])].concat();
        Ok(Primary { handle: response.handle, name, point })
    }

    /// Sends a command without a session.
    pub(crate) fn run(&mut self, command: Command, handles: usize) -> Result<Response, TpmError> {
        let bytes = self.line.exchange(command.plain().bytes())?;
        let response = command.answered(&bytes, handles)?;
        if handles > 0 {
            self.loaded.push(response.handle);
        }
        Ok(response)
    }

    /// Sends a command that needs an authorization for one handle, whose password is empty.
    pub(crate) fn run_with_password(
        &mut self,
        command: &Command,
        handles: usize,
    ) -> Result<Response, TpmError> {
        let bytes = self.line.exchange(command.with_password(1).bytes())?;
        command.answered(&bytes, handles)
    }

    /// Sends a command in a session.
    pub(crate) fn run_in(
        &mut self,
        session: &mut Session,
        command: &Command,
        hidden: Hidden,
        handles: usize,
    ) -> Result<Response, TpmError> {
        let written = command.with_session(session, hidden)?;
        let bytes = self.line.exchange(written.bytes())?;
        let response = command.answered_in(session, hidden, &bytes, handles)?;
        if handles > 0 {
            self.loaded.push(response.handle);
        }
        Ok(response)
    }

    /// Handles of a kind that are loaded.
    fn handles(&mut self, kind: u32) -> Result<Vec<u32>, TpmError> {
        let parameters = Writer::new().four(TPM_CAP_HANDLES).four(kind).four(64);
        let response = self.run(Command::new(TPM_CC_GET_CAPABILITY).parameters(parameters), 0)?;
        let mut reader = Reader::new(&response.parameters);
        let (_more, _capability, count) = (reader.byte()?, reader.four()?, reader.four()?);
        let all: Result<Vec<u32>, TpmError> = (0..count.min(64)).map(|_| reader.four()).collect();
        Ok(all?.into_iter().filter(|handle| handle & 0xff00_0000 == kind).collect())
    }

    fn flush(&mut self, handle: u32) -> Result<(), TpmError> {
        // Its handle is a parameter of this command (Part 3, 28.4).
        self.run(Command::new(TPM_CC_FLUSH_CONTEXT).parameters(Writer::new().four(handle)), 0).map(drop)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        for handle in std::mem::take(&mut self.loaded) {
            // What does not answer any more has nothing loaded; the next process flushes what is left.
            let _ = self.flush(handle);
        }
    }
}

/// The public area that is asked for: ECC on P-256, named by SHA-256, without a policy.
fn template(purpose: Purpose) -> Writer {
    let attributes = if purpose == Purpose::Storage { STORAGE } else { ATTESTATION };
    let head = Writer::new().two(TPM_ALG_ECC).two(TPM_ALG_SHA256).four(attributes).sized(&[]);
    let symmetric = match purpose {
        Purpose::Storage => head.two(TPM_ALG_AES).two(128).two(TPM_ALG_CFB).two(TPM_ALG_NULL),
        // ECDSA with SHA-256.
        Purpose::Attestation => head.two(TPM_ALG_NULL).two(0x0018).two(TPM_ALG_SHA256),
    };
    // Curve, key derivation, unique: two coordinates that the TPM chooses.
    symmetric.two(TPM_ECC_NIST_P256).two(TPM_ALG_NULL).sized(&[0; DIGEST]).sized(&[0; DIGEST])
}

/// The point of a public area that is otherwise the template's.
fn point_of(public: &[u8], template: &Writer) -> Result<([u8; DIGEST], [u8; DIGEST]), TpmError> {
    const OTHER: TpmError = TpmError::Answer("its key is of another kind than was asked for");
    let head = template.bytes().len() - 2 * (2 + DIGEST);
    let rest = public.strip_prefix(&template.bytes()[..head]).ok_or(OTHER)?;
    let mut reader = Reader::new(rest);
    let (x, y) = (padded(reader.sized()?).ok_or(OTHER)?, padded(reader.sized()?).ok_or(OTHER)?);
    reader.end()?;
    Ok((x, y))
}

/// A number of at most 256 bits, big-endian, with the zeros in front that some TPMs leave out.
pub(crate) fn padded(number: &[u8]) -> Option<[u8; DIGEST]> {
    let mut out = [0; DIGEST];
    out.get_mut(DIGEST.checked_sub(number.len())?..)?.copy_from_slice(number);
    Some(out)
}
