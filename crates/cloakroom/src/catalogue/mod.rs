//! What is known of services: the data files in `catalogue/`, and the ready-made policies beside them.

mod background;
mod files;
mod offers;
mod policies;
mod service;

#[cfg(test)]
mod tests;

pub(crate) use background::known_at;
pub(crate) use offers::offers;
pub(crate) use policies::{Ready, ready, ready_made};
pub(crate) use service::{Service, service, services};

use crate::failure::Failure;

/// No such name: the nearest one, else all of them.
fn unknown(what: &str, name: &str, known: &[&str], otherwise: &str) -> Failure {
    let hint = match cloakroom_admin::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => otherwise.to_owned(),
    };
    Failure::bad_input(format!("there is no {what} {name:?}")).hinting(hint)
}
