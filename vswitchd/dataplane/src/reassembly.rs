//! Outer packets that the underlay fragmented.
//!
//! The switch sends tunnel packets with DF set, so fragments come only from
//! peers that do not. They are rare and their bytes are put together by
//! etherparse, off the fast path; this file bounds how much is held.

use std::time::Duration;

use etherparse::SlicedPacket;
use etherparse::defrag::{IpDefragPayloadVec, IpDefragPool};
use packet::frame::Frame;

use crate::drop_reason::DropReason;
use crate::time::Time;

/// Fragments held before everything unfinished is thrown away.
const MAX_HELD: usize = 512;
/// How long an unfinished packet is waited for.
const LIFETIME: Duration = Duration::from_secs(15);

/// Unfinished outer packets.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    pool: IpDefragPool<Time>,
    held: usize,
    swept: Time,
}

impl Reassembly {
    /// Takes one fragment. When it completes its packet, `frame` becomes that
    /// packet without its outer header and true is returned.
    pub(crate) fn add(&mut self, frame: &mut Frame, now: Time) -> Result<bool, DropReason> {
        self.sweep(now);
        self.held += 1;
        let Some(whole) = self.put_together(frame.packet(), now)? else {
            return Ok(false);
        };
        frame.replace_packet(&whole.payload);
        self.pool.return_buf(whole);
        Ok(true)
    }

    fn put_together(
        &mut self,
        packet: &[u8],
        now: Time,
    ) -> Result<Option<IpDefragPayloadVec>, DropReason> {
        let failed = DropReason::ReassemblyFailed;
        let sliced = SlicedPacket::from_ip(packet).map_err(|_| failed)?;
        let whole = self.pool.process_sliced_packet(&sliced, now, ());
        whole.map_err(|_| failed)
    }

    fn sweep(&mut self, now: Time) {
        if self.held >= MAX_HELD {
            *self = Self::default();
        }
        if now.since(self.swept) >= Duration::from_secs(1) {
            self.pool.retain(|seen| now.since(*seen) < LIFETIME);
            self.swept = now;
        }
    }
}
