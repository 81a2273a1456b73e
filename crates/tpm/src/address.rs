//! Where a TPM is, and how bytes get there and back.

use crate::error::TpmError;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// How long a socket may be silent. A TPM in hardware makes a key in less than that.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tag, size and code.
pub(crate) const HEADER: usize = 10;
/// The longest response that is read (Part 2: TPM2_MAX_RESPONSE_SIZE is 4096 where it is known).
const LONGEST: usize = 4096;

/// Where a TPM is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A device of the kernel: `/dev/tpmrm0`, which several programs may use, or `/dev/tpm0`.
    Device(PathBuf),
    /// The data port of a TPM emulator such as swtpm.
    Socket(SocketAddr),
}

/// A connection to a TPM.
pub(crate) enum Line {
    Device(File),
    Socket(TcpStream),
}

impl Address {
    /// Whether somebody on the other side keeps the objects of several programs apart. If not, what is there is left over from us.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Device(path) if path.to_string_lossy().contains("tpmrm"))
    }

    /// The device, where it is one: whoever lists the files that a process may open needs it.
    pub fn device(&self) -> Option<&Path> {
        match self {
            Self::Device(path) => Some(path),
            Self::Socket(_) => None,
        }
    }

    pub(crate) fn connect(&self) -> Result<Line, TpmError> {
        Ok(match self {
            Self::Device(path) => Line::Device(OpenOptions::new().read(true).write(true).open(path)?),
            Self::Socket(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                Line::Socket(stream)
            }
        })
    }
}

impl Line {
    /// Sends a command and reads its response, whole.
    ///
    /// # Errors
    /// [`TpmError::Unreachable`], also for a response that ends before its own length.
    pub(crate) fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        match self {
            // The kernel takes a command in one write and gives its response in one read.
            Self::Device(device) => {
                device.write_all(command)?;
                let mut response = vec![0; LONGEST];
                let read = device.read(&mut response)?;
                response.truncate(read);
                Ok(response)
            }
            Self::Socket(stream) => {
                stream.write_all(command)?;
                let mut response = vec![0; HEADER];
                stream.read_exact(&mut response)?;
                let length = response[2..6].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                if !(HEADER..=LONGEST).contains(&length) {
                    return Err(
                        Error::new(ErrorKind::InvalidData, "a response of an impossible length").into()
                    );
                }
                response.resize(length, 0);
                stream.read_exact(&mut response[HEADER..])?;
                Ok(response)
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "{}", path.display()),
            Self::Socket(address) => write!(f, "socket:{address}"),
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "write /dev/tpmrm0, or socket:127.0.0.1:2321";
        match text.strip_prefix("socket:") {
            Some(address) => address.parse().map(Self::Socket).map_err(|_| HOW),
            None if text.starts_with('/') => Ok(Self::Device(text.into())),
            None => Err(HOW),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_device_or_a_socket() {
        for text in ["/dev/tpmrm0", "/dev/tpm0", "socket:127.0.0.1:2321", "socket:[::1]:2321"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        for text in ["", "tpm0", "socket:2321", "socket:localhost:2321", "swtpm:host=localhost"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        assert!("/dev/tpmrm0".parse::<Address>().unwrap().is_shared());
        assert_eq!("/dev/tpm0".parse::<Address>().unwrap().device(), Some(Path::new("/dev/tpm0")));
        assert!(!"/dev/tpm0".parse::<Address>().unwrap().is_shared());
    }
}
