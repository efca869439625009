//! Which super-segments in IPIP leave whole, and whether the kernel really takes them.

use std::io;
use std::sync::Arc;

use packet::Protocol;
use packet::frame::{Frame, MAX_PACKET};
use packet::offload::{Checksum, GsoKind};

use crate::Encapsulator;

/// So many refusals in a row, and the device is taken to be unable.
const REFUSALS: u32 = 64;

/// The sender's side of an [`Encapsulator`].
pub(super) struct Tunnelled {
    encapsulator: Option<Arc<Encapsulator>>,
    refused_in_a_row: u32,
}

/// How far the program had counted before a batch was sent.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Before(u32);

impl Tunnelled {
    pub(super) fn new(encapsulator: Option<Arc<Encapsulator>>) -> Self {
        Self {
            encapsulator,
            refused_in_a_row: 0,
        }
    }

    fn encapsulator(&self) -> Option<&Encapsulator> {
        let working = |encapsulator: &&Arc<Encapsulator>| encapsulator.failure().is_none();
        self.encapsulator.as_ref().filter(working).map(Arc::as_ref)
    }

    /// Whether this super-segment in IPIP may be sent whole.
    pub(super) fn takes(&self, frame: &Frame) -> bool {
        self.encapsulator().is_some() && is_sound(frame)
    }

    /// To be asked just before a batch is sent.
    pub(super) fn before(&self) -> Before {
        Before(self.encapsulator().map_or(0, Encapsulator::encapsulated))
    }

    /// Some super-segments in IPIP were sent whole: whether the program saw them. If not, they are lost, and no more are
    /// sent whole.
    pub(super) fn were_seen(&mut self, before: Before) -> bool {
        self.refused_in_a_row = 0;
        match self.encapsulator() {
            Some(encapsulator) if encapsulator.encapsulated() == before.0 => {
                encapsulator.give_up_unseen();
                false
            }
            _ => true,
        }
    }

    /// A super-segment in IPIP was not sent because of `error`: whether it is the kind of error that cutting helps
    /// against.
    pub(super) fn is_refusal(&mut self, before: Before, error: &io::Error) -> bool {
        let passed = self.before() != before;
        let code = error.raw_os_error().unwrap_or_default();
        let refusal = match code {
            libc::EINVAL | libc::ENOMEM | libc::EOPNOTSUPP => true,
            // A full queue says so too, but only about frames that the program has let through.
            libc::ENOBUFS => !passed,
            _ => false,
        };
        self.refused_in_a_row += u32::from(refusal);
        if let Some(encapsulator) = self.encapsulator()
            && self.refused_in_a_row >= REFUSALS
        {
            let source = io::Error::from_raw_os_error(code);
            encapsulator.give_up_refused(self.refused_in_a_row, source);
        }
        refusal
    }
}

pub(super) fn is_ipip(frame: &Frame) -> bool {
    let packet = frame.packet();
    packet.first().is_some_and(|first| first >> 4 == 4) && packet.get(9) == Some(&Protocol::IPIP.0)
}

/// What the kernel takes without a question: of a kind it knows, with its checksum left open, more than one segment, and
/// with a total length that is true.
fn is_sound(frame: &Frame) -> bool {
    let offload = &frame.offload;
    let known = |kind| matches!(kind, GsoKind::Tcp4 | GsoKind::UdpL4);
    offload.gso.is_some_and(|gso| known(gso.kind))
        && matches!(offload.checksum, Checksum::Partial { .. })
        && frame.packet_len() <= MAX_PACKET
        && frame.wire_packet_len() < frame.packet_len()
}
