//! What one walk needs of a worker's state, taken out so that the walk can be
//! tried elsewhere.

use std::sync::Arc;

use packet::flow::FlowKey;

use crate::conntrack::{Flow, Timeouts};
use crate::counters::Counters;
use crate::ids::WorkerId;
use crate::local::{Local, LocalConfig};
use crate::time::Time;

/// Flows that a scratch state has room for: a flow, and the one that takes its place.
const FLOWS: usize = 4;

/// A copy of what a worker remembers of one flow, and of what holds for all of them.
#[derive(Clone, Debug)]
pub struct Excerpt {
    /// Which worker it is of.
    pub worker: WorkerId,
    /// How many there are.
    pub workers: u16,
    /// The worker's clock when the copy was made.
    pub now: Time,
    /// Until then a TCP connection met in the middle may be either end's.
    pub pick_up_until: Time,
    /// What the worker's next outer header is numbered with.
    pub identification: u16,
    /// How long flows may stay.
    pub timeouts: Timeouts,
    /// The flow, if it was asked for and is known.
    pub flow: Option<Flow>,
    /// The flow table is full and no flow in it may be evicted.
    pub is_full: bool,
}

impl Excerpt {
    /// A worker's state for one walk, with counters of its own. What is not in
    /// an excerpt is as in a worker that has just started: earlier fragments are
    /// not known and no answer has been sent yet.
    pub fn local(&self) -> Local {
        let config = LocalConfig {
            worker: self.worker,
            workers: self.workers,
            max_flows: FLOWS,
            timeouts: self.timeouts.clone(),
            seed: [0; 2],
            pick_up_until: self.pick_up_until,
        };
        let mut local = Local::new(config, Arc::new(Counters::default()));
        local.identification = self.identification;
        if let Some(flow) = &self.flow {
            local.flows.adopt(flow.clone());
        }
        if self.is_full {
            // A flow that is over still leaves its place to the next.
            local.flows.close();
        }
        local
    }
}

impl Local {
    /// Copies what a walk of a packet of this flow depends on; the key either way
    /// round. Nothing changes.
    pub fn excerpt(&self, now: Time, key: Option<&FlowKey>) -> Excerpt {
        let known = key.and_then(|key| self.flows.find(key));
        Excerpt {
            worker: self.worker,
            workers: self.workers,
            now,
            pick_up_until: self.pick_up_until,
            identification: self.identification,
            timeouts: self.flows.timeouts().clone(),
            flow: known.map(|(id, _)| self.flows.peek(id).clone()),
            is_full: self.flows.is_full(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::num::NonZeroU16;

    use packet::Protocol;

    use super::*;
    use crate::conntrack::Transport;
    use crate::ids::PortId;

    #[test]
    fn an_excerpt_knows_the_flow_and_nothing_else() {
        let key = |src_port| FlowKey {
            src: Ipv4Addr::new(10, 244, 0, 1),
            dst: Ipv4Addr::new(10, 244, 0, 2),
            src_port,
            dst_port: 53,
            protocol: Protocol::UDP,
        };
        let config = LocalConfig {
            worker: WorkerId(0),
            workers: 1,
            max_flows: 16,
            timeouts: Timeouts::default(),
            seed: [3, 4],
            pick_up_until: Time::from_secs(9),
        };
        let mut local = Local::new(config, Arc::default());
        let now = Time::from_secs(1);
        for port in [1000, 2000] {
            let flows = &mut local.flows;
            flows
                .insert(&key(port), Transport::Udp, PortId(2), now)
                .unwrap()
                .unwrap();
        }
        let excerpt = local.excerpt(now, Some(&key(2000).reversed()));
        let scratch = excerpt.local();
        assert!(scratch.flows.find(&key(2000)).is_some());
        assert!(scratch.flows.find(&key(1000)).is_none());
        assert_eq!((scratch.flows.len(), local.flows.len()), (1, 2));
        assert!(local.excerpt(now, Some(&key(3000))).flow.is_none());
        let (id, direction) = local.flows.find(&key(2000)).unwrap();
        local.set_lane(id, direction, NonZeroU16::new(7));
        let scratch = local.excerpt(now, Some(&key(2000))).local();
        let (id, _) = scratch.flows.find(&key(2000)).unwrap();
        assert_eq!(scratch.lanes(id), [None, None], "they are not its own");
        assert_eq!(scratch.pick_up_until, Time::from_secs(9));
    }
}
