//! A real PKCS#11 token for the tests, as SoftHSM keeps one in files; with every call into its module on record, as OpenSC's spy keeps it.

use cloakroom_testkit::shaped;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The module.
pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// The token's label, in which nothing else is told from it.
pub(crate) const LABEL: &str = "hall";

/// A place for tokens, with one in it.
pub(crate) struct SoftHsm {
    directory: TempDir,
}

/// The PIN is the canary's.
pub(crate) fn pin() -> String {
    shaped("pin-")
}

impl SoftHsm {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let hsm = Self { directory };
        fs::create_dir(hsm.tokens()).unwrap();
        let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", hsm.tokens().display());
        fs::write(hsm.settings(), text).unwrap();
        hsm.write_pin(&pin());
        hsm.make_token();
        hsm
    }

    /// What `SOFTHSM2_CONF` names.
    pub(crate) fn settings(&self) -> PathBuf {
        self.directory.path().join("softhsm2.conf")
    }

    fn tokens(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    /// The file with the PIN.
    pub(crate) fn pin_file(&self) -> PathBuf {
        self.directory.path().join("pin")
    }

    pub(crate) fn write_pin(&self, pin: &str) {
        fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        fs::set_permissions(self.pin_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Puts another token of the same label and PIN in.
    pub(crate) fn make_token(&self) {
        self.tool(
            "softhsm2-util",
            &["--init-token", "--free", "--label", LABEL, "--so-pin", &pin(), "--pin", &pin()],
        );
    }

    /// Takes what is in the slots out, to `aside`.
    pub(crate) fn take_out(&self, aside: &str) {
        fs::rename(self.tokens(), self.directory.path().join(aside)).unwrap();
        fs::create_dir(self.tokens()).unwrap();
    }

    /// Puts it in again.
    pub(crate) fn put_in(&self, aside: &str) {
        fs::remove_dir_all(self.tokens()).unwrap();
        fs::rename(self.directory.path().join(aside), self.tokens()).unwrap();
    }

    /// The objects of the token, as OpenSC lists them.
    pub(crate) fn objects(&self) -> String {
        self.pkcs11(&["--list-objects"])
    }

    /// OpenSC's tool, logged in.
    pub(crate) fn pkcs11(&self, arguments: &[&str]) -> String {
        let pin = pin();
        let login = ["--module", MODULE, "--token-label", LABEL, "--login", "--pin", &pin];
        self.tool("pkcs11-tool", &[&login[..], arguments].concat())
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output =
            Command::new(program).args(arguments).env("SOFTHSM2_CONF", self.settings()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // Making an AES key ends with a word of despair although the key is there: what counts is what is listed.
        text(&output.stdout) + &text(&output.stderr)
    }

    /// The broker's settings for this token, of which `more` is the rest.
    pub(crate) fn custody(&self, module: &Path, more: &str) -> String {
        format!(
            "[custody]\nkek = \"pkcs11\"\nask-every = \"200ms\"\n[custody.pkcs11]\nmodule = {module:?}\ntoken = \"{LABEL}\"\npin = {:?}\n{more}\n",
            self.pin_file(),
        )
    }

    /// How often something logged in since the spy's file was begun.
    pub(crate) fn logins(&self) -> usize {
        let text = fs::read(self.spy_file()).unwrap_or_default();
        String::from_utf8_lossy(&text).matches("C_Login\n").count()
    }

    /// Where the spy writes.
    pub(crate) fn spy_file(&self) -> PathBuf {
        self.directory.path().join("spy")
    }
}

/// OpenSC's module that writes down each call before it hands it on.
pub(crate) fn spy() -> PathBuf {
    let places =
        ["/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so", "/usr/lib/aarch64-linux-gnu/pkcs11/pkcs11-spy.so"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.expect("OpenSC's spy is not installed (opensc-pkcs11)")
}
