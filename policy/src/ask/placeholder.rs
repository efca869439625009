//! Addresses for pods that have none yet.
//!
//! A manifest written by hand seldom says which address a pod will get, and policy on labels and
//! namespaces can be judged without. So such a pod is given an address nobody else can have: one
//! of 240.0.0.0/4 (reserved, RFC 1112 section 4) and one of 100::/64 (discard-only, RFC 6666).
//! Address blocks other than 0.0.0.0/0 and ::/0 will not contain them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::{Cluster, Object, Pod, PodKey};

/// 240.0.0.0.
const FIRST_V4: u32 = 0xf000_0000;
/// 100::.
const FIRST_V6: u128 = 0x0100 << 112;

/// The same cluster, with an address of either family for every pod that should have one and has
/// none. They are handed out in order of name, so the same cluster gets the same ones.
#[must_use]
pub fn with_placeholders(mut cluster: Cluster) -> Cluster {
    let homeless: Vec<PodKey> = cluster
        .endpoints()
        .filter(|endpoint| endpoint.addresses.is_empty())
        .map(|endpoint| endpoint.key.clone())
        .collect();
    let taken: BTreeSet<IpAddr> = match homeless.is_empty() {
        true => return cluster,
        false => taken(&cluster),
    };
    let free = (1u32..0x0fff_ffff)
        .map(placeholders)
        .filter(|pair| !pair.iter().any(|address| taken.contains(address)));
    for (key, addresses) in homeless.iter().zip(free) {
        if let Some(pod) = cluster.pods().get(key) {
            let addresses = addresses.to_vec();
            let pod = Pod {
                addresses,
                ..pod.clone()
            };
            cluster.apply(Object::Pod(pod));
        }
    }
    cluster
}

/// Is this an address [`with_placeholders`] made up?
#[must_use]
pub(crate) fn is_placeholder(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => u32::from(address) >= FIRST_V4 && !address.is_broadcast(),
        IpAddr::V6(address) => u128::from(address) >> 64 == FIRST_V6 >> 64,
    }
}

fn placeholders(number: u32) -> [IpAddr; 2] {
    let v4 = Ipv4Addr::from(FIRST_V4 + number);
    let v6 = Ipv6Addr::from(FIRST_V6 + u128::from(number));
    [v4.into(), v6.into()]
}

fn taken(cluster: &Cluster) -> BTreeSet<IpAddr> {
    let pods = cluster.pods().values().flat_map(|pod| &pod.addresses);
    let nodes = cluster.nodes().values().flat_map(|node| &node.addresses);
    let workloads = cluster.workloads().values();
    pods.chain(nodes).chain(workloads).copied().collect()
}
