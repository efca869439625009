//! The table itself, as text for `nft`.

use std::{collections::BTreeSet, fmt::Display, net::Ipv4Addr};

use ipnet::Ipv4Net;

use crate::{control::DesiredState, host::TUNNEL};

/// The table's family and name.
pub(super) const TABLE: &str = "ip vswitchd";

/// What the table follows from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Pools with `nat_outgoing`.
    pub nat_pools: Vec<Ipv4Net>,
    /// All pools.
    pub pools: Vec<Ipv4Net>,
    /// This node's blocks.
    pub own_blocks: Vec<Ipv4Net>,
    /// The address of `tunl0`.
    pub tunnel_address: Ipv4Addr,
    /// The host's addresses.
    pub local_addresses: BTreeSet<Ipv4Addr>,
}

impl Rules {
    /// The rules for a state.
    #[must_use]
    pub fn of(state: &DesiredState) -> Self {
        let nat = state.pools.iter().filter(|pool| pool.nat_outgoing);
        Self {
            nat_pools: nat.map(|pool| pool.cidr).collect(),
            pools: state.pools.iter().map(|pool| pool.cidr).collect(),
            own_blocks: state.blocks.clone(),
            tunnel_address: state.node.tunnel_address,
            local_addresses: state.node.local_addresses.clone(),
        }
    }

    /// One transaction that replaces whatever the table was.
    ///
    /// Two rules (Calico: `masq_mgr.go` and `StaticNATPostroutingChains`): a pod of a natOutgoing
    /// pool that talks to an address of no pool gets the address of the interface it leaves by; the
    /// host itself, talking to another node's pod from any other of its addresses, gets `tunl0`'s,
    /// so that the answer finds its way back through the tunnel.
    #[must_use]
    pub fn script(&self) -> String {
        let mut local = self.local_addresses.clone();
        local.remove(&self.tunnel_address);
        let mut rules = String::new();
        if !self.nat_pools.is_empty() {
            rules += &format!(
                "ip saddr @nat_pools ip daddr != @pools oifname != \"{TUNNEL}\" masquerade\n"
            );
        }
        if !local.is_empty() {
            rules += &format!(
                "oifname \"{TUNNEL}\" ip saddr @local ip daddr @pools ip daddr != @own_blocks \
                 masquerade\n"
            );
        }
        let sets = [
            ranges("nat_pools", &self.nat_pools),
            ranges("pools", &self.pools),
            ranges("own_blocks", &self.own_blocks),
            set("local", "", local.iter()),
        ];
        format!(
            "{}table {TABLE} {{\n{}chain postrouting {{\n\
             type nat hook postrouting priority srcnat; policy accept;\n{rules}}}\n}}\n",
            removal(),
            sets.concat()
        )
    }
}

/// Removes the table, whether it is there or not.
pub(super) fn removal() -> String {
    format!("add table {TABLE}\ndelete table {TABLE}\n")
}

fn ranges(name: &str, ranges: &[Ipv4Net]) -> String {
    set(name, "flags interval; auto-merge; ", ranges.iter())
}

fn set<T: Display>(name: &str, flags: &str, elements: impl Iterator<Item = T>) -> String {
    let elements: Vec<String> = elements.map(|element| element.to_string()).collect();
    let elements = match elements.is_empty() {
        true => String::new(),
        false => format!("elements = {{ {} }}; ", elements.join(", ")),
    };
    format!("set {name} {{ type ipv4_addr; {flags}{elements}}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules {
            nat_pools: vec!["10.244.0.0/16".parse().unwrap()],
            pools: vec![
                "10.244.0.0/16".parse().unwrap(),
                "10.9.0.0/16".parse().unwrap(),
            ],
            own_blocks: vec!["10.244.205.192/26".parse().unwrap()],
            tunnel_address: Ipv4Addr::new(10, 244, 205, 192),
            local_addresses: [
                Ipv4Addr::new(10, 244, 205, 192),
                Ipv4Addr::new(172, 16, 30, 7),
            ]
            .into(),
        }
    }

    #[test]
    fn the_transaction_replaces_the_table_whole() {
        let script = rules().script();
        assert!(script.starts_with("add table ip vswitchd\ndelete table ip vswitchd\ntable ip"));
        assert!(
            script.contains("elements = { 10.244.0.0/16, 10.9.0.0/16 }"),
            "{script}"
        );
    }

    #[test]
    fn the_tunnels_own_address_is_never_translated() {
        let script = rules().script();
        assert!(script.contains("set local { type ipv4_addr; elements = { 172.16.30.7 }; }"));
    }

    #[test]
    fn without_natoutgoing_pods_keep_their_address() {
        let script = Rules {
            nat_pools: Vec::new(),
            ..rules()
        }
        .script();
        assert!(!script.contains("saddr @nat_pools"), "{script}");
        assert!(script.contains("set nat_pools { type ipv4_addr; flags interval; auto-merge; }"));
    }
}
