//! Interim: the oracle as a table, until the compiler has moved to the new model.
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::model::{Cluster, Object, ObjectKey};
use crate::oracle::Oracle;
use crate::verdict::*;

/// Which endpoints can be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    /// Every endpoint.
    All,
    /// Those CNI attached.
    Attached,
}

/// Compiled policy.
#[derive(Clone, Debug)]
pub struct Table {
    cluster: Arc<Cluster>,
    settings: Settings,
    reasons: Arc<Mutex<Vec<RuleDescription>>>,
}

impl Table {
    /// Verdict.
    #[must_use]
    pub fn verdict(&self, direction: Direction, flow: &Flow) -> Verdict {
        let judgement = Oracle::new(&self.cluster).judge(direction, flow);
        let mut denial = self.settings;
        let by: Vec<_> = match &judgement.reason {
            RuleDescription::Rule { policy, .. } => vec![policy.clone()],
            RuleDescription::EndOfTier { selected_by, .. } => selected_by.clone(),
            _ => vec![],
        };
        for key in by.iter().rev() {
            let policy = &self.cluster.policies()[key];
            if let Some(deny) = policy.deny {
                denial.reply = deny;
            }
            if let Some(e) = policy.established {
                denial.established = e;
            }
        }
        let rule = match judgement.reason {
            RuleDescription::UnknownEndpoint => RuleRef::UNKNOWN_ENDPOINT,
            RuleDescription::NoPolicySelects => RuleRef::NO_POLICY,
            RuleDescription::NoPolicyDecides => RuleRef::NO_DECISION,
            RuleDescription::OwnTraffic => RuleRef::OWN_TRAFFIC,
            RuleDescription::NeighbourDiscovery => RuleRef::NEIGHBOUR_DISCOVERY,
            reason => {
                let mut reasons = self.reasons.lock().unwrap();
                reasons.push(reason);
                RuleRef(4 + reasons.len() as u32)
            }
        };
        Verdict {
            allowed: judgement.allowed,
            rule,
            denial,
        }
    }
    /// Knows.
    #[must_use]
    pub fn knows(&self, address: IpAddr) -> bool {
        self.cluster.address_owners().contains_key(&address)
    }
    /// Describe.
    #[must_use]
    pub fn describe(&self, rule: RuleRef) -> RuleDescription {
        match rule.0 {
            0 => RuleDescription::UnknownEndpoint,
            1 => RuleDescription::NoPolicySelects,
            2 => RuleDescription::OwnTraffic,
            3 => RuleDescription::NeighbourDiscovery,
            4 => RuleDescription::NoPolicyDecides,
            n => self.reasons.lock().unwrap()[n as usize - 5].clone(),
        }
    }
}
/// Compiler.
#[derive(Debug)]
pub struct Compiler {
    cluster: Cluster,
    settings: Settings,
}
impl Compiler {
    /// New.
    #[must_use]
    pub fn new(_subjects: Subjects, settings: Settings) -> Self {
        Self {
            cluster: Cluster::new(),
            settings,
        }
    }
    /// Apply.
    pub fn apply(&mut self, object: Object) {
        self.cluster.apply(object)
    }
    /// Remove.
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        self.cluster.remove(key)
    }
    /// Set.
    pub fn set_workload(&mut self, namespace: &str, name: &str, address: IpAddr) {
        self.cluster.set_workload(namespace, name, address)
    }
    /// Remove.
    pub fn remove_workload(&mut self, namespace: &str, name: &str) -> bool {
        self.cluster.remove_workload(namespace, name)
    }
    /// Replace.
    pub fn replace(&mut self, cluster: &Cluster) {
        self.cluster = cluster.clone()
    }
    /// Cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
    /// Table.
    #[must_use]
    pub fn table(&mut self) -> Table {
        Table {
            cluster: Arc::new(self.cluster.clone()),
            settings: self.settings,
            reasons: Arc::default(),
        }
    }
}
/// Compile.
#[must_use]
pub fn compile(cluster: &Cluster) -> Table {
    let mut compiler = Compiler::new(Subjects::All, Settings::default());
    compiler.replace(cluster);
    compiler.table()
}
