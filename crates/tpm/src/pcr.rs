//! PCRs: what was measured into the machine since it was started. Always the bank of SHA-256.

use crate::command::{Command, TPM_CC_PCR_EXTEND, TPM_CC_PCR_READ, TPM_CC_POLICY_PCR, sha256};
use crate::error::TpmError;
use crate::session::{DIGEST, TPM_ALG_SHA256};
use crate::tpm::Tpm;
use crate::wire::{Reader, Writer};
use std::fmt;
use std::str::FromStr;

/// PCRs of the bank of SHA-256, by number: 0 to 23.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PcrSelection(u32);

impl PcrSelection {
    /// These, each 0 to 23; `None` if one is not.
    pub fn of(numbers: &[u8]) -> Option<Self> {
        numbers.iter().try_fold(0, |bits, number| (*number < 24).then(|| bits | 1 << number)).map(Self)
    }

    /// Whether none is selected.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their numbers, ascending.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..24).filter(move |number| self.0 >> number & 1 == 1)
    }

    /// Three bytes, PCR 0 in the lowest bit of the first (Part 2, 10.6).
    pub(crate) fn bits(self) -> [u8; 3] {
        let [a, b, c, _] = self.0.to_le_bytes();
        [a, b, c]
    }

    pub(crate) fn of_bits([a, b, c]: [u8; 3]) -> Self {
        Self(u32::from_le_bytes([a, b, c, 0]))
    }

    /// As `TPML_PCR_SELECTION`.
    pub(crate) fn list(self) -> Writer {
        Writer::new().four(1).two(TPM_ALG_SHA256).byte(3).raw(&self.bits())
    }

    /// Reads a list with just this bank.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, TpmError> {
        const OTHER: TpmError = TpmError::Answer("it is about PCRs of another bank");
        let (count, bank, length) = (reader.four()?, reader.two()?, reader.byte()?);
        if (count, bank, length) != (1, TPM_ALG_SHA256, 3) {
            return Err(OTHER);
        }
        let bits = reader.raw(3)?;
        Ok(Self::of_bits([bits[0], bits[1], bits[2]]))
    }

    /// The digest of a policy that holds while these PCRs have these values (Part 3, 23.7): what TPM2_PolicyPCR makes of an empty one.
    pub(crate) fn policy(self, values: &[[u8; DIGEST]]) -> [u8; DIGEST] {
        let digest = sha256(&[&values.concat()]);
        sha256(&[&[0; DIGEST], &TPM_CC_POLICY_PCR.to_be_bytes(), self.list().bytes(), &digest])
    }
}

impl fmt::Display for PcrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.numbers().map(|number| number.to_string()).collect();
        f.write_str(&numbers.join(","))
    }
}

impl FromStr for PcrSelection {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Option<Vec<u8>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
        numbers
            .and_then(|numbers| Self::of(&numbers))
            .ok_or("write PCRs as numbers from 0 to 23, such as 7,11")
    }
}

impl Tpm {
    /// The values of these PCRs, ascending.
    ///
    /// # Errors
    /// As [`TpmError`] says.
    pub fn pcr_values(&mut self, selection: PcrSelection) -> Result<Vec<[u8; DIGEST]>, TpmError> {
        let mut values = Vec::new();
        // One at a time: how many fit into an answer is the TPM's affair.
        for number in selection.numbers() {
            let one = PcrSelection(1 << number);
            let command = Command::new(TPM_CC_PCR_READ).parameters(one.list());
            let response = self.run(command, 0)?;
            let mut reader = Reader::new(&response.parameters);
            let (_counter, given, count) = (reader.four()?, PcrSelection::read(&mut reader)?, reader.four()?);
            let value = if (given, count) == (one, 1) { reader.sized()? } else { &[] };
            values.push(value.try_into().map_err(|_| TpmError::Answer("it has no PCRs of SHA-256"))?);
        }
        Ok(values)
    }

    /// Measures: the PCR becomes the hash of what it was and this digest.
    ///
    /// # Errors
    /// As [`TpmError`] says.
    pub fn extend(&mut self, pcr: u8, digest: &[u8; DIGEST]) -> Result<(), TpmError> {
        let parameters = Writer::new().four(1).two(TPM_ALG_SHA256).raw(digest);
        let command = Command::new(TPM_CC_PCR_EXTEND).handle(u32::from(pcr)).parameters(parameters);
        self.run_with_password(&command, 0).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcrs_are_written_as_numbers_and_as_bits() {
        let selection: PcrSelection = "11, 7,0".parse().unwrap();
        assert_eq!(selection.to_string(), "0,7,11");
        assert_eq!(selection.bits(), [0x81, 0x08, 0]);
        assert_eq!(PcrSelection::of_bits(selection.bits()), selection);
        for text in ["", "24", "x", "1;2", "-1", "1,,2"] {
            assert!(text.parse::<PcrSelection>().is_err(), "{text}");
        }
    }
}
