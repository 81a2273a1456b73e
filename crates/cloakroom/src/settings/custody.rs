//! `[custody]`: who wraps the root key, as written and as meant.

use super::KekSetting;
use super::unit::Span;
use crate::failure::Failure;
use cloakroom_egress::custody::{AwsKmsSettings, TransitLogin, TransitSettings};
use cloakroom_keys::{Mechanism, Which};
use ipnet::IpNet;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// As written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Custody {
    kek: Kek,
    pub(super) ask_every: Option<Span>,
    tpm: Option<String>,
    pcrs: Option<String>,
    distinct_operators: bool,
    pkcs11: Option<Token>,
    transit: Option<Transit>,
    aws_kms: Option<AwsKms>,
}

/// Where the key-encryption key comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kek {
    #[default]
    File,
    Passphrase,
    Systemd,
    Tpm,
    Pkcs11,
    Transit,
    AwsKms,
    Shares,
}

/// `[custody.pkcs11]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Token {
    module: PathBuf,
    token: Option<String>,
    slot: Option<u64>,
    #[serde(default = "own_name")]
    key: String,
    #[serde(default)]
    mechanism: Mechanism,
    #[serde(default)]
    create: bool,
    /// `"prompt"`, `"systemd"`, or a file.
    pin: PathBuf,
}

/// `[custody.transit]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Transit {
    server: String,
    namespace: Option<String>,
    #[serde(default = "transit")]
    mount: String,
    #[serde(default = "own_name")]
    key: String,
    #[serde(default)]
    login: Login,
    login_mount: Option<String>,
    login_role: Option<String>,
    secret_file: PathBuf,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

/// How the broker logs in there.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Login {
    #[default]
    Token,
    Approle,
    Jwt,
    Cert,
}

/// `[custody.aws-kms]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AwsKms {
    region: String,
    server: Option<String>,
    key: String,
    credentials_file: PathBuf,
    #[serde(default)]
    allow_address: Vec<IpNet>,
}

fn own_name() -> String {
    "cloakroom".into()
}

fn transit() -> String {
    "transit".into()
}

/// A key in a PKCS#11 token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSetting {
    pub(crate) module: PathBuf,
    pub(crate) token: Which,
    pub(crate) key: String,
    pub(crate) mechanism: Mechanism,
    pub(crate) create: bool,
    pub(crate) pin: PinSetting,
}

/// Where its PIN comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PinSetting {
    /// A person types it when the broker starts.
    Prompt,
    /// The credential `cloakroom-pin` of the service that systemd starts.
    Systemd,
    /// A file.
    File(PathBuf),
}

impl Custody {
    /// What is meant, where the sections fit what is chosen.
    pub(super) fn setting(self, passphrase_file: Option<&Path>) -> Result<KekSetting, Failure> {
        let Self { kek, tpm, pcrs, pkcs11, transit, aws_kms, distinct_operators, .. } = self;
        let written = [
            ("pkcs11", Kek::Pkcs11, pkcs11.is_some()),
            ("transit", Kek::Transit, transit.is_some()),
            ("aws-kms", Kek::AwsKms, aws_kms.is_some()),
        ];
        for (name, meant, is_written) in written {
            if is_written != (kek == meant) {
                let text = format!("[custody.{name}] and kek = \"{name}\" go together");
                return Err(Failure::bad_input(text).hinting("write both, or neither"));
            }
        }
        if kek != Kek::Tpm && (tpm.is_some() || pcrs.is_some()) {
            return Err(Failure::bad_input("[custody] names a TPM that does not wrap the root key")
                .hinting("add kek = \"tpm\", or drop tpm and pcrs"));
        }
        // A file with the passphrase says that there is one.
        if passphrase_file.is_some() && !matches!(kek, Kek::File | Kek::Passphrase) {
            let text = "this kek takes no passphrase file";
            return Err(Failure::bad_input(text)
                .hinting("drop --passphrase-file, or set kek = \"passphrase\" in [custody]"));
        }
        match (kek, pkcs11, transit, aws_kms) {
            (_, Some(token), ..) => token.setting().map(KekSetting::Pkcs11),
            (_, _, Some(transit), _) => transit.setting(),
            (_, _, _, Some(kms)) => kms.setting(),
            (Kek::Tpm, ..) => of_tpm(tpm.as_deref(), pcrs.as_deref()),
            (Kek::Systemd, ..) => Ok(KekSetting::Systemd),
            (Kek::Shares, ..) => Ok(KekSetting::Shares(distinct_operators)),
            (Kek::File, ..) if passphrase_file.is_none() => Ok(KekSetting::File),
            _ => Ok(KekSetting::Passphrase(passphrase_file.map(Into::into))),
        }
    }
}

