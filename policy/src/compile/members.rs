//! Members that are addresses: network sets and nodes, by the scopes that mean them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{Cluster, Members, Scope};
use ipnet::IpNet;

/// The addresses of each scope that rules in force name and that can have some.
#[derive(Debug, Default)]
pub(super) struct MemberNets {
    scopes: HashMap<Scope, Entry>,
}

#[derive(Debug)]
struct Entry {
    nets: Arc<[IpNet]>,
    /// Programs that name the scope.
    users: BTreeSet<u32>,
}

impl MemberNets {
    /// The addresses of a scope.
    pub(super) fn nets(&self, scope: &Scope) -> Arc<[IpNet]> {
        let entry = self.scopes.get(scope);
        entry.map_or_else(Arc::default, |entry| Arc::clone(&entry.nets))
    }

    /// Says that a program names a scope.
    pub(super) fn join(&mut self, scope: &Scope, program: u32, cluster: &Cluster) {
        if scope.members == Members::Pods {
            return;
        }
        if let Some(entry) = self.scopes.get_mut(scope) {
            entry.users.insert(program);
            return;
        }
        let entry = Entry {
            nets: addresses_of(scope, cluster),
            users: [program].into(),
        };
        self.scopes.insert(scope.clone(), entry);
    }

    /// Says that a program is gone.
    pub(super) fn leave(&mut self, program: u32) {
        self.scopes.retain(|_, entry| {
            entry.users.remove(&program);
            !entry.users.is_empty()
        });
    }

    /// Looks again, and says which programs name a scope that has other addresses now.
    pub(super) fn renew(&mut self, cluster: &Cluster) -> BTreeSet<u32> {
        let mut outdated = BTreeSet::new();
        for (scope, entry) in &mut self.scopes {
            let nets = addresses_of(scope, cluster);
            if nets != entry.nets {
                entry.nets = nets;
                outdated.extend(&entry.users);
            }
        }
        outdated
    }
}

fn addresses_of(scope: &Scope, cluster: &Cluster) -> Arc<[IpNet]> {
    match scope.members {
        Members::Pods => Arc::default(),
        Members::PodsAndSets => {
            let sets = cluster.sets().values();
            let members = sets.filter(|set| cluster.has_set(scope, set));
            members.flat_map(|set| &set.nets).copied().collect()
        }
        Members::Nodes => {
            let nodes = cluster.nodes().values();
            let members = nodes.filter(|node| scope.labels.matches(&node.labels));
            let addresses = members.flat_map(|node| &node.addresses);
            addresses.map(|address| IpNet::from(*address)).collect()
        }
    }
}
