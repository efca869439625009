//! Who is behind an address, as of a view.

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use ::policy::model::PodKey;
use serde_json::{Map, Value};

use crate::{
    admin::Row,
    control::{View, Workload},
};

/// Who an address belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Party {
    /// `namespace/pod`, `(host)` for this node, `(node NAME)` for another; `None` = outside, or not known.
    pub(super) pod: Option<Arc<str>>,
    /// The node it is on, if it is of the cluster.
    pub(super) node: Option<Arc<str>>,
}

/// Every address with a name.
pub(super) struct Names {
    view: Arc<View>,
    parties: HashMap<Ipv4Addr, Party>,
}

impl Names {
    /// The names of this view. Linear in the cluster's pods.
    pub(super) fn of(view: Arc<View>) -> Self {
        let state = &view.desired;
        let mut parties = HashMap::new();
        let own: Arc<str> = state.node.name.as_str().into();
        for (pod, endpoint) in state.policy.pods() {
            let node = endpoint.node.as_deref().map(Arc::from);
            for address in endpoint.addresses.iter().filter(|_| !endpoint.host_network) {
                if let std::net::IpAddr::V4(address) = address {
                    let pod = Some(format!("{}/{}", pod.namespace, pod.name).into());
                    let node = node.clone();
                    parties.insert(*address, Party { pod, node });
                }
            }
        }
        for peer in state.peers.values() {
            let party = Party {
                pod: Some(format!("(node {})", peer.name).into()),
                node: Some(peer.name.as_str().into()),
            };
            parties.insert(peer.address.addr(), party.clone());
            parties.insert(peer.tunnel_address, party);
        }
        let host = Party {
            pod: Some("(host)".into()),
            node: Some(own.clone()),
        };
        let own_addresses = state.node.local_addresses.iter();
        parties.extend(own_addresses.map(|address| (*address, host.clone())));
        for workload in state.workloads.values() {
            let pod = Some(full_name(workload).into());
            let node = Some(own.clone());
            parties.insert(workload.address, Party { pod, node });
        }
        Self { view, parties }
    }

    /// Whether these are the names of that view.
    pub(super) fn is_of(&self, view: &Arc<View>) -> bool {
        Arc::ptr_eq(&self.view, view)
    }

    /// Who has this address; of a pod nobody has told of, the node whose block it is in.
    pub(super) fn party(&self, address: Ipv4Addr) -> Party {
        if let Some(party) = self.parties.get(&address) {
            return party.clone();
        }
        let mut peers = self.view.desired.peers.values();
        let owns = |block: &crate::control::BlockRoute| block.block.contains(&address);
        let owner = peers.find(|peer| peer.routes.iter().any(owns));
        Party {
            pod: None,
            node: owner.map(|peer| peer.name.as_str().into()),
        }
    }
}

fn full_name(workload: &Workload) -> String {
    match workload.namespace.as_str() {
        "" => workload.pod.clone(),
        namespace => format!("{namespace}/{}", workload.pod),
    }
}

/// Writes the labels that the pods of a row have now.
pub(super) fn add_labels(view: &View, row: &mut Row) {
    for (pod, labels) in [("src_pod", "src_labels"), ("dst_pod", "dst_labels")] {
        let name = row.get(pod).and_then(Value::as_str);
        let Some((namespace, name)) = name.and_then(|name| name.split_once('/')) else {
            continue;
        };
        let key = PodKey::new(namespace, name);
        let Some(pod) = view.desired.policy.pods().get(&key) else {
            continue;
        };
        let pairs = pod.labels.iter();
        let pairs: Map<String, Value> = pairs
            .map(|(key, value)| (key.to_string(), value.to_string().into()))
            .collect();
        row.insert(labels.into(), pairs.into());
    }
}
