//! Programs: what the policies of a tier say to the endpoints they select, ready to be asked.

use std::net::IpAddr;
use std::sync::Arc;

use super::ends::EndIndex;
use super::names::Served;
use super::ports::PortIndex;
use super::rows::{Rows, WORD};
use super::traffic::Spot;
use crate::model::Action;
use crate::verdict::{Denial, Direction, Flow, RuleRef};

/// What a rule, or the end of a tier, means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) action: Action,
    pub(crate) rule: RuleRef,
    pub(crate) denial: Denial,
}

/// An end of a flow as the table sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Party<'t> {
    pub(crate) address: IpAddr,
    /// The endpoint's class; `None` outside the cluster.
    pub(crate) class: Option<u32>,
    /// The ports it serves under names.
    pub(crate) served: &'t [Served],
}

/// A question as programs see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'t> {
    pub(crate) direction: Direction,
    pub(crate) flow: &'t Flow,
    pub(crate) subject: Party<'t>,
    pub(crate) peer: Party<'t>,
}

/// The policies of one tier that select some endpoints, for one direction.
///
/// A matrix of bits (the bit vectors of Lakshman and Stiliadis, SIGCOMM 1998). Each rule is a
/// column, or several where it has alternatives that cannot be one; columns stand in the order in
/// which rules are judged. A class, an address, a port each lead to a row that says which columns
/// mean it. All rows together, word by word, leave the columns that match; the first decides. The
/// cost is a few lookups, and a handful of instructions for every 64 columns.
#[derive(Clone, Debug)]
pub(crate) struct TierProgram {
    /// By column.
    pub(super) outcomes: Arc<[Outcome]>,
    pub(super) rows: Arc<Rows>,
    pub(super) peers: EndIndex,
    /// What rules ask of the endpoint itself, where any does.
    pub(super) subject: Option<EndIndex>,
    pub(super) destination: Arc<PortIndex>,
    /// What rules ask of the source port, where any does.
    pub(super) source: Option<Arc<PortIndex>>,
    /// What stands after the last rule.
    pub(super) end: Outcome,
}

impl TierProgram {
    /// What the tier says.
    #[inline]
    pub(crate) fn judge(&self, question: &Question<'_>) -> &Outcome {
        self.first(question)
            .map_or(&self.end, |column| &self.outcomes[column])
    }

    /// The first column that matches.
    #[inline]
    fn first(&self, question: &Question<'_>) -> Option<usize> {
        let Question {
            flow,
            peer,
            subject,
            ..
        } = question;
        let (source, destination) = match question.direction {
            Direction::Ingress => (peer, subject),
            Direction::Egress => (subject, peer),
        };
        let rows = &*self.rows;
        let by_class = self.peers.of_class(peer.class);
        let by_address = rows.row(self.peers.by_address.at(peer.address));
        let spot = Spot::of_destination(flow);
        let by_destination = self.destination.find(spot, destination.served, rows);
        let by_source = self.source.as_deref();
        let by_source = by_source.map(|i| i.find(Spot::of_source(flow), source.served, rows));
        let by_subject = self.subject.as_ref().map(|index| {
            let by_address = rows.row(index.by_address.at(subject.address));
            (index.of_class(subject.class), by_address)
        });
        for (at, (class, address)) in by_class.iter().zip(by_address).enumerate() {
            let mut columns = class & address;
            if columns == 0 {
                continue;
            }
            columns &= by_destination.word(at);
            if let Some(by_source) = &by_source {
                columns &= by_source.word(at);
            }
            if let Some((class, address)) = by_subject {
                columns &= class[at] & address[at];
            }
            if columns != 0 {
                return Some(at * WORD + columns.trailing_zeros() as usize);
            }
        }
        None
    }
}
