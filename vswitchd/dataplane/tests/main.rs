//! The claims of the data plane, shown in an in-memory house.
//!
//! `house` is the house; each other file is a room of claims. They are one
//! test binary, so that the house is built once.

#![forbid(unsafe_code)]

// The modules of a test binary have no outside to be unreachable from.
#[allow(unreachable_pub)]
mod house;

mod allocations;
mod properties;
mod smoltcp_hosts;
mod traps;
mod walk_arp;
mod walk_conntrack;
mod walk_drops;
mod walk_established;
mod walk_evasion;
mod walk_flow_log;
mod walk_flow_table;
mod walk_host;
mod walk_icmp;
mod walk_lanes;
mod walk_mtu;
mod walk_policy;
mod walk_port_drops;
mod walk_reject;
mod walk_sweep;
mod walk_tunnel;
mod walk_workers;
