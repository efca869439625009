//! The walk of frames that a tap may be concerned with, and what taps are shown of frames that do not leave.

use cni_shim::capture::Stage;
use dataplane::{
    Action, Arrived, DropReason, PortId, Snapshot, Time, forward, observe, observe_resumed,
    observe_unsettled, resume,
};
use packet::Frame;

use super::Worker;
use crate::tap::{Order, Written};
use crate::worker::UPLINK;

impl Worker {
    /// Walks a batch of a port that some tap may see.
    #[inline(never)]
    pub(super) fn walk_watched(
        &mut self,
        world: &Snapshot,
        now: Time,
        id: PortId,
        batch: &mut [Frame],
    ) {
        let has_port = self.taps.has_port(id);
        let seen = self.parts.clock.now();
        for frame in batch {
            self.taps.record(seen, Stage::Rx, id, None, frame);
            let action = if has_port || self.taps.may_concern(frame) {
                self.walk_shown(world, now, id, frame)
            } else {
                forward(world, &mut self.parts.local, now, id, frame)
            };
            if let Action::Drop(reason) = action {
                self.taps.record(seen, Stage::Drop, id, Some(reason), frame);
            }
            self.act(world, now, id, action, frame);
        }
    }

    /// Walks a frame that a tap is to be shown.
    fn walk_shown(&mut self, world: &Snapshot, now: Time, id: PortId, frame: &mut Frame) -> Action {
        self.taps.arrived(self.parts.clock.now(), id, frame);
        let local = &mut self.parts.local;
        let Some(mut walk) = self.taps.notebook(id, frame) else {
            return forward(world, local, now, id, frame);
        };
        let observe = match walk.is_for_drops() {
            true => observe_unsettled,
            false => observe,
        };
        let action = observe(world, local, now, id, frame, &mut walk.notebook);
        self.show_walk(world, id, walk);
        action
    }

    /// Shows the taps what was written. The short way writes nothing.
    fn show_walk(&mut self, world: &Snapshot, from: PortId, walk: Written) {
        if walk.notebook.notes().is_empty() {
            return self.taps.not_noted(walk);
        }
        let seen = self.parts.clock.now();
        self.taps.noted(seen, from, world, walk);
    }

    /// Goes on with a frame that another worker took in.
    #[inline]
    pub(super) fn go_on(
        &mut self,
        world: &Snapshot,
        now: Time,
        arrived: Arrived,
        frame: &mut Frame,
    ) -> Action {
        match self.taps.is_empty() {
            true => resume(world, &mut self.parts.local, now, arrived, frame),
            false => self.go_on_shown(world, now, arrived, frame),
        }
    }

    fn go_on_shown(
        &mut self,
        world: &Snapshot,
        now: Time,
        arrived: Arrived,
        frame: &mut Frame,
    ) -> Action {
        let port = arrived.port;
        let action = self.go_on_noted(world, now, arrived, frame);
        if let Action::Drop(reason) = action {
            let seen = self.parts.clock.now();
            self.taps
                .record(seen, Stage::Drop, port, Some(reason), frame);
        }
        action
    }

    fn go_on_noted(
        &mut self,
        world: &Snapshot,
        now: Time,
        arrived: Arrived,
        frame: &mut Frame,
    ) -> Action {
        let port = arrived.port;
        let local = &mut self.parts.local;
        let Some(mut walk) = self.taps.notebook(port, frame) else {
            return resume(world, local, now, arrived, frame);
        };
        let action = observe_resumed(world, local, now, arrived, frame, &mut walk.notebook);
        self.show_walk(world, port, walk);
        action
    }

    /// Carries out an order about taps.
    pub(super) fn obey_tap(&mut self, order: Order) {
        self.taps.obey(order);
        if !self.taps.is_empty() {
            self.close_lanes();
        }
        // Before the frames of this turn: the drops of a recorder that has just begun count from here.
        self.look_for_drops();
    }

    /// Lets the recorder look for the drops it waits for: at the end of a turn, whoever dropped.
    #[inline]
    pub(super) fn look_for_drops(&mut self) {
        if !self.taps.is_empty() {
            self.taps.look_for_drops(self.parts.local.counters());
        }
    }

    /// The kernel was given a packet to carry by the uplink.
    pub(super) fn show_carried(&mut self, is_taken: bool, from: PortId, frame: &Frame) {
        if !is_taken {
            self.show_loss(DropReason::UnresolvedNextHop, from, None, frame);
        } else if self.taps.may_see(UPLINK) {
            let now = self.parts.clock.now();
            self.taps.sent(now, UPLINK, std::slice::from_ref(frame));
        }
    }

    /// A frame that came by `from` ends here, outside of the walk; `toward` is who could not take it, if it was that port.
    #[cold]
    pub(super) fn lose(
        &mut self,
        reason: DropReason,
        from: PortId,
        toward: Option<PortId>,
        frame: &Frame,
    ) {
        self.parts.local.count_drops(reason, Some(from), toward, 1);
        self.show_loss(reason, from, toward, frame);
    }

    /// The same, where it was counted already.
    pub(super) fn show_loss(
        &mut self,
        reason: DropReason,
        port: PortId,
        toward: Option<PortId>,
        frame: &Frame,
    ) {
        if !self.taps.is_empty() {
            let now = self.parts.clock.now();
            self.taps.dropped(now, port, toward, reason, frame);
        }
    }

    /// A frame that waited to leave by this port cannot any more.
    pub(super) fn show_unsent(&mut self, reason: DropReason, port: PortId, frame: &Frame) {
        if !self.taps.is_empty() {
            let now = self.parts.clock.now();
            self.taps.unsent(now, port, reason, frame);
        }
    }
}
