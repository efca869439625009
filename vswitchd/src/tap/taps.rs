//! All taps of one worker.

use cni_shim::capture::Stage;
use crossbeam_channel::Sender;
use dataplane::{
    Action, Counters, DropReason, Note, Notebook, Point, Points, PortId, Punt, Seen, Snapshot, Time,
};
use packet::bpf::Pieces;
use packet::{Frame, Offload, Protocol};

use super::aim::{Aim, Ends, Place};
use super::flight_ring::FlightRing;
use super::recorder::Recorder;
use super::sight::{Judged, Sight, pieces, pieces_of};
use super::tap::Tap;

/// What a worker is told about taps, between batches.
pub(crate) enum Order {
    /// Look from now on.
    Add(Box<Tap>),
    /// The same words mean something else now.
    Aim(u32, Aim),
    /// Record from now on.
    Record(Box<Recorder>),
    /// Go on recording in this ring, and give the other one back.
    Exchange(FlightRing, Sender<FlightRing>),
    /// Look no more, and give the tap back: a worker frees nothing.
    Remove(u32, Sender<Box<Tap>>),
}

/// The taps of a worker, mostly none.
#[derive(Default)]
pub(crate) struct Taps {
    #[expect(clippy::vec_box, reason = "moved in and out without copying rings")]
    list: Vec<Box<Tap>>,
    /// One bit for each value of the low six bits of an address that is looked for: in a block of pods each has its own.
    addresses: u64,
    recorder: Option<Box<Recorder>>,
    /// A tap or the recorder is there.
    is_active: bool,
}

/// A notebook on loan from a tap.
pub(crate) struct Written {
    of: usize,
    pub(crate) notebook: Box<Notebook>,
    /// What the taps want to be shown of the walk.
    points: Points,
}

impl Taps {
    /// Whether frames of a batch at this port may concern a tap: asked once a batch.
    #[inline]
    pub(crate) fn may_see(&self, port: PortId) -> bool {
        self.is_active && self.look_at(port)
    }

    #[inline(never)]
    fn look_at(&self, port: PortId) -> bool {
        self.addresses != 0 || self.recorder.is_some() || self.has_port(port)
    }

