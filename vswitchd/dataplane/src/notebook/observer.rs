//! Who looks on while a frame walks: nobody, mostly.

use packet::frame::Frame;

use super::{Note, Notebook, Point};

/// Holds a notebook while a walk is written down. Without one, writing costs a
/// comparison, and nothing is made ready to be written.
#[derive(Debug, Default)]
pub(crate) struct Observer(Option<Notebook>);

impl Observer {
    /// Takes the notebook, emptied; what it leaves in the place is not used.
    pub(crate) fn begin(&mut self, notebook: &mut Notebook) {
        notebook.clear();
        self.0 = Some(std::mem::take(notebook));
    }

    /// Gives the notebook back.
    pub(crate) fn end(&mut self, notebook: &mut Notebook) {
        if let Some(written) = self.0.take() {
            *notebook = written;
        }
    }

    /// Writes what a stage found.
    #[inline(always)]
    pub(crate) fn note(&mut self, note: impl FnOnce() -> Note) {
        if let Some(notebook) = &mut self.0 {
            write(notebook, note);
        }
    }

    /// Copies the frame as it is here.
    #[inline(always)]
    pub(crate) fn look(&mut self, point: Point, frame: &Frame) {
        if let Some(notebook) = &mut self.0 {
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