/// The TPM that wraps the root key, and what it is sealed to besides.
fn of_tpm(tpm: Option<&str>, pcrs: Option<&str>) -> Result<KekSetting, Failure> {
    let wrong = |what: &str, how| Failure::bad_input(format!("[custody] {what}")).hinting(how);
    let address = tpm.unwrap_or("/dev/tpmrm0").parse();
    let pcrs = pcrs.map(str::parse).transpose();
    Ok(KekSetting::Tpm {
        address: address.map_err(|how: &'static str| wrong("tpm names no TPM", how))?,
        pcrs: pcrs.map_err(|how: &'static str| wrong("pcrs names no PCRs", how))?.unwrap_or_default(),
    })
}

impl Token {
    fn setting(self) -> Result<TokenSetting, Failure> {
        let wrong = |text: &str, hint: &str| {
            Err(Failure::bad_input(format!("[custody.pkcs11] {text}")).hinting(hint))
        };
        if !self.module.is_absolute() {
            return wrong(
                "module: it is no absolute path",
                "write the whole path of the vendor's module, such as \"/usr/lib/softhsm/libsofthsm2.so\"",
            );
        }
        // SPEC: PKCS #11 3.1, section 3.2: a label is padded to 32 bytes.
        let token = match (self.token, self.slot) {
            (Some(label), None) if (1..=32).contains(&label.len()) => Which::Label(label),
            (None, Some(slot)) => Which::Slot(slot),
            _ => return wrong("names no token, or two", "write token = \"LABEL\" or slot = NUMBER"),
        };
        if self.key.is_empty() || self.key.len() > 255 {
            return wrong("key: it is no label", "write the label of the key, such as \"cloakroom\"");
        }
        let pin = match self.pin.to_str() {
            Some("prompt") => PinSetting::Prompt,
            Some("systemd") => PinSetting::Systemd,
            _ if self.pin.is_absolute() => PinSetting::File(self.pin),
            // SECURITY: it may be the PIN itself, so it is not repeated.
            _ => {
                return wrong(
                    "pin: it says where the PIN is",
                    "write pin = \"systemd\", \"prompt\" or \"/the/file\"",
                );
            }
        };
        let (module, key, mechanism, create) = (self.module, self.key, self.mechanism, self.create);
        Ok(TokenSetting { module, token, key, mechanism, create, pin })
    }
}

impl Transit {
    fn setting(self) -> Result<KekSetting, Failure> {
        let wrong = |text: &str| {
            Failure::bad_input(format!("[custody.transit] {text}"))
                .hinting("see \"Vault or OpenBao\" in docs/providers.md")
        };
        let role = self.login_role;
        let needs = |role: Option<String>| role.ok_or_else(|| wrong("login-role: this login needs one"));
        let mount = |default: &str| self.login_mount.clone().unwrap_or_else(|| default.into());
        let login = match self.login {
            Login::Token if role.is_some() || self.login_mount.is_some() => {
                return Err(wrong("login = \"token\" has no mount and no role"));
            }
            Login::Token => TransitLogin::Token,
            Login::Approle => TransitLogin::AppRole { mount: mount("approle"), role_id: needs(role)? },
            Login::Jwt => TransitLogin::Jwt { mount: mount("jwt"), role: needs(role)? },
            Login::Cert => TransitLogin::Certificate { mount: mount("cert"), role },
        };
        let Self { server, namespace, mount, key, secret_file, .. } = self;
        let settings = TransitSettings { server, namespace, mount, key, login, secret: secret_file };
        settings.check().map_err(wrong)?;
        Ok(KekSetting::Transit(settings, self.allow_address))
    }
}

impl AwsKms {
    fn setting(self) -> Result<KekSetting, Failure> {
        let Self { region, server, key, credentials_file, allow_address } = self;
        let settings = AwsKmsSettings { region, server, key, credentials: credentials_file };
        settings.check().map_err(|why| {
            Failure::bad_input(format!("[custody.aws-kms] {why}"))
                .hinting("write region = \"eu-west-1\", key = \"alias/cloakroom\" and credentials-file")
        })?;
        Ok(KekSetting::AwsKms(settings, allow_address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<KekSetting, String> {
        let custody: Custody = toml::from_str(text).map_err(|error| error.to_string())?;
        custody.setting(None).map_err(|failure| failure.to_string())
    }

    const TOKEN: &str =
        "kek = \"pkcs11\"\n[pkcs11]\nmodule = \"/usr/lib/m.so\"\ntoken = \"hall\"\npin = \"systemd\"\n";
    const TRANSIT: &str =
        "kek = \"transit\"\n[transit]\nserver = \"https://bao.example:8200\"\nsecret-file = \"/run/s\"\n";
    const KMS: &str = "kek = \"aws-kms\"\n[aws-kms]\nregion = \"eu-west-1\"\nkey = \"alias/c\"\ncredentials-file = \"/run/k\"\n";

    #[test]
    fn what_is_written_of_a_token_is_meant() {
        let KekSetting::Pkcs11(token) = of(TOKEN).unwrap() else { panic!("no token") };
        assert_eq!((token.token, token.key.as_str()), (Which::Label("hall".into()), "cloakroom"));
        assert_eq!(
            (token.mechanism, token.create, token.pin),
            (Mechanism::AesGcm, false, PinSetting::Systemd)
        );
        for (from, to) in [
            ("module = \"/usr/lib/m.so\"", "module = \"m.so\""),
            ("token = \"hall\"", ""),
            ("token = \"hall\"", "token = \"hall\"\nslot = 1"),
            ("token = \"hall\"", "token = \"\""),
            ("token = \"hall\"", "token = \"a label that is longer than labels are\""),
            ("pin = \"systemd\"", "pin = \"123456\""),
            ("pin = \"systemd\"", "pin = \"systemd\"\nkey = \"\""),
            ("pin = \"systemd\"", "pin = \"systemd\"\nmechanism = \"des\""),
            ("kek = \"pkcs11\"", "kek = \"file\""),
            ("kek = \"pkcs11\"", "kek = \"transit\""),
        ] {
            let wrong = TOKEN.replace(from, to);
            let complaint = of(&wrong).unwrap_err();
            assert!(!complaint.contains("123456"), "{complaint}");
        }
        assert!(of("kek = \"pkcs11\"\n").is_err());
    }

    #[test]
    fn what_is_written_of_a_service_is_meant() {
        let KekSetting::Transit(transit, _) = of(TRANSIT).unwrap() else { panic!("no transit") };
        assert_eq!((transit.mount.as_str(), transit.key.as_str()), ("transit", "cloakroom"));
        assert_eq!(transit.login, TransitLogin::Token);
        let role = format!("{TRANSIT}login = \"approle\"\nlogin-role = \"r\"\n");
        let KekSetting::Transit(transit, _) = of(&role).unwrap() else { panic!("no transit") };
        assert_eq!(transit.login, TransitLogin::AppRole { mount: "approle".into(), role_id: "r".into() });
        for more in [
            "login = \"approle\"",
            "login = \"jwt\"",
            "login-role = \"r\"",
            "login = \"root\"",
            "mount = \"..\"",
            "key = \"a/b\"",
        ] {
            assert!(of(&format!("{TRANSIT}{more}\n")).is_err(), "{more}");
        }
        assert!(of(&TRANSIT.replace("https", "http")).is_err());
        assert!(matches!(of(KMS).unwrap(), KekSetting::AwsKms(..)));
        assert!(of(&KMS.replace("eu-west-1", "EU/west")).is_err());
        assert!(of(&format!("{KMS}server = \"http://127.0.0.1:1\"\n")).is_err());
    }
}
