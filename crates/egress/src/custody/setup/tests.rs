//! A directory of another provider goes over to shares.

use super::super::tests::{CANARY, id, record};
use super::super::{Custody, Turned};
use super::*;
use cloakroom_model::{Code, CredentialRecord};

/// A directory of keys that was made with a key file.
struct Keys(tempfile::TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("kek")
    }

    fn roots(&self) -> PathBuf {
        self.0.path().join(ROOTS)
    }

    fn opened(&self) -> Custody {
        Custody::assert_unlocked(KekSource::KeyFile(self.file())).unwrap()
    }

    fn init(&self) -> Result<NewShares, CustodyError> {
        init_shares(self.0.path(), 3, 2, Some(KekSource::KeyFile(self.file())))
    }

    /// As `custody init` does: kept, and the key file removed. Then a broker, to which two of the shares are brought.
    async fn shared(&self) -> Custody {
        let made = self.init().unwrap();
        made.keep().unwrap();
        std::fs::remove_file(self.file()).unwrap();
        let custody =
            Custody::assert_unlocked(KekSource::Shares { roots: self.roots(), distinct: false }).unwrap();
        custody.begin().await.unwrap();
        assert!(custody.is_sealed());
        for (share, turned) in made.shares.iter().zip([Turned::Same, Turned::Opened]) {
            let mut text = Vec::new();
            share.write_to(&mut text).unwrap();
            let part = custody.guard.intake().unwrap().seal_part(text.trim_ascii_end().to_vec().into());
            assert_eq!(custody.unseal(Some(&part.unwrap()), "uid 1").await, Ok(turned));
        }
        custody
    }
}

fn opens(custody: &Custody, row: &CredentialRecord) -> Result<(), Code> {
    custody.hold(std::slice::from_ref(row));
    let opened = custody.open(id(1)).map_err(|refusal| refusal.code())?;
    assert_eq!(opened.secret.expose(), CANARY.as_bytes());
    Ok(())
}

#[tokio::test]
async fn a_key_file_goes_over_to_shares_after_a_rotation_and_every_version_opens() {
    let keys = Keys::new();
    let custody = keys.opened();
    let own = record(&custody);
    assert_eq!(custody.rotate_root().await.unwrap(), 1);
    let first = record(&custody);
    assert_eq!(custody.rotate_root().await.unwrap(), 2);
    let second = record(&custody);
    custody.begin_rewrap().await.unwrap();
    drop(custody);
    let custody = keys.shared().await;
    for row in [&own, &first, &second] {
        assert_eq!(opens(&custody, row), Ok(()));
    }
    let standing = custody.standing();
    assert_eq!((standing.provider, standing.versions), ("shares", Some((3, 0))));
    assert!(RootFile::read(&keys.roots()).unwrap().unwrap().rewrapping, "what was cut off goes on");
}

#[tokio::test]
async fn what_a_rewrap_destroyed_before_does_not_open_under_shares() {
    let keys = Keys::new();
    let custody = keys.opened();
    let own = record(&custody);
    custody.rotate_root().await.unwrap();
    let kept = record(&custody);
    custody.destroy_older().await.unwrap();
    drop(custody);
    let custody = keys.shared().await;
    assert_eq!(custody.standing().versions, Some((2, 1)));
    assert_eq!(opens(&custody, &own), Err(Code::BrokerSealed));
    assert_eq!(opens(&custody, &kept), Ok(()));
}

#[tokio::test]
async fn shares_are_not_made_where_a_root_key_would_be_lost() {
    let keys = Keys::new();
    keys.opened().rotate_root().await.unwrap();
    let before = std::fs::read(keys.roots()).unwrap();
    let own = std::fs::read(keys.file()).unwrap();
    let without = init_shares(keys.0.path(), 3, 2, None).map(|_| ());
    assert!(matches!(without, Err(CustodyError::AnotherProvider { .. })), "{without:?}");
    std::fs::write(keys.file(), [7; 32]).unwrap();
    let other = keys.init().map(|_| ());
    assert!(matches!(other, Err(CustodyError::Refused(_))), "{other:?}");
    std::fs::remove_file(keys.file()).unwrap();
    let gone = keys.init().map(|_| ());
    assert!(matches!(gone, Err(CustodyError::Damaged { .. })), "{gone:?}");
    assert!(!keys.file().exists(), "a key file that is gone is not made anew");
    std::fs::write(keys.file(), own).unwrap();
    std::fs::set_permissions(keys.file(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    keys.init().unwrap();
    assert_eq!(
        std::fs::read(keys.roots()).unwrap(),
        before,
        "nothing has changed before the shares are handed out"
    );
}
