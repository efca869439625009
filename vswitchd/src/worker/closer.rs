//! A thread that lets go of what the kernel lets go slowly.
//!
//! Closing a packet socket ends only after a grace period of RCU (`packet_release` in net/packet/af_packet.c): many
//! milliseconds, and seconds on a machine whose CPUs are all busy. A worker that waited for it would forward nothing
//! meanwhile.

use std::io;
use std::thread::Builder;

use crossbeam_channel::Sender;

/// Where such things are handed in. The thread ends when all clones are gone and everything is closed.
#[derive(Clone)]
pub(super) struct Closer(Sender<Box<dyn Send>>);

impl Closer {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (sender, things) = crossbeam_channel::unbounded::<Box<dyn Send>>();
        let thread = Builder::new().name("closer".into());
        thread.spawn(move || things.into_iter().for_each(drop))?;
        Ok(Self(sender))
    }

    /// Closes it, soon, and not here.
    pub(super) fn close(&self, thing: impl Send + 'static) {
        // Without the thread it is closed here.
        let _ = self.0.send(Box::new(thing));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::*;

    /// Says where it is dropped.
    struct Thing(mpsc::Sender<ThreadId>);

    impl Drop for Thing {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }

    #[test]
    fn what_is_handed_in_is_closed_by_the_other_thread_to_the_last() {
        let closer = Closer::start().unwrap();
        let (sender, closed) = mpsc::channel();
        for _ in 0..3 {
            closer.clone().close(Thing(sender.clone()));
        }
        drop((closer, sender));
        let places: Vec<ThreadId> = closed.into_iter().collect();
        assert_ne!(places[0], thread::current().id());
        assert_eq!(places, [places[0]; 3]);
    }
}
