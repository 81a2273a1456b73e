//! Sealing: a few bytes that only this TPM gives back, and only while its PCRs are as they were.
//!
//! ```text
//!  0         1          4                  6
//! +---------+----------+------------------+--------------------+------------------+
//! | 1       | PCRs,    | length 2, name   | length 2, private  | length 2, public |
//! | version | as bits  | of the primary   | part, encrypted    | part             |
//! +---------+----------+------------------+--------------------+------------------+
//! ```

use crate::command::{Command, Hidden, TPM_CC_CREATE, TPM_CC_LOAD, TPM_CC_POLICY_PCR, TPM_CC_UNSEAL};
use crate::error::TpmError;
use crate::pcr::PcrSelection;
use crate::session::{Kind, Session, TPM_ALG_SHA256};
use crate::tpm::{Primary, Purpose, Tpm};
use crate::wire::{Reader, Writer};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
/// How many bytes can be sealed (Part 2: MAX_SYM_DATA).
pub const SEALED_MOST: usize = 128;
const TPM_ALG_NULL: u16 = 0x0010;
const TPM_ALG_KEYEDHASH: u16 = 0x0008;
/// fixedTPM, fixedParent, noDA: nothing authorizes but the policy.
const BY_POLICY: u32 = 0x0000_0412;
/// The same with userWithAuth: the object's password, which is empty; that it is this TPM is what counts.
const BY_PASSWORD: u32 = 0x0000_0452;

/// What a TPM sealed. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The PCRs that have to be as they were.
    pub pcrs: PcrSelection,
    /// The name of the primary key that it is below.
    primary: Vec<u8>,
    private: Vec<u8>,
    public: Vec<u8>,
}

impl Sealed {
    /// Seals `secret`, at most [`SEALED_MOST`] bytes, to this TPM and to what these PCRs are now.
    ///
    /// # Errors
    /// As [`TpmError`] says.
    pub fn seal(tpm: &mut Tpm, secret: &[u8], pcrs: PcrSelection) -> Result<Self, TpmError> {
        if secret.len() > SEALED_MOST {
            return Err(TpmError::Cryptography("seal more than 128 bytes"));
        }
        let primary = tpm.primary(Purpose::Storage)?;
        let mut session = Session::start(tpm, &primary, Kind::Hmac)?;
        let (attributes, policy) = if pcrs.is_empty() {
            (BY_PASSWORD, Vec::new())
        } else {
            (BY_POLICY, pcrs.policy(&tpm.pcr_values(pcrs)?).to_vec())
        };
        let sensitive = Writer::new().sized(&[]).sized(secret);
        let template = Writer::new()
            .two(TPM_ALG_KEYEDHASH)
            .two(TPM_ALG_SHA256)
            .four(attributes)
            .sized(&policy)
            .two(TPM_ALG_NULL)
            .sized(&[]);
        let parameters = Writer::new().sized(sensitive.bytes()).sized(template.bytes()).sized(&[]).four(0);
        let command =
            Command::new(TPM_CC_CREATE).object(primary.handle, &primary.name).parameters(parameters);
        let response = tpm.run_in(&mut session, &command, Hidden::OfCommand, 0)?;
        let mut reader = Reader::new(&response.parameters);
        let (private, public) = (reader.sized()?.to_vec(), reader.sized()?.to_vec());
        Ok(Self { pcrs, primary: primary.name, private, public })
    }

    /// Gives it back.
    ///
    /// # Errors
    /// [`TpmError::Another`] from another TPM, [`TpmError::Measurements`] where a PCR is not as it was, and as [`TpmError`] says.
    pub fn unseal(&self, tpm: &mut Tpm) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        let primary = tpm.primary(Purpose::Storage)?;
        // SECURITY: nobody between us and the TPM may put a key of their own in its place: the session would be with them.
        if primary.name != self.primary {
            return Err(TpmError::Another);
        }
        let object = self.load(tpm, &primary)?;
        let kind = if self.pcrs.is_empty() { Kind::Hmac } else { Kind::Policy };
        let mut session = Session::start(tpm, &primary, kind)?;
        if kind == Kind::Policy {
            let parameters = Writer::new().sized(&[]).raw(self.pcrs.list().bytes());
            tpm.run(Command::new(TPM_CC_POLICY_PCR).handle(session.handle).parameters(parameters), 0)?;
        }
        let command = Command::new(TPM_CC_UNSEAL).object(object.0, &object.1);
        let response = tpm.run_in(&mut session, &command, Hidden::OfResponse, 0)?;
        Reader::new(&response.parameters).sized().map(|secret| Zeroizing::new(secret.to_vec()))
    }

    /// Its handle and name.
    fn load(&self, tpm: &mut Tpm, primary: &Primary) -> Result<(u32, Vec<u8>), TpmError> {
        let mut session = Session::start(tpm, primary, Kind::Hmac)?;
        let parameters = Writer::new().sized(&self.private).sized(&self.public);
        let command = Command::new(TPM_CC_LOAD).object(primary.handle, &primary.name).parameters(parameters);
        let response = tpm.run_in(&mut session, &command, Hidden::Nothing, 1)?;
        Ok((response.handle, Reader::new(&response.parameters).sized()?.to_vec()))
    }

    /// For a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let head = Writer::new().byte(VERSION).raw(&self.pcrs.bits());
        head.sized(&self.primary).sized(&self.private).sized(&self.public).bytes().to_vec()
    }

    /// What [`Sealed::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`TpmError::Damaged`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TpmError> {
        let read = || {
            let mut reader = Reader::new(bytes);
            if reader.byte()? != VERSION {
                return Err(TpmError::Damaged);
            }
            let bits = reader.raw(3)?;
            let pcrs = PcrSelection::of_bits([bits[0], bits[1], bits[2]]);
            let [primary, private, public] =
                [reader.sized()?, reader.sized()?, reader.sized()?].map(<[u8]>::to_vec);
            reader.end()?;
            Ok(Self { pcrs, primary, private, public })
        };
        read().map_err(|_| TpmError::Damaged)
    }
}
