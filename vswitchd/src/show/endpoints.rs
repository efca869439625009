//! `show endpoints`: the pods of this node.

use cni_shim::protocol::PortMapping;
use serde_json::Value;

use super::{Form, Row, Source, Table, always, row, text};
use crate::control::Workload;

pub(super) const TABLE: Table = Table {
    name: "endpoints",
    about: "Pods of this node; wide adds MTU, limits, published ports and the container",
    columns: &[
        "endpoint",
        "address",
        "interface",
        "mac",
        "mtu",
        "ifname",
        "ingress_bits",
        "egress_bits",
        "published",
        "container",
    ],
    narrow: 4,
    form: Form::Columns,
    matters: always,
    rows,
};

fn rows(source: &Source<'_>) -> Vec<Row> {
    let mut workloads: Vec<&Workload> = source.view.desired.workloads.values().collect();
    workloads.sort_by_key(|workload| (&workload.namespace, &workload.pod, &workload.id));
    workloads.into_iter().map(of).collect()
}

/// `namespace/pod`, or the container id of a container that is no pod.
pub(crate) fn full_name(workload: &Workload) -> String {
    match workload.namespace.as_str() {
        "" => workload.pod.clone(),
        namespace => format!("{namespace}/{}", workload.pod),
    }
}

fn of(workload: &Workload) -> Row {
    let limits = workload.bandwidth.unwrap_or_default();
    let limit = |bits: u64| Some(bits).filter(|bits| *bits > 0);
    let published: Vec<Value> = workload.port_mappings.iter().map(published).collect();
    row([
        ("endpoint", text(full_name(workload))),
        ("address", text(workload.address)),
        ("interface", text(&workload.host_interface)),
        ("mac", text(workload.mac)),
        ("mtu", workload.mtu_bytes.into()),
        ("ifname", text(&workload.id.ifname)),
        ("ingress_bits", limit(limits.ingress_rate_bits).into()),
        ("egress_bits", limit(limits.egress_rate_bits).into()),
        ("published", published.into()),
        ("container", text(&workload.id.container_id)),
    ])
}

/// As docker has it: `8080->80/tcp`, after the address it is limited to.
fn published(mapping: &PortMapping) -> Value {
    let limited = mapping.host_ip.as_deref().filter(|ip| !ip.is_empty());
    let ip = limited.map(|ip| format!("{ip}:")).unwrap_or_default();
    let (host, pod) = (mapping.host_port, mapping.container_port);
    format!("{ip}{host}->{pod}/{}", mapping.protocol).into()
}