    /// Whether nobody is to be shown anything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_active
    }

    /// Whether every frame at this port may concern a tap.
    pub(crate) fn has_port(&self, port: PortId) -> bool {
        let looks = |tap: &Tap| tap.aim.has_port(port) || tap.looks_everywhere();
        self.list.iter().any(|tap| looks(tap))
    }

    /// Whether the frame's addresses may concern a tap: sometimes yes when they do not, never no when they do.
    #[inline]
    pub(crate) fn may_concern(&self, frame: &Frame) -> bool {
        let Some(header) = frame.packet().first_chunk::<20>() else {
            return false;
        };
        if header[9] == Protocol::IPIP.0 {
            return self.may_concern_inside(frame.packet());
        }
        self.may_have(header[15], header[19])
    }

    #[inline(never)]
    fn may_concern_inside(&self, packet: &[u8]) -> bool {
        Ends::of(packet).is_some_and(|ends| self.may_have(ends.src as u8, ends.dst as u8))
    }

    /// By the last bytes of two addresses.
    #[inline]
    fn may_have(&self, src: u8, dst: u8) -> bool {
        (self.addresses >> (src & 63) | self.addresses >> (dst & 63)) & 1 != 0
    }

    /// A frame came by this port.
    pub(crate) fn arrived(&mut self, now: Time, port: PortId, frame: &Frame) {
        self.offer(
            Sight::new(now, Stage::Rx, port),
            pieces_of(frame),
            frame.offload,
        );
    }

    /// The device behind this port took these frames.
    pub(crate) fn sent(&mut self, now: Time, port: PortId, frames: &[Frame]) {
        if let Some(recorder) = &mut self.recorder {
            for frame in frames {
                recorder.keep(now, Stage::Tx, port, None, frame);
            }
        }
        let has_port = self.has_port(port);
        for frame in frames {
            if has_port || self.may_concern(frame) {
                self.offer(
                    Sight::new(now, Stage::Tx, port),
                    pieces_of(frame),
                    frame.offload,
                );
            }
        }
    }

    /// A frame that came by this port was dropped outside of the walk, on its way to that one.
    #[cold]
    pub(crate) fn dropped(
        &mut self,
        now: Time,
        port: PortId,
        toward: Option<PortId>,
        reason: DropReason,
        frame: &Frame,
    ) {
        self.lost(now, port, reason, frame, |sight| sight.toward = toward);
    }

    /// A frame that waited to leave by this port did not.
    #[cold]
    pub(crate) fn unsent(&mut self, now: Time, port: PortId, reason: DropReason, frame: &Frame) {
        self.lost(now, port, reason, frame, |sight| sight.is_leaving = true);
    }

    fn lost(
        &mut self,
        now: Time,
        port: PortId,
        reason: DropReason,
        frame: &Frame,
        place: impl FnOnce(&mut Sight),
    ) {
        self.record(now, Stage::Drop, port, Some(reason), frame);
        let mut sight = Sight {
            reason: Some(reason),
            ..Sight::new(now, Stage::Drop, port)
        };
        place(&mut sight);
        self.offer(sight, pieces_of(frame), frame.offload);
    }

    /// The recorder keeps a frame, if there is one.
    #[inline]
    pub(crate) fn record(
        &mut self,
        now: Time,
        stage: Stage,
        port: PortId,
        reason: Option<DropReason>,
        frame: &Frame,
    ) {
        if let Some(recorder) = &mut self.recorder {
            recorder.keep(now, stage, port, reason, frame);
        }
    }

    /// Lets the recorder look for the drops it waits for, once a turn and when it begins.
    pub(crate) fn look_for_drops(&mut self, counters: &Counters) {
        if let Some(recorder) = &mut self.recorder {
            recorder.look(counters);
        }
    }

    /// The notebook for the walk of this frame, if a tap asks for it. Give it back by [`Taps::noted`].
    pub(crate) fn notebook(&mut self, port: PortId, frame: &Frame) -> Option<Written> {
        let ends = Ends::of(frame.packet());
        let place = Place {
            came: Some(port),
            leaves: None,
        };
        let concerns = |tap: &Tap| {
            let is_meant = || tap.looks_everywhere() || tap.aim.means(place, ends, None);
            tap.notebook.is_some() && is_meant()
        };
        let mut points = Points::default();
        let concerned = self.list.iter_mut().enumerate();
        let concerned = concerned.filter(|(_, tap)| concerns(tap));
        let concerned =
            concerned.inspect(|(_, tap)| points = points.and(tap.wanted.stages.points()));
        let (of, tap) = concerned.max_by_key(|(_, tap)| tap.wanted.snap_len)?;
        let mut notebook = tap.notebook.take()?;
        notebook.want(points);
        Some(Written {
            of,
            notebook,
            points,
        })
    }

    /// Whether the last walk was written down.
    #[cfg(test)]
    pub(crate) fn has_written(&self) -> bool {
        let mut books = self.list.iter().filter_map(|tap| tap.notebook.as_ref());
        books.any(|notebook| !notebook.notes().is_empty())
    }

    /// Gives it back where nothing was written.
    pub(crate) fn not_noted(&mut self, walk: Written) {
        self.list[walk.of].notebook = Some(walk.notebook);
    }

    /// A walk of a frame that came by this port was written down.
    pub(crate) fn noted(&mut self, now: Time, port: PortId, world: &Snapshot, walk: Written) {
        let notebook = &walk.notebook;
        let judged = Judged::of(world.generation, notebook.notes());
        let at = |stage| Sight {
            judged,
            ..Sight::new(now, stage, port)
        };
        let passes = |stage| Sight {
            toward: way(world, notebook),
            ..at(stage)
        };
        if let Some(seen) = notebook.at(Point::PostPolicy) {
            self.offer_seen(passes(Stage::PostPolicy), seen);
        }
        let before_encap = notebook.at(Point::PreEncap);
        if let Some(seen) = before_encap.filter(|_| is_encapsulated(world, notebook)) {
            self.offer_seen(passes(Stage::PreEncap), seen);
        }
        if let (Some(seen), reason @ Some(_)) = (notebook.at(Point::Drop), notebook.refused()) {
            let sight = at(Stage::Drop);
            self.offer_seen(Sight { reason, ..sight }, seen);
        }
        self.not_noted(walk);
    }

    fn offer_seen(&mut self, sight: Sight, seen: &Seen) {
        let (link, packet) = seen.bytes.split_at(seen.link_len.min(seen.bytes.len()));
        let cut_off = seen.len - seen.bytes.len();
        self.offer_len(sight, pieces(link, packet), cut_off, seen.offload);
    }

    fn offer(&mut self, sight: Sight, frame: Pieces<'_>, offload: Offload) {
        self.offer_len(sight, frame, 0, offload);
    }

    fn offer_len(&mut self, sight: Sight, frame: Pieces<'_>, cut_off: usize, offload: Offload) {
        let sight = Sight {
            wire_len: (frame.link.len() + frame.packet.len() + cut_off) as u32,
            gso_size: offload.gso.map_or(0, |gso| gso.size),
            ..sight
        };
        let ends = Ends::of(frame.packet);
        for tap in &mut self.list {
            if tap.wants(&sight, ends) {
                tap.copy(sight, frame);
            }
        }
    }

    /// Carries out an order.
    pub(crate) fn obey(&mut self, order: Order) {
        let at = |taps: &Self, id| taps.list.iter().position(|tap| tap.id == id);
        match order {
            Order::Add(tap) => self.list.push(tap),
            Order::Aim(id, aim) => {
                if let Some(at) = at(self, id) {
                    self.list[at].aim = aim;
                }
            }
            Order::Record(recorder) => self.recorder = Some(recorder),
            Order::Exchange(ring, back) => {
                if let Some(recorder) = &mut self.recorder {
                    // As with a tap.
                    let _ = back.try_send(std::mem::replace(&mut recorder.ring, ring));
                }
            }
            Order::Remove(id, back) => {
                if let Some(at) = at(self, id) {
                    // There is room for it; if nobody waits any more, it ends here.
                    let _ = back.try_send(self.list.swap_remove(at));
                }
            }
        }
        self.is_active = !self.list.is_empty() || self.recorder.is_some();
        let addresses = self.list.iter().flat_map(|tap| tap.aim.addresses());
        self.addresses = addresses.fold(0, |bits, address| bits | 1 << (address & 63));
    }
}

impl Written {
    /// Whether nobody asks for more of the walk than whether it ends in a drop.
    pub(crate) fn is_for_drops(&self) -> bool {
        self.points == [Point::Drop].into_iter().collect()
    }
}

/// The port the packet is to leave by.
fn way(world: &Snapshot, notebook: &Notebook) -> Option<PortId> {
    notebook.notes().iter().find_map(|note| match note {
        Note::Route { adjacency, .. } => Some(world.adjacency(*adjacency).port),
        _ => None,
    })
}

/// Whether the packet, or what it is cut into, gets an outer header.
fn is_encapsulated(world: &Snapshot, notebook: &Notebook) -> bool {
    notebook.notes().iter().any(|note| match note {
        Note::Encapsulated { .. } => true,
        Note::Ended(Action::Punt(Punt::Cut(way))) => world.adjacency(*way).tunnel.is_some(),
        _ => false,
    })
}
