//! Starts the process that reaches a PKCS#11 token: before the broker confines itself, and before it hears its first workload.

use super::custody::handed_by_systemd;
use crate::command::this_program;
use crate::data_dir::DataDir;
use crate::failure::{Failure, plain};
use crate::secret_input;
use crate::settings::{KekSetting, PinSetting, TokenSetting};
use cloakroom_keys::{TokenSettings, Typed};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use zeroize::Zeroizing;

/// The socket to the token, where the root key is wrapped in one.
///
/// # Errors
/// Where this program cannot load a module, there is no PIN, or the process cannot be started.
pub(super) fn beside(data: &DataDir, setting: &KekSetting) -> Result<Option<UnixStream>, Failure> {
    match setting {
        KekSetting::Pkcs11(token) => start(&settings(data, token)?).map(Some),
        _ => Ok(None),
    }
}

/// Where the key is, where its PIN is, and where a refused PIN is remembered.
fn settings(data: &DataDir, token: &TokenSetting) -> Result<TokenSettings, Failure> {
    let TokenSetting { module, token, key, mechanism, create, pin } = token.clone();
    let pin = match pin {
        PinSetting::Prompt => None,
        PinSetting::Systemd => Some(handed_by_systemd("cloakroom-pin")?),
        PinSetting::File(file) => Some(file),
    };
    Ok(TokenSettings { module, token, key, mechanism, create, pin, refused: data.key("pin-refused") })
}

fn start(settings: &TokenSettings) -> Result<UnixStream, Failure> {
    if !cloakroom_keys::CAN_LOAD {
        let text = "kek = \"pkcs11\": this program is built without dynamic loading, and cannot load a PKCS#11 module";
        return Err(Failure::bad_input(text).hinting(
            "run the broker as a program of a host, or choose another provider: docs/providers.md",
        ));
    }
    // A PIN from a file is read where it is needed, and never here.
    let typed = match settings.pin {
        Some(_) => Zeroizing::default(),
        None => secret_input::read(None, "PIN of the token")?,
    };
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot start the process that reaches the token: {}", plain(&error)))
            .hinting("the broker starts its own program again; look at the permissions of its file")
    };
    // Packets, so that a question or an answer comes whole or not at all.
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
    let (here, there) = pair.map_err(|error| failed(error.into()))?;
    let written = serde_json::to_string(settings).map_err(|error| failed(error.into()))?;
    let mut keeper = this_program();
    keeper.args(["hsm", "keep", &written]).stdin(Stdio::from(there)).stdout(Stdio::null());
    // A process group of its own: a key on the broker's terminal stops the broker, which ends this one when it has drained.
    keeper.process_group(0).spawn().map_err(failed)?;
    let mut socket = UnixStream::from(here);
    socket.write_all(Typed::write(&typed).packet()).map_err(failed)?;
    Ok(socket)
}
