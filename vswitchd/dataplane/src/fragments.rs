//! Which flow a fragment belongs to.
//!
//! Only the first fragment carries ports; the later ones follow it. The memory
//! is bounded in entries and time. A later fragment whose first was not seen
//! is dropped: senders emit them in order, and keeping strays would let anyone
//! fill the table.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use packet::flow::FlowKey;
use packet::ipv4;
use packet::protocol::Protocol;
use rustc_hash::FxHashMap;

use crate::time::Time;

/// Fragmented packets remembered at once.
const CAPACITY: usize = 1024;
/// RFC 791 suggests 15 s, RFC 1122 section 3.3.2 asks for 60 to 120; Linux
/// uses 30 (`ipfrag_time`).
const LIFETIME: Duration = Duration::from_secs(30);

/// RFC 791 section 2.3: what all fragments of one packet share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FragmentKey {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    protocol: Protocol,
    identification: u16,
}

impl FragmentKey {
    fn of(header: &ipv4::Header) -> Self {
        Self {
            src: header.src,
            dst: header.dst,
            protocol: header.protocol,
            identification: header.identification,
        }
    }
}

/// First fragments seen lately.
#[derive(Debug)]
pub(crate) struct Fragments {
    flows: FxHashMap<FragmentKey, (FlowKey, Time)>,
    /// The same keys, oldest first.
    order: VecDeque<(FragmentKey, Time)>,
}

impl Default for Fragments {
    fn default() -> Self {
        Self {
            flows: FxHashMap::with_capacity_and_hasher(CAPACITY + 1, Default::default()),
            order: VecDeque::with_capacity(CAPACITY + 1),
        }
    }
}

impl Fragments {
    /// Remembers that later fragments of this packet belong to `flow`.
    pub(crate) fn remember(&mut self, header: &ipv4::Header, flow: FlowKey, now: Time) {
        let key = FragmentKey::of(header);
        self.flows.insert(key, (flow, now));
        self.order.push_back((key, now));
        self.forget_before(now);
        while self.order.len() > CAPACITY {
            self.forget_oldest();
        }
    }

    /// The flow of a later fragment.
    pub(crate) fn flow_of(&mut self, header: &ipv4::Header, now: Time) -> Option<FlowKey> {
        self.forget_before(now);
        self.flows
            .get(&FragmentKey::of(header))
            .map(|(flow, _)| *flow)
    }

    fn forget_before(&mut self, now: Time) {
        while self
            .order
            .front()
            .is_some_and(|(_, seen)| now.since(*seen) >= LIFETIME)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((key, seen)) = self.order.pop_front() else {
            return;
        };
        // A reused identification has a younger line of its own.
        if self
            .flows
            .get(&key)
            .is_some_and(|(_, latest)| *latest == seen)
        {
            self.flows.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(identification: u16) -> ipv4::Header {
        let bytes = packet::build::udp(
            Ipv4Addr::new(10, 244, 0, 1),
            Ipv4Addr::new(10, 244, 0, 2),
            1,
            2,
            b"x",
        );
        let mut header = ipv4::Header::parse(&bytes).unwrap();
        header.identification = identification;
        header
    }

    fn flow(src_port: u16) -> FlowKey {
        FlowKey {
            src: Ipv4Addr::new(10, 244, 0, 1),
            dst: Ipv4Addr::new(10, 244, 0, 2),
            src_port,
            dst_port: 2,
            protocol: Protocol::UDP,
        }
    }

    #[test]
    fn later_fragments_follow_the_first_until_it_is_forgotten() {
        let mut fragments = Fragments::default();
        fragments.remember(&header(7), flow(1), Time::from_secs(1));
        assert_eq!(
            fragments.flow_of(&header(7), Time::from_secs(30)),
            Some(flow(1))
        );
        assert_eq!(fragments.flow_of(&header(8), Time::from_secs(30)), None);
        assert_eq!(fragments.flow_of(&header(7), Time::from_secs(31)), None);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let mut fragments = Fragments::default();
        for id in 0..3000u16 {
            fragments.remember(&header(id), flow(id), Time::from_secs(1));
        }
        assert_eq!(fragments.flows.len(), CAPACITY);
        assert_eq!(
            fragments.flow_of(&header(2999), Time::from_secs(2)),
            Some(flow(2999))
        );
        assert_eq!(fragments.flow_of(&header(0), Time::from_secs(2)), None);
    }

    #[test]
    fn a_reused_identification_survives_its_older_line() {
        let mut fragments = Fragments::default();
        fragments.remember(&header(7), flow(1), Time::from_secs(1));
        fragments.remember(&header(7), flow(2), Time::from_secs(20));
        assert_eq!(
            fragments.flow_of(&header(7), Time::from_secs(35)),
            Some(flow(2))
        );
    }
}
