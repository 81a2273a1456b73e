//! The root key in a TPM: a real one in software (swtpm), which is killed, reset, measured into, and put in the place of another.

use crate::provided::{Provided, Provider};
use crate::support::settings_of;
use cloakroom_testkit::{Swtpm, TestAuthority};
use cloakroom_tpm::{Address, Tpm};

type Stage = Provided<Swtpm>;

/// What it holds cannot be asked for.
impl Provider for Swtpm {}

fn settings(swtpm: &Swtpm, pcrs: &str) -> String {
    let tpm = format!("kek = \"tpm\"\ntpm = \"socket:{}\"\nask-every = \"1s\"\n", swtpm.address());
    format!("[custody]\n{tpm}{pcrs}\n")
}

fn stage(pcrs: &str) -> Stage {
    let swtpm = Swtpm::start();
    let settings = settings(&swtpm, pcrs);
    Stage::new(swtpm, TestAuthority::new(), &settings, |builder| builder)
}

impl Stage {
    /// No call goes out, whatever is asked, and nothing can be deposited; everything else goes on.
    fn is_shut(&self) {
        self.stays_sealed();
        assert_eq!(self.status(), ("sealed".into(), "tpm".into()));
        let deposit =
            ["credential", "add", "d", "--kind", "bearer", "--to", "https://api.example.com", "--json"];
        let refused = self.broker.run_with(&deposit, &cloakroom_testkit::shaped("sk_live_"));
        assert!(refused.stderr.contains("broker-sealed"), "{refused:?}");
    }
}

#[test]
fn a_tpm_that_goes_away_under_calls_seals_the_broker_and_one_that_comes_back_opens_it() {
    let mut stage = stage("");
    assert_eq!(stage.outcome(), "200");
    stage.provider.kill();
    // Calls go on until the look that finds it gone, and then none does.
    stage.eventually("broker-sealed");
    stage.is_shut();
    stage.provider.launch();
    stage.eventually("200");
    // A start without it is a sealed start, which opens by itself.
    stage.provider.kill();
    stage.broker.restart();
    stage.is_shut();
    stage.provider.launch();
    stage.eventually("200");
    stage.sealing_is_on_record();
}

#[test]
fn t87_a_copy_of_the_data_directory_opens_nothing_with_another_tpm() {
    let mut stage = stage("");
    stage.broker.restart();
    assert_eq!(stage.outcome(), "200");
    let other = Swtpm::start();
    let file = settings_of(&stage.authority);
    std::fs::write(&file, settings(&other, "")).unwrap();
    stage.broker.restart();
    stage.is_shut();
    assert!(stage.reason().contains("another TPM"), "{}", stage.reason());
    // Nor is it a directory of another kind.
    stage.broker.stop();
    let answer = stage.broker.run(&["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    std::fs::write(&file, settings(&stage.provider, "")).unwrap();
    stage.broker.launch();
    stage.eventually("200");
}

#[test]
fn a_machine_that_measures_something_else_seals_the_broker_until_it_is_started_as_it_was() {
    let mut stage = stage("pcrs = \"11\"");
    assert_eq!(stage.outcome(), "200");
    Tpm::open(&Address::Socket(stage.provider.address())).unwrap().extend(11, &[1; 32]).unwrap();
    stage.eventually("broker-sealed");
    stage.is_shut();
    assert!(stage.reason().contains("PCRs"), "{}", stage.reason());
    // A restart of the broker alone changes nothing, nor does what the settings say of PCRs now.
    std::fs::write(settings_of(&stage.authority), settings(&stage.provider, "")).unwrap();
    stage.broker.restart();
    stage.is_shut();
    // The machine is started anew, into what it was.
    stage.provider.restart();
    stage.broker.restart();
    stage.eventually("200");
}
