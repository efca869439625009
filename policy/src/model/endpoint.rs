//! Endpoints: who owns which address.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::labels::add_pod_labels;
use super::{Cluster, Labels, NamedPort, Pod, PodKey};

/// What policy applies to: a pod with an identity, whether its object is known or only its
/// attachment. One in the namespace without a name is a container that is no pod: no policy selects
/// it, and to others it is an address like those outside the cluster.
#[derive(Clone, Debug)]
pub struct Endpoint<'a> {
    /// The pod.
    pub key: &'a PodKey,
    /// What selectors read: the pod's labels and those Calico adds. While only CNI knows the pod,
    /// none of its own.
    pub labels: Labels,
    /// Ports the pod declares by name.
    pub named_ports: &'a BTreeSet<NamedPort>,
    /// The addresses that stand for it. The one CNI attached wins over what the object reports for
    /// the same family, which may be missing or left over from an earlier life, and over whatever an
    /// annotation notes.
    pub addresses: Vec<IpAddr>,
    /// How strong its claim to them is.
    pub claim: Claim,
}

/// The strength of an endpoint's claim to its address; the greater wins, and of equals the one
/// whose key comes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    by: Witness,
    staying: bool,
    created: Option<String>,
}

/// Who says that the address is the endpoint's, the least trustworthy first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Witness {
    /// An annotation of its object, which tenants can write.
    #[default]
    Annotation,
    /// The status of its object, which the kubelet writes.
    Status,
    /// CNI on this node, which attached it.
    Attachment,
}

static NO_PORTS: BTreeSet<NamedPort> = BTreeSet::new();

/// The service account of a pod that names none.
const DEFAULT_ACCOUNT: &str = "default";

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
                .then(|| self.of_pod(key, pod, attached.map(|w| *w.1))),
            None => attached.map(|(key, address)| of_workload(key, *address)),
        }
    }

    /// The endpoint behind each address. When two claim one address, an attached workload beats
    /// what an object's status reports and that what an annotation notes; then a staying pod beats
    /// a terminating one, and a younger pod an older one.
    #[must_use]
    pub fn address_owners(&self) -> BTreeMap<IpAddr, Endpoint<'_>> {
        let strength =
            |endpoint: &Endpoint<'_>| (endpoint.claim.clone(), Reverse(endpoint.key.clone()));
        let mut owners: BTreeMap<IpAddr, Endpoint<'_>> = BTreeMap::new();
        for endpoint in self.endpoints() {
            for address in &endpoint.addresses {
                let holder = owners.get(address);
                if holder.is_none_or(|holder| strength(&endpoint) > strength(holder)) {
                    owners.insert(*address, endpoint.clone());
                }
            }
        }
        owners
    }

    fn of_pod<'a>(&self, key: &'a PodKey, pod: &'a Pod, attached: Option<IpAddr>) -> Endpoint<'a> {
        let reported = pod.addresses.iter().copied();
        let kept = reported
            .filter(|ip| attached.is_none_or(|own| !pod.noted && own.is_ipv4() != ip.is_ipv4()));
        let account = pod.service_account.as_deref().unwrap_or(DEFAULT_ACCOUNT);
        let account_labels = self.account_labels(&key.namespace, account);
        let mut addresses: Vec<IpAddr> = attached.into_iter().collect();
        for address in kept {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let mut labels = pod.labels.clone();
        add_pod_labels(&mut labels, &key.namespace, Some((account, account_labels)));
        Endpoint {
            key,
            labels,
            named_ports: &pod.named_ports,
            addresses,
            claim: Claim {
                by: match (attached, pod.noted) {
                    (Some(_), _) => Witness::Attachment,
                    (None, false) => Witness::Status,
                    (None, true) => Witness::Annotation,
                },
                staying: !pod.terminating,
                created: pod.created.clone(),
            },
        }
    }
}

fn of_workload(key: &PodKey, address: IpAddr) -> Endpoint<'_> {
    let mut labels = Labels::new();
    if !key.namespace.is_empty() {
        add_pod_labels(&mut labels, &key.namespace, None);
    }
    Endpoint {
        key,
        labels,
        named_ports: &NO_PORTS,
        addresses: vec![address],
        claim: Claim {
            by: Witness::Attachment,
            staying: true,
            created: None,
        },
    }
}
