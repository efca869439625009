//! The table in force: one compiler, told only of what differs.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use policy::{Cluster, Compiler, Object, ObjectKey, Settings, Subjects, Table, model::PodKey};

use crate::control::DesiredState;

/// A compiled table and what it was compiled from.
pub(super) struct PolicyInForce {
    compiler: Compiler,
    source: Arc<Cluster>,
    ahead: BTreeMap<ObjectKey, Object>,
    workloads: BTreeMap<PodKey, Ipv4Addr>,
    table: Arc<Table>,
    /// How often a table was compiled.
    epoch: u64,
}

impl PolicyInForce {
    /// No policies, and no pods: everything is denied.
    pub(super) fn new(settings: Settings) -> Self {
        let mut compiler = Compiler::new(Subjects::Attached, settings);
        let table = Arc::new(compiler.table());
        Self {
            compiler,
            source: Arc::default(),
            ahead: BTreeMap::new(),
            workloads: BTreeMap::new(),
            table,
            epoch: 0,
        }
    }

    /// The table now.
    pub(super) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table)
    }

    /// The table of this state. A pod that comes or goes costs itself; policies that were read
    /// again cost a comparison, and what differs.
    pub(super) fn of(&mut self, state: &DesiredState) -> Arc<Table> {
        let policed = state.policed();
        let mut changed = true;
        match Arc::ptr_eq(&self.source, &state.policy) && !self.must_forget(state) {
            true => changed = self.catch_up(state, &policed),
            false => self.compiler.replace(&state.cluster()),
        }
        self.source = Arc::clone(&state.policy);
        if changed {
            self.ahead.clone_from(&state.ahead);
            self.workloads = policed;
            self.table = Arc::new(self.compiler.table());
            self.epoch += 1;
        }
        self.table()
    }

    /// The epoch of the table now; it counts from the start of the daemon.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// An object read ahead is gone: what it had replaced is known to the source only.
    fn must_forget(&self, state: &DesiredState) -> bool {
        let mut keys = self.ahead.keys();
        keys.any(|key| !state.ahead.contains_key(key))
    }

    /// Tells the compiler of pods that came, went or got another address.
    fn catch_up(&mut self, state: &DesiredState, policed: &BTreeMap<PodKey, Ipv4Addr>) -> bool {
        let mut changed = false;
        for (key, object) in &state.ahead {
            if self.ahead.get(key) != Some(object) {
                self.compiler.apply(object.clone());
                changed = true;
            }
        }
        let gone = self.workloads.keys();
        for pod in gone.filter(|pod| !policed.contains_key(*pod)) {
            self.compiler.remove_workload(&pod.namespace, &pod.name);
            changed = true;
        }
        for (pod, address) in policed {
            if self.workloads.get(pod) != Some(address) {
                let address = (*address).into();
                self.compiler
                    .set_workload(&pod.namespace, &pod.name, address);
                changed = true;
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests;
