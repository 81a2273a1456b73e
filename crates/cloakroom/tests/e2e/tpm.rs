//! The root key in a TPM: a real one in software (swtpm), which is killed, reset, measured into, and put in the place of another.

use crate::support::{Furnished, eventually, items, outcome, settings_of};
use cloakroom_testkit::{Issued, Swtpm};
use cloakroom_tpm::{Address, Tpm};

struct Stage {
    swtpm: Swtpm,
    house: Furnished,
    issued: Issued,
}

fn settings(swtpm: &Swtpm, pcrs: &str) -> String {
    let tpm = format!("kek = \"tpm\"\ntpm = \"socket:{}\"\nask-every = \"1s\"\n", swtpm.address());
    format!("[custody]\n{tpm}{pcrs}\n")
}

impl Stage {
    fn new(pcrs: &str) -> Self {
        let swtpm = Swtpm::start();
        let house = Furnished::with(&settings(&swtpm, pcrs));
        let issued = house.broker.permit("c", "robot", &items(&house.upstream), &[]);
        Self { swtpm, house, issued }
    }

    fn call(&self) -> String {
        let Furnished { broker, robot, upstream, .. } = &self.house;
        outcome(broker, robot, upstream, &self.issued)
    }

    fn until(&self, wanted: &str) {
        eventually(wanted, || (self.call() == wanted).then_some(()));
    }

    /// No call goes out, whatever is asked; everything else goes on.
    fn is_shut(&self) {
        let before = self.house.upstream.requests().len();
        for _ in 0..5 {
            assert_eq!(self.call(), "broker-sealed");
        }
        assert_eq!(self.house.upstream.requests().len(), before);
        let status = self.house.broker.cli_json(&["custody", "status"]);
        assert_eq!((status["state"].as_str(), status["kek"].as_str()), (Some("sealed"), Some("tpm")));
        let deposit =
            ["credential", "add", "d", "--kind", "bearer", "--to", "https://api.example.com", "--json"];
        let refused = self.house.broker.run_with(&deposit, &cloakroom_testkit::shaped("sk_live_"));
        assert!(refused.stderr.contains("broker-sealed"), "{refused:?}");
    }
}

#[test]
fn a_tpm_that_goes_away_under_calls_seals_the_broker_and_one_that_comes_back_opens_it() {
    let mut stage = Stage::new("");
    assert_eq!(stage.call(), "200");
    stage.swtpm.kill();
    // Calls go on until the look that finds it gone, and then none does.
    stage.until("broker-sealed");
    stage.is_shut();
    stage.swtpm.launch();
    stage.until("200");
    // A start without it is a sealed start, which opens by itself.
    stage.swtpm.kill();
    stage.house.broker.restart();
    stage.is_shut();
    stage.swtpm.launch();
    stage.until("200");
    let events = stage.house.broker.cli(&["journal", "show"]).stdout;
    assert!(events.contains("custody-sealed") && events.contains("custody-unsealed"), "{events}");
}

#[test]
fn t87_a_copy_of_the_data_directory_opens_nothing_with_another_tpm() {
    let mut stage = Stage::new("");
    stage.house.broker.restart();
    assert_eq!(stage.call(), "200");
    let other = Swtpm::start();
    let file = settings_of(&stage.house.authority);
    std::fs::write(&file, settings(&other, "")).unwrap();
    stage.house.broker.restart();
    stage.is_shut();
    let status = stage.house.broker.cli_json(&["custody", "status"]);
    assert!(status["reason"].as_str().unwrap_or_default().contains("another TPM"), "{status}");
    // Nor is it a directory of another kind.
    stage.house.broker.stop();
    let answer = stage.house.broker.run(&["serve", "--listen", "127.0.0.1:0", "--console", "127.0.0.1:0"]);
    assert_eq!(answer.status.code(), Some(2), "{answer:?}");
    std::fs::write(&file, settings(&stage.swtpm, "")).unwrap();
    stage.house.broker.launch();
    stage.until("200");
}

#[test]
fn a_machine_that_measures_something_else_seals_the_broker_until_it_is_started_as_it_was() {
    let mut stage = Stage::new("pcrs = \"11\"");
    assert_eq!(stage.call(), "200");
    Tpm::open(&Address::Socket(stage.swtpm.address())).unwrap().extend(11, &[1; 32]).unwrap();
    stage.until("broker-sealed");
    stage.is_shut();
    let status = stage.house.broker.cli_json(&["custody", "status"]);
    assert!(status["reason"].as_str().unwrap_or_default().contains("PCRs"), "{status}");
    // A restart of the broker alone changes nothing, nor does what the settings say of PCRs now.
    std::fs::write(settings_of(&stage.house.authority), settings(&stage.swtpm, "")).unwrap();
    stage.house.broker.restart();
    stage.is_shut();
    // The machine is started anew, into what it was.
    stage.swtpm.restart();
    stage.house.broker.restart();
    stage.until("200");
}
