//! Calico's API: NetworkPolicy, GlobalNetworkPolicy, Tier, NetworkSet and GlobalNetworkSet.
//!
//! projectcalico.org/v3 and crd.projectcalico.org/v1 hold the same objects; the second is how
//! Calico stores the first as custom resources. Read as strictly as Calico's API reads them: an
//! unknown field or value is an error, and so is what nothing here enforces.
//!
//! Source: projectcalico/calico, api/pkg/apis/projectcalico/v3 (fields and their validation rules),
//! libcalico-go/lib/validator/v3 and libcalico-go/lib/backend/syncersv1/updateprocessors (what
//! selectors, namespaces and service accounts mean together).

mod entity;
mod policy;
mod rule;
mod selector;
mod set;
mod stored;
#[cfg(test)]
mod tests;
mod tier;
mod traffic;

use super::metadata::Metadata;
use super::view::Map;
use super::{ManifestError, Problem};
use crate::model::Object;

/// Calico's API.
pub(super) const V3: &str = "projectcalico.org/v3";

/// The custom resources in which Calico stores it.
pub(super) const STORED: &str = "crd.projectcalico.org/v1";

type Read<T> = Result<T, ManifestError>;

/// The kinds read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NetworkPolicy,
    GlobalNetworkPolicy,
    Tier,
    NetworkSet,
    GlobalNetworkSet,
}

/// Reads an object of one of the kinds.
pub(super) fn read(object: &Map<'_>, metadata: &Metadata<'_>, kind: Kind) -> Read<Object> {
    object.only(&["apiVersion", "kind", "metadata", "spec", "status"])?;
    metadata.only_known_fields()?;
    let namespace = match kind {
        Kind::NetworkPolicy | Kind::NetworkSet => Some(metadata.namespace()?),
        Kind::GlobalNetworkPolicy | Kind::Tier | Kind::GlobalNetworkSet => {
            no_namespace(metadata)?;
            None
        }
    };
    match kind {
        Kind::NetworkPolicy | Kind::GlobalNetworkPolicy => {
            policy::read(object, metadata, namespace).map(Object::Policy)
        }
        Kind::Tier => tier::read(object, metadata).map(Object::Tier),
        Kind::NetworkSet | Kind::GlobalNetworkSet => {
            set::read(object, metadata, namespace).map(Object::NetworkSet)
        }
    }
}

fn no_namespace(metadata: &Metadata<'_>) -> Read<()> {
    match metadata.written_namespace()? {
        Some(view) => Err(view.error(Problem::Conflict(
            "objects of this kind are in no namespace: leave it out",
        ))),
        None => Ok(()),
    }
}
