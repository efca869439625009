//! NetworkSet and GlobalNetworkSet.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Read, stored};
use crate::model::{NAMESPACE_LABEL, NetworkSet};
use crate::source::yaml::Problem;
use crate::source::yaml::metadata::Metadata;
use crate::source::yaml::view::{Map, View};

/// Reads a set; without a namespace, a global one.
pub(super) fn read(
    object: &Map<'_>,
    metadata: &Metadata<'_>,
    namespace: Option<String>,
) -> Read<NetworkSet> {
    let mut set = NetworkSet {
        namespace,
        name: metadata.name.clone(),
        labels: stored::labels(object, metadata)?,
        nets: Vec::new(),
    };
    if set.labels.contains_key(NAMESPACE_LABEL) {
        let labels = object.require("metadata")?;
        return Err(labels.error(Problem::Conflict(
            "the label projectcalico.org/namespace is Calico's own: leave it out",
        )));
    }
    let Some(spec) = object.get("spec") else {
        return Ok(set);
    };
    let spec = spec.map()?;
    spec.only(&["nets"])?;
    if let Some(nets) = spec.get("nets") {
        set.nets = nets
            .list()?
            .iter()
            .map(block_or_address)
            .collect::<Read<_>>()?;
    }
    Ok(set)
}

/// Calico takes addresses here, and blocks with bits beyond the prefix.
fn block_or_address(view: &View<'_>) -> Read<IpNet> {
    let text = view.text()?;
    let block = text.parse::<IpNet>().map(|net| net.trunc());
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    block
        .or_else(|_| address())
        .map_err(|_| view.invalid("an address, or a block such as 10.0.0.0/8"))
}
