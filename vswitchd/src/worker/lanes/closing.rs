//! Looking after lanes: what they relayed is counted, and those that may not go on end.

use dataplane::conntrack::FlowId;
use dataplane::{DropReason, Snapshot, Time};

use super::lane::Stage;
use super::{Desk, IDLE, LOOK, Lanes};

impl Lanes {
    /// Counts what a lane has relayed, and ends it if it may not go on, is not used, or could not be opened for so long.
    pub(super) fn look_at(&mut self, number: u16, world: &Snapshot, desk: &mut Desk<'_>) {
        let stage = self.places[usize::from(number)].as_ref();
        let patience = match stage.map(|lane| lane.stage) {
            Some(Stage::Closed) => LOOK,
            Some(Stage::Open) => IDLE,
            Some(Stage::Ended) | None => return,
        };
        let has_news = self.count(number, desk);
        let Some(lane) = &mut self.places[usize::from(number)] else {
            return;
        };
        if has_news {
            lane.used = desk.now;
        }
        let may_go_on = lane.generation == world.generation
            && desk.now.since(lane.used) < patience
            && !self.unfit.has(lane.spec.to_interface)
            && desk.local.may_go_on(world, lane.flow, lane.direction);
        match may_go_on {
            true => self.looks.push_back((desk.now + LOOK, number)),
            false => self.end(number, desk),
        }
    }

    /// Counts what a lane has relayed since it was last asked; true if that was anything.
    pub(super) fn count(&mut self, number: u16, desk: &mut Desk<'_>) -> bool {
        let Some(Some(lane)) = self.places.get_mut(usize::from(number)) else {
            return false;
        };
        let (news, counts) = self.tally.take(number);
        let lost = counts.lost - std::mem::replace(&mut lane.lost, counts.lost);
        if news.frames > 0 && !lane.is_orphan {
            let (flow, direction) = (lane.flow, lane.direction);
            desk.local
                .credit(desk.now, flow, direction, news.frames, news.packet_bytes);
        }
        lane.count_at_ports(&news, lost);
        let counters = desk.local.counters();
        counters.relayed.add(news.frames);
        if lost > 0 {
            let (from, to) = (Some(lane.from), Some(lane.to));
            desk.local
                .count_drops(DropReason::DeviceError, from, to, lost);
        }
        news.frames > 0
    }

    /// Ends the lanes of both directions, before a frame of theirs is walked: should the flow end with it, its counts are
    /// right.
    pub(super) fn end_both(&mut self, flow: FlowId, desk: &mut Desk<'_>) {
        for lane in desk.local.lanes(flow).into_iter().flatten() {
            self.end(lane.get() - 1, desk);
        }
    }

    pub(super) fn end(&mut self, number: u16, desk: &mut Desk<'_>) {
        let Some(Some(lane)) = self.places.get(usize::from(number)) else {
            return;
        };
        if lane.stage == Stage::Ended {
            return;
        }
        if !lane.is_orphan {
            desk.local.set_lane(lane.flow, lane.direction, None);
        }
        self.by_port[lane.from.index()] -= 1;
        if let Err(error) = self.relay.remove(&lane.spec) {
            tracing::warn!(%error, "the key of a lane could not be deleted");
        }
        self.relay.close(self.first + number);
        self.count(number, desk);
        self.over(number, desk.now);
        self.live -= 1;
        desk.local.counters().lanes.set(self.live);
    }

    pub(super) fn over(&mut self, number: u16, now: Time) {
        if let Some(lane) = &mut self.places[usize::from(number)] {
            lane.stage = Stage::Ended;
            lane.is_orphan = true;
        }
        self.resting.push_back((now, number));
    }
}
