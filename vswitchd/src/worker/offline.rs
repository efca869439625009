//! The snapshot of a state that no worker serves: for questions about files.

use dataplane::{Generation, Snapshot};

use super::describe::describe;
use super::limits::Limits;
use super::policy::PolicyInForce;
use crate::control::DesiredState;

/// What would be published for this state. `host_mtu_bytes` is the host port's.
#[must_use]
pub fn snapshot(state: &DesiredState, settings: policy::Settings, host_mtu_bytes: u16) -> Snapshot {
    let generation = Generation(1);
    let mut limits = Limits::default();
    limits.update(state, generation);
    let description = describe(state, &limits, host_mtu_bytes);
    let policy = PolicyInForce::new(settings).of(state);
    dataplane::compile(&description, policy, generation)
}
