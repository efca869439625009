//! What the flow log is told of judging, if there is one.

use policy::Direction;

use super::Refusal;
use super::policy::{Question, place, rule};
use crate::arrived::Arrived;
use crate::conntrack::{Flow, FlowId, State};
use crate::drop_reason::DropReason;
use crate::journal::{DeniedPacket, EndReason, Journal};
use crate::local::Local;
use crate::snapshot::Snapshot;
use crate::time::Time;

/// A connection that both ends have closed, or one has reset, is over for
/// people, though the table remembers it for a while.
#[inline(always)]
pub(crate) fn if_over(journal: &mut Journal, now: Time, id: FlowId, flow: &mut Flow) {
    let reason = match flow.state {
        State::TimeWait => EndReason::Fin,
        State::Closed => EndReason::Reset,
        _ => return,
    };
    journal.ended(now, id, flow, reason);
}

/// Policy has just denied a flow that it had allowed.
pub(crate) fn cut(local: &mut Local, now: Time, id: FlowId) {
    let flow = local.flows.flow(id);
    let Some(denied) = flow.denied else { return };
    let direction = direction(denied.reason).unwrap_or(Direction::Ingress);
    let rule = local.observer.rules[place(direction)];
    local
        .journal
        .ended(now, id, flow, EndReason::Cut(direction, rule));
}

/// Policy has just allowed a flow that was cut. To the log that is another flow.
pub(crate) fn mended(local: &mut Local, now: Time, id: FlowId) {
    if !local.journal.is_on() {
        return;
    }
    let flow = local.flows.flow(id);
    (flow.began, flow.packets, flow.bytes) = (now, [0; 2], [0; 2]);
    let rules = local.observer.rules;
    local.journal.begun(now, id, flow, rules);
}

/// Policy has refused a packet. Errors about a flow are no packets of it.
#[cold]
pub(crate) fn denied(
    world: &Snapshot,
    local: &mut Local,
    now: Time,
    arrived: &Arrived,
    bytes: usize,
    refusal: &Refusal,
) {
    let Some(direction) = direction(refusal.reason) else {
        return;
    };
    let flow = &arrived.flow;
    if flow.is_error {
        return;
    }
    let packet = DeniedPacket {
        key: flow.key,
        hash: local.flows.hash(&flow.key),
        direction,
        from: arrived.port,
        bytes,
    };
    let (flows, decided) = (&mut local.flows, local.observer.rules[place(direction)]);
    local.journal.denied(now, world.generation, &packet, || {
        // Of a flow that was cut before, policy was not asked now.
        let known = flows.find(&packet.key).filter(|_| decided.is_none());
        decided.or_else(|| Some(rule_of(world, flows.flow(known?.0), direction)))
    });
}

fn rule_of(world: &Snapshot, flow: &Flow, direction: Direction) -> policy::RuleRef {
    let key = flow.original();
    let icmp = (key.dst_port as u8, flow.icmp_code);
    let question = Question {
        key: &key,
        origin: flow.origin,
        icmp: (key.protocol == packet::Protocol::ICMP).then_some(icmp),
        is_established: false,
    };
    rule(world, &question, direction)
}

fn direction(reason: DropReason) -> Option<Direction> {
    match reason {
        DropReason::PolicyEgress => Some(Direction::Egress),
        DropReason::PolicyIngress => Some(Direction::Ingress),
        _ => None,
    }
}
