//! Who the broker is: another user than root where one is named, and without any privilege either way.
//!
//! Linux keeps user and privileges for each thread, so all of this happens before there is a second one. Between [`Privileges::become_user`] and
//! [`Privileges::give_up`] the listeners are opened: a port below 1024 takes a privilege, and so does a listener for steered connections.

use super::user::User;
use super::{Held, LayerState};
use crate::failure::{Failure, plain};
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// What the listeners take, and emptying the bounding set.
const MEANWHILE: CapabilitySet =
    CapabilitySet::NET_BIND_SERVICE.union(CapabilitySet::NET_ADMIN).union(CapabilitySet::SETPCAP);
/// Memory that may be locked where root says: far more than secrets need at a time.
const LOCKED: u64 = 256 << 20;

/// What a start may still do.
#[derive(Debug)]
pub(crate) struct Privileges {
    user: Option<User>,
}

impl Privileges {
    /// Becomes the user, if one is named.
    ///
    /// # Errors
    /// Where there is no such user, or it takes root to become it.
    pub(crate) fn become_user(wanted: Option<&str>) -> Result<Self, Failure> {
        raise_locked_memory();
        let Some(wanted) = wanted else { return Ok(Self { user: None }) };
        let user = User::find(wanted)?;
        if geteuid() == user.id {
            return Ok(Self { user: Some(user) });
        }
        if !geteuid().is_root() {
            return Err(Failure::bad_input(format!("only root can start a broker that runs as {wanted}"))
                .hinting("start it as that user, and drop [process] user"));
        }
        let failed = |error: rustix::io::Errno| {
            Failure::failed(format!("cannot become the user {wanted}: {}", plain(&error.into())))
        };
        set_keep_capabilities(true).map_err(failed)?;
        set_thread_groups(&user.groups).map_err(failed)?;
        set_thread_res_gid(user.group, user.group, user.group).map_err(failed)?;
        set_thread_res_uid(user.id, user.id, user.id).map_err(failed)?;
        set_keep_capabilities(false).map_err(failed)?;
        let kept = CapabilitySets {
            effective: MEANWHILE,
            permitted: MEANWHILE,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, kept).map_err(failed)?;
        // A change of the user makes the process dumpable as the system is set.
        let _ = cloakroom_egress::custody::harden_process();
        Ok(Self { user: Some(user) })
    }

    /// Gives up every privilege, for good.
    ///
    /// # Errors
    /// Where one is left.
    pub(crate) fn give_up(self) -> Result<LayerState, Failure> {
        let failed = |error: rustix::io::Errno| {
            Failure::failed(format!("privileges cannot be given up: {}", plain(&error.into())))
        };
        set_no_new_privs(true).map_err(failed)?;
        let bounding = empty_bounding_set();
        let _ = clear_ambient_capability_set();
        let none = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        // A service manager that took them away before may keep the call from us too.
        if capabilities(None).map_err(failed)? != none {
            set_capabilities(None, none).map_err(failed)?;
        }
        if capabilities(None).map_err(failed)? != none {
            return Err(Failure::failed("privileges were not given up: some are left"));
        }
        let who = self
            .user
            .map_or_else(|| format!("user {}", geteuid().as_raw()), |user| format!("user {}", user.name));
        if geteuid().is_root() {
            let how = format!(
                "no capability, but {who} is root and owns the system's files: name another, [process] user"
            );
            return Ok(LayerState::Holds(Held::InPart, how));
        }
        let how = match bounding {
            true => format!("{who}, no capability, none to be had"),
            // Without the privilege to empty it; nothing can be gained by it, for no program is started and none is trusted more.
            false => format!("{who}, no capability, none to be gained (no_new_privs)"),
        };
        Ok(LayerState::Holds(Held::Whole, how))
    }
}

/// Whether it is empty now.
fn empty_bounding_set() -> bool {
    let all = CapabilitySet::all().iter();
    // A kernel that does not know one does not have it.
    all.map(remove_capability_from_bounding_set)
        .all(|done| matches!(done, Ok(()) | Err(rustix::io::Errno::INVAL)))
}

/// As far as the system lets it, and with privilege further: secrets lie on locked pages.
fn raise_locked_memory() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Memlock);
    let enough = maximum.is_none_or(|most| most >= LOCKED);
    let most = if enough { maximum } else { Some(LOCKED) };
    if setrlimit(Resource::Memlock, Rlimit { current: most, maximum: most }).is_err() {
        let _ = setrlimit(Resource::Memlock, Rlimit { current: maximum, maximum });
    }
}
