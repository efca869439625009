//! v1 Pod: the fields policy needs.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::ManifestError;
use super::metadata::Metadata;
use super::network_policy::protocol;
use super::validate::address;
use super::view::{Map, View};
use crate::model::{NamedPort, Phase, Pod};
use crate::verdict::protocol::TCP;

/// Where Calico's CNI plugin writes a pod's address before the kubelet reports it. An empty value
/// on a terminating pod says that the address is free again.
///
/// A tenant can write it too. So it counts for little, and as in Calico not at all while the pod is
/// on no node or on the network of its node (projectcalico/calico,
/// libcalico-go/lib/backend/k8s/conversion/conversion.go, `IsValidCalicoWorkloadEndpoint` and
/// `getPodIPs`).
const POD_IP_ANNOTATION: &str = "cni.projectcalico.org/podIP";

/// Reads a Pod object.
pub(super) fn read(object: &Map<'_>, metadata: Metadata<'_>) -> Result<Pod, ManifestError> {
    let mut pod = Pod {
        namespace: metadata.namespace()?,
        labels: metadata.labels()?,
        terminating: metadata.text("deletionTimestamp")?.is_some(),
        created: metadata.text("creationTimestamp")?.map(str::to_owned),
        ..Pod::default()
    };
    if let Some(spec) = object.get("spec") {
        read_spec(&mut pod, &spec.map()?)?;
    }
    if let Some(status) = object.get("status") {
        read_status(&mut pod, &status.map()?)?;
    }
    let noted = metadata.annotation(POD_IP_ANNOTATION)?;
    apply_annotation(&mut pod, noted);
    pod.name = metadata.name;
    Ok(pod)
}

fn read_spec(pod: &mut Pod, spec: &Map<'_>) -> Result<(), ManifestError> {
    pod.node = owned_text(spec, "nodeName")?;
    pod.service_account = owned_text(spec, "serviceAccountName")?;
    pod.host_network = spec
        .get("hostNetwork")
        .map_or(Ok(false), |view| view.boolean())?;
    for containers in ["containers", "initContainers"] {
        let Some(containers) = spec.get(containers) else {
            continue;
        };
        for container in containers.list()? {
            read_ports(&mut pod.named_ports, &container)?;
        }
    }
    Ok(())
}

fn read_ports(named: &mut BTreeSet<NamedPort>, container: &View<'_>) -> Result<(), ManifestError> {
    let Some(ports) = container.map()?.get("ports") else {
        return Ok(());
    };
    for port in ports.list()? {
        let port = port.map()?;
        let Some(name) = port.get("name") else {
            continue;
        };
        let name = name.text()?.to_owned();
        let protocol = port
            .get("protocol")
            .map_or(Ok(TCP), |view| protocol(&view))?;
        let number = port.require("containerPort")?;
        let port = u16::try_from(number.integer()?)
            .ok()
            .filter(|port| *port > 0);
        let port = port.ok_or_else(|| number.invalid("a port from 1 to 65535"))?;
        named.insert(NamedPort {
            name,
            protocol,
            port,
        });
    }
    Ok(())
}

fn read_status(pod: &mut Pod, status: &Map<'_>) -> Result<(), ManifestError> {
    if let Some(phase) = status.get("phase") {
        pod.phase = match phase.text()? {
            "Pending" | "Running" | "Unknown" => Phase::Alive,
            "Succeeded" | "Failed" => Phase::Finished,
            _ => return Err(phase.invalid("Pending, Running, Succeeded, Failed or Unknown")),
        };
    }
    if let Some(list) = status.get("podIPs") {
        for entry in list.list()? {
            add_address(pod, entry.map()?.get("ip"))?;
        }
    }
    add_address(pod, status.get("podIP"))
}

fn add_address(pod: &mut Pod, view: Option<View<'_>>) -> Result<(), ManifestError> {
    let Some(view) = view else { return Ok(()) };
    if !view.text()?.is_empty() {
        let address = address(&view)?;
        if !pod.addresses.contains(&address) {
            pod.addresses.push(address);
        }
    }
    Ok(())
}

fn apply_annotation(pod: &mut Pod, noted: Option<&str>) {
    match noted {
        Some("") if pod.terminating => pod.addresses.clear(),
        Some(noted) if pod.addresses.is_empty() && is_placed(pod) => {
            pod.addresses.extend(one_address(noted));
            pod.noted = !pod.addresses.is_empty();
        }
        _ => {}
    }
}

/// Has it been given to a node, and a network of its own there?
fn is_placed(pod: &Pod) -> bool {
    pod.node.as_ref().is_some_and(|node| !node.is_empty()) && !pod.host_network
}

/// An address, which may be written as a block that holds nothing else.
fn one_address(text: &str) -> Option<IpAddr> {
    match text.parse::<IpNet>() {
        Ok(block) => (block.prefix_len() == block.max_prefix_len()).then(|| block.addr()),
        Err(_) => text.parse().ok(),
    }
}

fn owned_text(map: &Map<'_>, field: &str) -> Result<Option<String>, ManifestError> {
    map.get(field)
        .map(|view| view.text().map(str::to_owned))
        .transpose()
}
