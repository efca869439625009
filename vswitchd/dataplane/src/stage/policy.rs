//! Policy's word on a flow: egress of its source, ingress of its destination.

use std::net::Ipv4Addr;

use packet::flow::FlowKey;
use policy::model::Established;
use policy::{Direction, RuleRef, Verdict};

use super::route;
use crate::denied::Denied;
use crate::drop_reason::DropReason;
use crate::ids::PortId;
use crate::notebook::{Note, Observer};
use crate::snapshot::{PortKind, Snapshot};

/// A flow, as policy is asked about it.
pub(crate) struct Question<'a> {
    /// As its first packet carried it.
    pub(crate) key: &'a FlowKey,
    /// The port its first packet came in by.
    pub(crate) origin: PortId,
    /// ICMP type and code of its first packet.
    pub(crate) icmp: Option<(u8, u8)>,
    /// It was allowed before, so a denial that keeps established flows does not
    /// end it.
    pub(crate) is_established: bool,
}

/// Under which a flow goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Policy allows it.
    Allowed,
    /// Policy denies it now and lets what was there before go on.
    Kept,
}

/// Asks both ends, as far as they are pods of this node. One that says no and
/// does not keep the flow decides.
pub(crate) fn ask(
    world: &Snapshot,
    observer: &mut Observer,
    question: &Question<'_>,
) -> Result<Standing, Denied> {
    let mut standing = Standing::Allowed;
    observer.rules = [None; 2];
    for direction in subjects(world, question).into_iter().flatten() {
        let verdict = verdict(world, question, direction);
        observer.rules[place(direction)] = Some(verdict.rule);
        let is_kept = !verdict.allowed && question.is_established && keeps(&verdict);
        observer.note(|| Note::Policy {
            direction,
            key: *question.key,
            verdict,
            is_kept,
        });
        match verdict.allowed {
            true => {}
            false if is_kept => standing = Standing::Kept,
            false => {
                return Err(Denied {
                    reason: reason(direction),
                    reply: verdict.denial.reply,
                });
            }
        }
    }
    Ok(standing)
}

/// Where a direction stands in [`Rules`](crate::Rules).
pub(crate) fn place(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}

/// What policy says about one end, of a flow it has been asked about before.
pub(crate) fn rule(world: &Snapshot, question: &Question<'_>, direction: Direction) -> RuleRef {
    verdict(world, question, direction).rule
}

/// A pod that policy does not know keeps nothing: nobody decided that it may.
fn keeps(verdict: &Verdict) -> bool {
    verdict.denial.established == Established::Keep && verdict.rule != RuleRef::UNKNOWN_ENDPOINT
}

fn reason(direction: Direction) -> DropReason {
    match direction {
        Direction::Egress => DropReason::PolicyEgress,
        Direction::Ingress => DropReason::PolicyIngress,
    }
}

/// The directions to judge here; also where the host's NAT (hostPort, a
/// service) has led a pod's packet back. What the host sends from an address of
/// its own is not policed on the way in (kubelet probes); what it forwards for
/// others is.
fn subjects(world: &Snapshot, question: &Question<'_>) -> [Option<Direction>; 2] {
    let Question { key, origin, .. } = *question;
    let is_here = |address| route::workload_at(world, address).is_some();
    let from_workload = world.workload(origin).is_some() || is_here(key.src);
    let from_own_host = !from_workload
        && world.node.local_addresses.contains(&key.src)
        && matches!(world.port(origin), Some(port) if matches!(port.kind, PortKind::Host));
    let to_workload = is_here(key.dst) && !from_own_host;
    [
        from_workload.then_some(Direction::Egress),
        to_workload.then_some(Direction::Ingress),
    ]
}

fn verdict(world: &Snapshot, question: &Question<'_>, direction: Direction) -> Verdict {
    let key = question.key;
    let (subject, peer): (Ipv4Addr, Ipv4Addr) = match direction {
        Direction::Egress => (key.src, key.dst),
        Direction::Ingress => (key.dst, key.src),
    };
    let flow = policy::Flow {
        subject: subject.into(),
        peer: peer.into(),
        protocol: key.protocol.0,
        src_port: key.src_port,
        dst_port: key.dst_port,
        icmp: question.icmp,
    };
    world.policy.verdict(direction, &flow)
}
