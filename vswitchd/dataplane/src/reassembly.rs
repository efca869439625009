//! Outer packets that the underlay fragmented.
//!
//! The switch sends tunnel packets with DF set, so fragments come only from
//! peers that do not. They are rare and their bytes are put together by
//! etherparse, off the fast path; this file bounds how much is held.

use std::net::Ipv4Addr;
use std::time::Duration;

use etherparse::defrag::IpDefragBuf;
use etherparse::{IpFragOffset, IpNumber};
use packet::frame::Frame;
use packet::ipv4;
use rustc_hash::FxHashMap;

use crate::drop_reason::DropReason;
use crate::time::Time;

/// Unfinished packets held at once; the oldest makes room.
const MAX_UNFINISHED: usize = 64;
/// How long an unfinished packet is waited for (RFC 791 section 3.2).
const LIFETIME: Duration = Duration::from_secs(15);
/// The ECN field, and its value "congestion experienced".
const CE: u8 = 0b11;

/// What all fragments of one tunnel packet share.
type Id = (Ipv4Addr, Ipv4Addr, u16);

#[derive(Debug)]
struct Unfinished {
    bytes: IpDefragBuf,
    begun: Time,
    congested: bool,
}

/// Unfinished outer packets.
#[derive(Debug, Default)]
pub(crate) struct Reassembly(FxHashMap<Id, Unfinished>);

impl Reassembly {
    /// Takes one fragment, whose header is `outer`. When it completes its
    /// packet, `frame` becomes that packet, whose header is returned: marked
    /// as congested if any fragment was (RFC 3168 section 5.3).
    pub(crate) fn add(
        &mut self,
        frame: &mut Frame,
        outer: &ipv4::Header,
        now: Time,
    ) -> Result<Option<ipv4::Header>, DropReason> {
        let id = (outer.src, outer.dst, outer.identification);
        self.make_room(id, now);
        let unfinished = self.0.entry(id).or_insert_with(|| Unfinished::new(now));
        unfinished.congested |= outer.tos & CE == CE;
        if unfinished.add(outer, frame.packet()).is_none() {
            self.0.remove(&id);
            return Err(DropReason::ReassemblyFailed);
        }
        if !unfinished.bytes.is_complete() {
            return Ok(None);
        }
        Ok(self.0.remove(&id).map(|whole| whole.give(outer, frame)))
    }

    /// Forgets an expired packet that has the same id, and the oldest one if
    /// there is no room for another.
    fn make_room(&mut self, id: Id, now: Time) {
        let is_expired = |packet: &Unfinished| now.since(packet.begun) >= LIFETIME;
        if self.0.get(&id).is_some_and(is_expired) {
            self.0.remove(&id);
        }
        if self.0.len() < MAX_UNFINISHED || self.0.contains_key(&id) {
            return;
        }
        let oldest = self.0.iter().min_by_key(|(_, packet)| packet.begun);
        if let Some(oldest) = oldest.map(|(id, _)| *id) {
            self.0.remove(&oldest);
        }
    }
}

impl Unfinished {
    fn new(begun: Time) -> Self {
        Self {
            bytes: IpDefragBuf::new(IpNumber::IPV4, Vec::new(), Vec::new()),
            begun,
            congested: false,
        }
    }

    /// `None` when the fragment does not fit the others.
    fn add(&mut self, outer: &ipv4::Header, packet: &[u8]) -> Option<()> {
        let offset = IpFragOffset::try_new(outer.fragment_offset_bytes / 8).ok()?;
        let payload = outer.payload(packet);
        self.bytes.add(offset, outer.more_fragments, payload).ok()
    }

    /// Makes the frame the whole packet, with a header like `last`.
    fn give(self, last: &ipv4::Header, frame: &mut Frame) -> ipv4::Header {
        let (payload, _) = self.bytes.take_bufs();
        let congestion = if self.congested { CE } else { 0 };
        let whole = ipv4::Header {
            tos: last.tos | congestion,
            more_fragments: false,
            fragment_offset_bytes: 0,
            header_len: ipv4::HEADER_LEN,
            total_len: ipv4::HEADER_LEN + payload.len(),
            ..*last
        };
        frame.replace_packet(&payload);
        frame
            .push_packet(ipv4::HEADER_LEN)
            .copy_from_slice(&whole.emit());
        whole
    }
}
