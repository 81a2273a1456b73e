//! Reading what a permit says about tokens that a token endpoint grants.

use super::complaint::Complaints;
use super::permit::word;
use super::reader::{Table, Value};
use crate::permit::{Permit, RangeRule};
use crate::tokens::{Capture, Tokens};
use cloakroom_model::Token;

/// `capture`, `id_token` and `presents`.
pub(super) fn read(table: &Table<'_, '_>, to: &mut Complaints<'_>) -> Tokens {
    let (oauth, beside) = (("oauth", Capture::Oauth), ("beside", Capture::Beside));
    let mut capture = table.value("capture").and_then(|value| word(&value, &[oauth, beside], to));
    if let Some(value) = table.value("id_token") {
        if capture != Some(Capture::Oauth) {
            value.complain(to, "id_token goes with capture = \"oauth\"", "leave id_token out here");
        }
        let kept = word(&value, &[("withhold", Capture::Oauth), ("replace", Capture::OauthAndIdToken)], to);
        capture = kept.or(capture);
    }
    let kinds = Token::ALL.map(|kind| (kind.as_str(), kind));
    let presents = table.value("presents").and_then(|value| word(&value, &kinds, to));
    Tokens { capture, presents }
}

/// A token endpoint is asked with POST, and its reply is read whole and goes to nobody else.
pub(super) fn fit(permit: &Permit, table: &Table<'_, '_>, to: &mut Complaints<'_>) {
    let Some(value) = table.value("capture").filter(|_| permit.tokens.capture.is_some()) else { return };
    if permit.calls.iter().any(|call| call.method() != "POST") {
        let hint = "write: call = \"POST /token\", and another permit for the others";
        value.complain(to, "a token endpoint is asked with POST (RFC 6749, section 3.2)", hint);
    }
    for (key, is_set) in [
        ("upgrade", permit.upgrade.is_some()),
        ("range", permit.range == RangeRule::Pass),
        ("store", permit.repeats.store.is_some()),
    ] {
        if is_set {
            value.complain(
                to,
                format!("capture and {key} do not go together"),
                &format!("leave {key} out here"),
            );
        }
    }
}

/// What a permit presents, some permit has to capture.
pub(super) fn fit_policy(permits: &[Permit], list: &Value<'_, '_>, to: &mut Complaints<'_>) {
    let captured =
        |token| permits.iter().any(|permit| permit.tokens.capture.is_some_and(|it| it.takes(token)));
    for permit in permits {
        let Some(token) = permit.tokens.presents.filter(|token| !captured(*token)) else { continue };
        let message = format!("no permit captures what is presented: {}", token.as_str());
        let hint = match token {
            Token::IdToken => {
                "add to a permit for the token endpoint: capture = \"oauth\" and id_token = \"replace\""
            }
            Token::AccessToken | Token::RefreshToken => {
                "add to a permit for the token endpoint: capture = \"oauth\""
            }
        };
        list.complain(to, message, hint);
    }
}
