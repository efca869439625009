//! The token buckets of pods, kept from one snapshot to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use cni_shim::protocol::Attachment;
use dataplane::{Bandwidth, Generation};

use crate::control::{DesiredState, Workload};

/// What a pod keeps for as long as it is attached.
#[derive(Clone)]
pub(super) struct Kept {
    wanted: cni_shim::protocol::Bandwidth,
    pub(super) egress: Option<Arc<Bandwidth>>,
    pub(super) ingress: Option<Arc<Bandwidth>>,
    /// The first generation it was in.
    pub(super) since: Generation,
}

/// What every pod keeps.
#[derive(Default)]
pub(super) struct Limits(BTreeMap<Attachment, Kept>);

impl Limits {
    /// Forgets pods that are gone and makes buckets for new ones.
    pub(super) fn update(&mut self, state: &DesiredState, generation: Generation) {
        self.0.retain(|id, _| state.workloads.contains_key(id));
        for (id, workload) in &state.workloads {
            let wanted = workload.bandwidth.unwrap_or_default();
            let kept = self.0.get(id);
            if kept.is_none_or(|kept| kept.wanted != wanted) {
                let since = kept.map_or(generation, |kept| kept.since);
                self.0.insert(id.clone(), Kept::new(wanted, since));
            }
        }
    }

    /// What this pod keeps; [`Limits::update`] has seen it.
    pub(super) fn of(&self, workload: &Workload) -> Kept {
        let fresh = || Kept::new(workload.bandwidth.unwrap_or_default(), Generation(0));
        self.0.get(&workload.id).cloned().unwrap_or_else(fresh)
    }
}

impl Kept {
    fn new(wanted: cni_shim::protocol::Bandwidth, since: Generation) -> Self {
        let bucket = |rate, burst| (rate > 0).then(|| Arc::new(Bandwidth::new(rate, burst)));
        Self {
            wanted,
            egress: bucket(wanted.egress_rate_bits, wanted.egress_burst_bits),
            ingress: bucket(wanted.ingress_rate_bits, wanted.ingress_burst_bits),
            since,
        }
    }
}
