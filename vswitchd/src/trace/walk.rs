//! One walk, on a worker's state made for it.

use dataplane::conntrack::Flow;
use dataplane::{
    Action, DropReason, Excerpt, Note, Notebook, PortId, Punt, Snapshot, WorkerId, cut_and_dress,
    observe,
};
use packet::{FlowKey, Frame};

use super::{Ground, TraceError};

/// What came of a frame.
pub struct Walk {
    /// What each stage found.
    pub notes: Vec<Note>,
    /// How it ended.
    pub action: Action,
    /// The frame after the walk. Of one that was cut, the first piece.
    pub frame: Frame,
    /// Why it was dropped, also where it became an answer.
    pub refused: Option<DropReason>,
    /// How many pieces it was cut into; 0 where it was not.
    pub pieces: usize,
    /// The flow as its worker knew it before.
    pub flow: Option<Flow>,
}

/// Walks a copy of the frame. Nothing that lives changes.
///
/// # Errors
/// [`TraceError::Silent`]: the flow's worker does not say what it knows.
pub fn walk(
    ground: &dyn Ground,
    world: &Snapshot,
    port: PortId,
    frame: &Frame,
) -> Result<Walk, TraceError> {
    let excerpt = owners_excerpt(ground, world, port, frame)?;
    let mut local = excerpt.local();
    let mut notebook = Notebook::new(0);
    let mut sent = frame.clone();
    let action = observe(
        world,
        &mut local,
        excerpt.now,
        port,
        &mut sent,
        &mut notebook,
    );
    let mut walk = Walk {
        notes: notebook.notes().to_vec(),
        action,
        refused: notebook.refused(),
        frame: sent,
        pieces: 0,
        flow: excerpt.flow,
    };
    if let Action::Punt(Punt::Cut(adjacency)) = action {
        cut(world, &mut local, adjacency, &mut walk);
    }
    Ok(walk)
}

/// What the worker that the frame's flow falls to knows of it. Which worker that is, a walk without
/// any knowledge says.
pub(super) fn owners_excerpt(
    ground: &dyn Ground,
    world: &Snapshot,
    port: PortId,
    frame: &Frame,
) -> Result<Excerpt, TraceError> {
    let ask = |worker, flow| {
        let excerpt = ground.excerpt(worker, flow);
        excerpt.ok_or(TraceError::Silent(worker))
    };
    let any = ask(WorkerId(0), None)?;
    match flow_of(&any, world, port, frame) {
        Some((key, owner)) => ask(owner, Some(key)),
        None => Ok(any),
    }
}

fn flow_of(
    excerpt: &Excerpt,
    world: &Snapshot,
    port: PortId,
    frame: &Frame,
) -> Option<(FlowKey, WorkerId)> {
    let (mut local, mut notebook) = (excerpt.local(), Notebook::new(0));
    let mut frame = frame.clone();
    observe(
        world,
        &mut local,
        excerpt.now,
        port,
        &mut frame,
        &mut notebook,
    );
    notebook.notes().iter().find_map(|note| match note {
        Note::Flow { key, owner, .. } => Some((*key, *owner)),
        _ => None,
    })
}

fn cut(
    world: &Snapshot,
    local: &mut dataplane::Local,
    adjacency: dataplane::AdjacencyId,
    walk: &mut Walk,
) {
    let mut pieces = Vec::new();
    let mut whole = walk.frame.clone();
    let spare = || Some(Frame::new());
    let out = |piece, action| pieces.push((piece, action));
    match cut_and_dress(world, local, adjacency, &mut whole, spare, out) {
        Err(reason) => {
            (walk.action, walk.refused) = (Action::Drop(reason), Some(reason));
            walk.notes.push(Note::Refused(reason));
        }
        Ok(()) => {
            walk.pieces = pieces.len();
            if let Some((piece, action)) = pieces.into_iter().next() {
                (walk.frame, walk.action) = (piece, action);
            }
            if let Action::Drop(reason) = walk.action {
                walk.refused = Some(reason);
            }
        }
    }
}
