//! Who looks on while a frame walks: nobody, mostly.

use packet::frame::Frame;

use super::{Note, Notebook, Point};
use crate::journal::Rules;

/// Holds a notebook while a walk is written down. Without one, writing costs a
/// comparison, and nothing is made ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    notebook: Option<Notebook>,
    /// What decided when policy was asked last, for the flow log.
    pub(crate) rules: Rules,
}

impl Observer {
    /// Takes the notebook, emptied; what it leaves in the place is not used.
    pub(crate) fn begin(&mut self, notebook: &mut Notebook) {
        notebook.clear();
        self.notebook = Some(std::mem::take(notebook));
    }

    /// Gives the notebook back.
    pub(crate) fn end(&mut self, notebook: &mut Notebook) {
        if let Some(written) = self.notebook.take() {
            *notebook = written;
        }
    }

    /// Writes what a stage found.
    #[inline(always)]
    pub(crate) fn note(&mut self, note: impl FnOnce() -> Note) {
        if let Some(notebook) = &mut self.notebook {
            write(notebook, note);
        }
    }

    /// Copies the frame as it is here.
    #[inline(always)]
    pub(crate) fn look(&mut self, point: Point, frame: &Frame) {
        if let Some(notebook) = &mut self.notebook {
            notebook.look(point, frame);
        }
    }
}

/// Out of the way of the walk that nobody looks at.
#[cold]
#[inline(never)]
fn write(notebook: &mut Notebook, note: impl FnOnce() -> Note) {
    notebook.notes.push(note());
}
