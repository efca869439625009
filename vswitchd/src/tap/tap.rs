//! One tap at one worker.

use std::sync::Arc;

use cni_shim::capture::{Direction, Stage};
use dataplane::{Counter, DropReason, Notebook, Point, Points};
use packet::bpf::{Pieces, Program};

use super::aim::{Aim, Ends};
use super::rings::Inlet;
use super::sight::Sight;

/// Bytes the notebook keeps at least, so that filters see the headers where little is captured.
const LEAST_NOTED: usize = 512;

/// Looks at frames, and copies those that are meant.
pub(crate) struct Tap {
    pub(super) id: u32,
    pub(super) aim: Aim,
    pub(super) wanted: Wanted,
    pub(super) inlet: Inlet,
    pub(super) counts: Arc<Counts>,
    /// For the stages that only a walk that is written down shows.
    pub(super) notebook: Option<Box<Notebook>>,
}

/// What of the frames that it is aimed at.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) stages: Stages,
    /// One bit a drop reason.
    pub(super) reasons: u128,
    pub(super) direction: Option<Direction>,
    pub(super) filter: Option<Arc<Program>>,
    pub(super) snap_len: usize,
}

/// A set of stages, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stages(u8);

/// What a tap has seen at one worker, which alone writes here.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) matched: Counter,
    pub(super) lost: Counter,
}

impl Tap {
    pub(super) fn new(
        id: u32,
        aim: Aim,
        wanted: Wanted,
        inlet: Inlet,
        counts: Arc<Counts>,
    ) -> Self {
        let snap_len = wanted.snap_len.max(LEAST_NOTED);
        let notebook = wanted.stages.points() != Points::default();
        Self {
            id,
            aim,
            wanted,
            inlet,
            counts,
            notebook: notebook.then(|| Box::new(Notebook::new(snap_len))),
        }
    }

    /// Whether a frame at this stage and port is meant, whatever it holds.
    pub(super) fn wants(&self, sight: &Sight, ends: Option<Ends>) -> bool {
        let is_reason = |reason: DropReason| self.wanted.reasons >> (reason as u8) & 1 != 0;
        self.wanted.stages.has(sight.stage)
            && sight.reason.is_none_or(is_reason)
            && self.aim.means(sight.place(), ends, self.wanted.direction)
    }

    /// Whether only the walk says whether a frame is meant: by which port it leaves is not known before.
    pub(super) fn looks_everywhere(&self) -> bool {
        let points = self.wanted.stages.points();
        self.aim.is_of_ports() && (points.has(Point::PostPolicy) || points.has(Point::PreEncap))
    }

    /// Copies a frame that is wanted, if the filter and the rings let it. Allocates nothing, waits for nobody.
    pub(super) fn copy(&mut self, sight: Sight, frame: Pieces<'_>) {
        let filter = self.wanted.filter.as_ref();
        if filter.is_some_and(|filter| !filter.matches(frame, sight.wire_len)) {
            return;
        }
        self.counts.matched.add(1);
        if !self.inlet.push(sight, frame, self.wanted.snap_len) {
            self.counts.lost.add(1);
        }
    }
}

impl Stages {
    pub(super) fn has(self, stage: Stage) -> bool {
        self.0 >> (stage as u8) & 1 != 0
    }

    /// Stages inside the walk, which the caller of it does not see.
    pub(super) fn points(self) -> Points {
        let points = [
            (Stage::PostPolicy, Point::PostPolicy),
            (Stage::PreEncap, Point::PreEncap),
            (Stage::Drop, Point::Drop),
        ];
        let points = points.into_iter().filter(|(stage, _)| self.has(*stage));
        points.map(|(_, point)| point).collect()
    }
}

impl FromIterator<Stage> for Stages {
    fn from_iter<I: IntoIterator<Item = Stage>>(stages: I) -> Self {
        Self(
            stages
                .into_iter()
                .fold(0, |set, stage| set | 1 << stage as u8),
        )
    }
}
