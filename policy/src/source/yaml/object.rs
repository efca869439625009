//! Documents into objects: which kind is it, and is it a list?

use super::calico::{self, Kind, STORED, V3};
use super::cluster_network_policy::V1ALPHA2;
use super::error::ManifestError;
use super::metadata::Metadata;
use super::node::{Place, documents};
use super::view::{Map, View};
use super::{Problem, cluster_network_policy, network_policy, pod};
use crate::model::{Node, Object};

/// An object and where it stood.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) object: Object,
    pub(super) place: Place,
}

/// What reading some texts has yielded so far.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) objects: Vec<Located>,
    pub(super) errors: Vec<ManifestError>,
}

/// How to read an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Namespace,
    Pod,
    Node,
    NetworkPolicy,
    ClusterNetworkPolicy,
    ServiceAccount,
    Calico(Kind),
    List,
    /// A list whose items need not repeat their kind.
    TypedList(&'static Reader),
}

impl Manifest {
    /// Reads every document of a text.
    pub(super) fn read(&mut self, file: &str, text: &str) {
        match documents(file, text) {
            Ok(documents) => {
                for node in &documents {
                    self.document(&View::document(file, node), None);
                }
            }
            Err(error) => self.errors.push(error),
        }
    }

    fn document(&mut self, view: &View<'_>, implied: Option<Reader>) {
        let read = view.map().and_then(|map| {
            let reader = reader_of(&map, implied)?;
            Ok((map, reader))
        });
        match read {
            Ok((map, Reader::List)) => self.list(&map, None),
            Ok((map, Reader::TypedList(of))) => self.list(&map, Some(*of)),
            Ok((map, reader)) => self.object(&map, reader),
            Err(error) => self.errors.push(error),
        }
    }

    fn list(&mut self, list: &Map<'_>, implied: Option<Reader>) {
        let known = list.only(&["apiVersion", "kind", "metadata", "items"]);
        match known.and_then(|()| {
            list.get("items")
                .map_or(Ok(Vec::new()), |items| items.list())
        }) {
            Ok(items) => items.iter().for_each(|item| self.document(item, implied)),
            Err(error) => self.errors.push(error),
        }
    }

    fn object(&mut self, map: &Map<'_>, reader: Reader) {
        let place = map.view.place();
        match read_object(map, reader) {
            Ok(object) => self.objects.push(Located { object, place }),
            Err(error) => self.errors.push(error),
        }
    }
}

fn reader_of(map: &Map<'_>, implied: Option<Reader>) -> Result<Reader, ManifestError> {
    if let (Some(implied), None, None) = (implied, map.get("apiVersion"), map.get("kind")) {
        return Ok(implied);
    }
    let api_version = map.require("apiVersion")?.text()?;
    let kind = map.require("kind")?;
    let reader = match (api_version, kind.text()?) {
        ("v1", "Namespace") => Reader::Namespace,
        ("v1", "Pod") => Reader::Pod,
        ("v1", "Node") => Reader::Node,
        ("v1", "List") => Reader::List,
        ("v1", "NamespaceList") => Reader::TypedList(&Reader::Namespace),
        ("v1", "PodList") => Reader::TypedList(&Reader::Pod),
        ("v1", "NodeList") => Reader::TypedList(&Reader::Node),
        ("v1", "ServiceAccount") => Reader::ServiceAccount,
        ("v1", "ServiceAccountList") => Reader::TypedList(&Reader::ServiceAccount),
        ("networking.k8s.io/v1", "NetworkPolicy") => Reader::NetworkPolicy,
        ("networking.k8s.io/v1", "NetworkPolicyList") => Reader::TypedList(&Reader::NetworkPolicy),
        (V1ALPHA2, "ClusterNetworkPolicy") => Reader::ClusterNetworkPolicy,
        (V1ALPHA2, "ClusterNetworkPolicyList") => Reader::TypedList(&Reader::ClusterNetworkPolicy),
        (V3 | STORED, "NetworkPolicy") => Reader::Calico(Kind::NetworkPolicy),
        (V3 | STORED, "GlobalNetworkPolicy") => Reader::Calico(Kind::GlobalNetworkPolicy),
        (V3 | STORED, "Tier") => Reader::Calico(Kind::Tier),
        (V3 | STORED, "NetworkSet") => Reader::Calico(Kind::NetworkSet),
        (V3 | STORED, "GlobalNetworkSet") => Reader::Calico(Kind::GlobalNetworkSet),
        (V3 | STORED, "NetworkPolicyList") => {
            Reader::TypedList(&Reader::Calico(Kind::NetworkPolicy))
        }
        (V3 | STORED, "GlobalNetworkPolicyList") => {
            Reader::TypedList(&Reader::Calico(Kind::GlobalNetworkPolicy))
        }
        (V3 | STORED, "TierList") => Reader::TypedList(&Reader::Calico(Kind::Tier)),
        (V3 | STORED, "NetworkSetList") => Reader::TypedList(&Reader::Calico(Kind::NetworkSet)),
        (V3 | STORED, "GlobalNetworkSetList") => {
            Reader::TypedList(&Reader::Calico(Kind::GlobalNetworkSet))
        }
        (_, name) => {
            let found = format!("{api_version} {name}");
            return Err(kind.error(Problem::UnknownKind { found }));
        }
    };
    Ok(reader)
}

fn read_object(map: &Map<'_>, reader: Reader) -> Result<Object, ManifestError> {
    let metadata = Metadata::of(map)?;
    match reader {
        Reader::Namespace => Ok(Object::Namespace {
            labels: metadata.labels()?,
            name: metadata.name,
        }),
        Reader::Pod => pod::read(map, metadata).map(Object::Pod),
        Reader::Node => read_node(map, metadata).map(Object::Node),
        Reader::NetworkPolicy => network_policy::read(map, &metadata).map(Object::Policy),
        Reader::ClusterNetworkPolicy => {
            cluster_network_policy::read(map, &metadata).map(Object::Policy)
        }
        Reader::ServiceAccount => Ok(Object::ServiceAccount {
            namespace: metadata.namespace()?,
            labels: metadata.labels()?,
            name: metadata.name,
        }),
        Reader::Calico(kind) => calico::read(map, &metadata, kind),
        Reader::List | Reader::TypedList(_) => Err(map.view.invalid("an object that is no list")),
    }
}

fn read_node(map: &Map<'_>, metadata: Metadata<'_>) -> Result<Node, ManifestError> {
    let mut node = Node {
        labels: metadata.labels()?,
        name: metadata.name,
        ..Node::default()
    };
    let Some(status) = map.get("status") else {
        return Ok(node);
    };
    let Some(addresses) = status.map()?.get("addresses") else {
        return Ok(node);
    };
    for entry in addresses.list()? {
        let entry = entry.map()?;
        let kind = entry.require("type")?.text()?;
        if matches!(kind, "InternalIP" | "ExternalIP") {
            node.addresses
                .push(super::validate::address(&entry.require("address")?)?);
        }
    }
    Ok(node)
}
