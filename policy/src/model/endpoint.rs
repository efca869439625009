//! Endpoints: who owns which address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Cluster, Labels, NamedPort, Pod, PodKey};

/// What policy applies to: a pod with an identity, whether its object is known or only its
/// attachment.
#[derive(Clone, Debug)]
pub struct Endpoint<'a> {
    /// The pod.
    pub key: &'a PodKey,
    /// The pod's labels; empty while only CNI knows the pod.
    pub labels: &'a Labels,
    /// Ports the pod declares by name.
    pub named_ports: &'a BTreeSet<NamedPort>,
    /// The addresses that stand for it. The one CNI attached wins over what the object reports for
    /// the same family, which may be missing or left over from an earlier life.
    pub addresses: Vec<IpAddr>,
    claim: Claim<'a>,
}

/// The strength of an endpoint's claim to its address; the greater wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim<'a> {
    attached: bool,
    staying: bool,
    created: Option<&'a str>,
}

static NO_LABELS: Labels = Labels::new();
static NO_PORTS: BTreeSet<NamedPort> = BTreeSet::new();

impl Cluster {
    /// Every endpoint, ordered by key. Host-network and finished pods are none.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint<'_>> {
        let unseen = self
            .workloads
            .keys()
            .filter(|key| !self.pods.contains_key(*key));
        let keys: BTreeSet<&PodKey> = self.pods.keys().chain(unseen).collect();
        keys.into_iter().filter_map(|key| self.endpoint(key))
    }

    /// The endpoint of a pod, if it has an identity.
    #[must_use]
    pub fn endpoint<'a>(&'a self, key: &PodKey) -> Option<Endpoint<'a>> {
        let attached = self.workloads.get_key_value(key);
        match self.pods.get_key_value(key) {
            Some((key, pod)) => pod
                .has_identity()
                .then(|| of_pod(key, pod, attached.map(|w| *w.1))),
            None => attached.map(|(key, address)| of_workload(key, *address)),
        }
    }

    /// The endpoint behind each address. When two claim one address, an attached workload beats
    /// an object's report, a staying pod a terminating one, a younger pod an older one.
    #[must_use]
    pub fn address_owners(&self) -> BTreeMap<IpAddr, Endpoint<'_>> {
        let mut owners: BTreeMap<IpAddr, Endpoint<'_>> = BTreeMap::new();
        for endpoint in self.endpoints() {
            for address in &endpoint.addresses {
                let holder = owners.get(address);
                if holder.is_none_or(|holder| endpoint.claim > holder.claim) {
                    owners.insert(*address, endpoint.clone());
                }
            }
        }
        owners
    }
}

fn of_pod<'a>(key: &'a PodKey, pod: &'a Pod, attached: Option<IpAddr>) -> Endpoint<'a> {
    let reported = pod.addresses.iter().copied();
    let kept = reported.filter(|ip| attached.is_none_or(|own| own.is_ipv4() != ip.is_ipv4()));
    Endpoint {
        key,
        labels: &pod.labels,
        named_ports: &pod.named_ports,
        addresses: attached.into_iter().chain(kept).collect(),
        claim: Claim {
            attached: attached.is_some(),
            staying: !pod.terminating,
            created: pod.created.as_deref(),
        },
    }
}

fn of_workload(key: &PodKey, address: IpAddr) -> Endpoint<'_> {
    Endpoint {
        key,
        labels: &NO_LABELS,
        named_ports: &NO_PORTS,
        addresses: vec![address],
        claim: Claim {
            attached: true,
            staying: true,
            created: None,
        },
    }
}
