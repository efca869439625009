//! The node: its uplink, its peers, its addresses, what it is built from.

use prometheus::proto::MetricFamily;

use super::{Source, family::Family};
use crate::control::{BlockUse, Relaying, Segmentation, View};

pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let view = source.view;
    let mut families = uplink(view);
    families.extend(addresses(view));
    let whole = matches!(source.live.segmentation(), Segmentation::Kernel);
    let help =
        "1 when the kernel cuts super-segments that leave inside IPIP, 0 when vswitchd does.";
    families.push(Family::gauge("vswitchd_kernel_segmentation", help).of(flag(whole)));
    let relays = !matches!(source.live.relaying(), Relaying::Off(_));
    let help = "1 when the kernel relays settled flows between ports, 0 when the workers carry all frames.";
    families.push(Family::gauge("vswitchd_kernel_relay", help).of(flag(relays)));
    families.push(build());
    families
}

fn uplink(view: &View) -> Vec<MetricFamily> {
    let state = &view.desired;
    let unresolved = state.peers.values().filter(|p| p.next_hop.mac.is_none());
    let gauge = |name, help, value: f64| Family::gauge(name, help).of(value);
    vec![
        gauge(
            "vswitchd_uplink_up",
            "1 when the uplink is up.",
            flag(state.uplink.up),
        ),
        gauge(
            "vswitchd_uplink_mtu_bytes",
            "MTU of the uplink.",
            state.uplink.mtu_bytes.into(),
        ),
        gauge(
            "vswitchd_workloads",
            "Pod interfaces attached.",
            state.workloads.len() as f64,
        ),
        gauge("vswitchd_peers", "Other nodes.", state.peers.len() as f64),
        gauge(
            "vswitchd_peers_unresolved",
            "Other nodes whose next hop does not answer ARP.",
            unresolved.count() as f64,
        ),
    ]
}

fn addresses(view: &View) -> Vec<MetricFamily> {
    let mut used = Family::gauge(
        "vswitchd_ipam_addresses_used",
        "Addresses of the block in use, the tunnel's among them.",
    );
    let mut free = Family::gauge("vswitchd_ipam_addresses_free", "Addresses free.");
    for BlockUse {
        cidr,
        used: taken,
        free: left,
    } in &view.blocks
    {
        let cidr = cidr.to_string();
        used.add(&[("block", &cidr)], *taken as f64);
        free.add(&[("block", &cidr)], *left as f64);
    }
    let unattached = Family::gauge(
        "vswitchd_ipam_addresses_unattached",
        "Addresses held without an attachment: an ADD is under way, or was broken off.",
    );
    vec![
        used.done(),
        free.done(),
        unattached.of(view.unattached as f64),
    ]
}

fn build() -> MetricFamily {
    let mut family = Family::gauge("vswitchd_build_info", "What is running; always 1.");
    let version = env!("CARGO_PKG_VERSION");
    let labels = [("version", version), ("arch", std::env::consts::ARCH)];
    family.add(&labels, 1.0);
    family.done()
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}
