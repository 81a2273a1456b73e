//! A broker whose root key is wrapped by a real provider, and one call that it permits.

use crate::openbao::hunt_for;
use crate::support::{Furnished, eventually, items, outcome};
use cloakroom_testkit::{Broker, BrokerBuilder, Issued, TestAuthority, TlsUpstream, Workload};

/// What wraps the root key.
pub(crate) trait Provider {
    /// What it knows that may be nowhere else.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

pub(crate) struct Provided<P: Provider> {
    pub(crate) broker: Broker,
    pub(crate) provider: P,
    pub(crate) upstream: TlsUpstream,
    pub(crate) authority: TestAuthority,
    robot: Workload,
    issued: Issued,
}

impl<P: Provider> Provided<P> {
    pub(crate) fn new(
        provider: P,
        authority: TestAuthority,
        settings: &str,
        dress: impl FnOnce(BrokerBuilder) -> BrokerBuilder,
    ) -> Self {
        let Furnished { broker, upstream, robot, authority } = Furnished::dressed(authority, settings, dress);
        let issued = broker.permit("c", "robot", &items(&upstream), &[]);
        Self { broker, provider, upstream, authority, robot, issued }
    }

    /// What the call comes to: a refusal's code, or a status.
    pub(crate) fn outcome(&self) -> String {
        outcome(&self.broker, &self.robot, &self.upstream, &self.issued)
    }

    pub(crate) fn eventually(&self, wanted: &str) {
        eventually(wanted, || (self.outcome() == wanted).then_some(()));
    }

    /// What the broker says of its provider while it is sealed.
    pub(crate) fn reason(&self) -> String {
        let status = self.broker.cli_json(&["custody", "status"]);
        status["reason"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned()
    }

    /// The state and the provider's name.
    pub(crate) fn status(&self) -> (String, String) {
        let status = self.broker.cli_json(&["custody", "status"]);
        let text = |name: &str| status[name].as_str().unwrap_or_else(|| panic!("{status}")).to_owned();
        (text("state"), text("kek"))
    }

    /// Sealed, however often it is asked, and nothing goes out.
    pub(crate) fn stays_sealed(&self) {
        let seen = || (self.upstream.connections(), self.upstream.requests().len());
        let before = seen();
        for _ in 0..4 {
            assert_eq!(self.outcome(), "broker-sealed");
        }
        assert_eq!(seen(), before, "no call goes out");
    }

    /// Becomes sealed, and stays so.
    pub(crate) fn becomes_sealed(&self) {
        self.eventually("broker-sealed");
        self.stays_sealed();
    }

    /// The journal names both the end and the return of the root key.
    pub(crate) fn sealing_is_on_record(&self) {
        let events = self.broker.cli(&["journal", "show"]).stdout;
        assert!(events.contains("custody-sealed") && events.contains("custody-unsealed"), "{events}");
    }
}

impl<P: Provider> Drop for Provided<P> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            hunt_for(&self.broker, &self.provider.secrets());
        }
    }
}
