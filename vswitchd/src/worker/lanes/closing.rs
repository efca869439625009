//! Looking after lanes: what they relayed is counted, and those that may not go on end.

use dataplane::conntrack::FlowId;
use dataplane::{DropReason, PortId, Snapshot, Time};

use super::lane::{News, Stage};
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
            && !self.queued.has(lane.spec.to_interface)
            && desk.local.may_go_on(world, lane.flow, lane.direction);
        match may_go_on {
            true => self.looks.push_back((desk.now + LOOK, number)),
            false => self.end(number, desk),
        }
    }

    /// Counts what a lane has relayed since it was last asked; true if that was anything.
    pub(super) fn count(&mut self, number: u16, desk: &mut Desk<'_>) -> bool {
        let counts = self.relay.counts(self.first + number);
        let Some(Some(lane)) = self.places.get_mut(usize::from(number)) else {
            return false;
        };
        let Some(news) = lane.news(counts) else {
            return false;
        };
        if !lane.is_orphan {
            let (flow, direction) = (lane.flow, lane.direction);
            desk.local
                .credit(desk.now, flow, direction, news.frames, news.packet_bytes);
        }
        desk.count(lane.from, lane.to, &news);
        true
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

impl Desk<'_> {
    /// Counts frames that came by one port and left by another, or were lost between them.
    pub(super) fn count(&self, from: PortId, to: PortId, news: &News) {
        let counters = |port: PortId| Some(&self.ports.get(port.index())?.as_ref()?.counters);
        if let Some(counters) = counters(from) {
            counters.rx_frames.add(news.frames + news.lost);
            counters.rx_bytes.add(news.rx_bytes);
        }
        if let Some(counters) = counters(to) {
            counters.tx_frames.add(news.frames);
            counters.tx_bytes.add(news.tx_bytes);
        }
        self.local.counters().relayed.add(news.frames);
        if news.lost > 0 {
            let reason = DropReason::DeviceError;
            self.local
                .count_drops(reason, Some(from), Some(to), news.lost);
        }
    }
}
