//! A node that walks a capture, packet after packet.

use std::sync::Arc;
use std::time::Duration;

use dataplane::{
    Action, Counters, DropReason, Local, LocalConfig, Note, Notebook, PortId, PortKind, Punt, Time,
    WorkerId, cut_and_dress, observe,
};
use packet::Frame;

use super::entry::{self, Entry, Unfit};
use crate::capture_file::Captured;
use crate::offline::OfflineNode;
use crate::trace::Verdict;
use crate::trace::names::Names;

/// As after a start of the daemon, connections are picked up from the middle by either end.
const PICK_UP: Duration = Duration::from_secs(120);
/// The clock at the first packet: so that nothing is before zero.
const FIRST: Time = Time::from_secs(1000);

/// What came of one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// What came of it.
    pub verdict: Verdict,
    /// Why it was dropped.
    pub reason: Option<DropReason>,
    /// The policy's rule that denied it.
    pub rule: Option<String>,
    /// The port it left by, or was dropped before.
    pub port: Option<PortId>,
}

/// A node without a kernel, at one moment of the capture.
pub struct Player {
    node: OfflineNode,
    local: Local,
    notebook: Notebook,
    first: Option<Duration>,
}

impl Player {
    /// A node that has just started.
    #[must_use]
    pub fn new(node: OfflineNode) -> Self {
        let config = LocalConfig {
            worker: WorkerId(0),
            workers: 1,
            max_flows: node.max_flows,
            timeouts: node.timeouts.clone(),
            seed: [0; 2],
            pick_up_until: FIRST + PICK_UP,
        };
        Self {
            node,
            local: Local::new(config, Arc::new(Counters::default())),
            notebook: Notebook::new(0),
            first: None,
        }
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.node.desired.node.name
    }

    /// By which port the frame comes.
    ///
    /// # Errors
    /// [`Unfit`]: by none.
    pub fn entry(&self, captured: &Captured) -> Result<Entry, Unfit> {
        entry::of(&self.names(), captured)
    }

    /// A port with what is behind it.
    #[must_use]
    pub fn port(&self, id: PortId) -> String {
        self.names().port(id)
    }

    /// A port as `vswitchctl capture` names it.
    #[must_use]
    pub fn owner(&self, id: PortId) -> String {
        self.names().owner(id)
    }

    fn names(&self) -> Names<'_> {
        Names::new(&self.node.desired, &self.node.world)
    }

    /// Walks the frame at the time it was captured; `sent` is given each frame that leaves, with its
    /// port, answers to a dropped packet included.
    pub fn play(
        &mut self,
        at: Duration,
        entry: &Entry,
        mut sent: impl FnMut(PortId, &Frame),
    ) -> Fate {
        let first = *self.first.get_or_insert(at);
        let now = FIRST + at.saturating_sub(first);
        let mut frame = entry.frame.clone();
        self.local.expire(now);
        let world = Arc::clone(&self.node.world);
        let (local, notebook) = (&mut self.local, &mut self.notebook);
        let mut action = observe(&world, local, now, entry.port, &mut frame, notebook);
        let mut reason = notebook.refused();
        if let Action::Punt(Punt::Cut(adjacency)) = action {
            let mut pieces = Vec::new();
            let spare = || Some(Frame::new());
            let out = |piece, action| pieces.push((piece, action));
            reason = cut_and_dress(&world, local, adjacency, &mut frame, spare, out).err();
            for (piece, done) in pieces {
                if let Action::Transmit(port) = done {
                    sent(port, &piece);
                }
                action = done;
            }
        } else if let Action::Transmit(port) = action {
            sent(port, &frame);
        }
        self.fate(action, reason)
    }

    fn fate(&self, action: Action, reason: Option<DropReason>) -> Fate {
        let port = match action {
            Action::Transmit(port) => Some(port),
            _ => None,
        };
        let kind = port
            .and_then(|port| self.node.world.port(port))
            .map(|port| &port.kind);
        let verdict = match (reason, action, kind) {
            (Some(_), ..) | (None, Action::Drop(_), _) => Verdict::Dropped,
            (None, _, Some(PortKind::Uplink { .. })) => Verdict::Onward,
            (None, Action::Transmit(_), _) => Verdict::Delivered,
            (None, Action::Punt(Punt::Kernel), _) => Verdict::Onward,
            (None, Action::Punt(_), _) => Verdict::Kept,
        };
        Fate {
            verdict,
            reason,
            rule: reason.and_then(|reason| self.rule(reason)),
            port: port.filter(|_| reason.is_none()),
        }
    }

    fn rule(&self, reason: DropReason) -> Option<String> {
        if !matches!(reason, DropReason::PolicyEgress | DropReason::PolicyIngress) {
            return None;
        }
        let mut notes = self.notebook.notes().iter();
        let rule = notes.find_map(|note| match note {
            Note::Policy {
                verdict,
                is_kept: false,
                ..
            } if !verdict.allowed => Some(verdict.rule),
            _ => None,
        })?;
        Some(self.node.world.policy.describe(rule).to_string())
    }
}
