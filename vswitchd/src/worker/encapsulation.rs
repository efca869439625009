//! Whether the kernel helps to encapsulate on the uplink: asked for, tried, and watched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use port::Encapsulator;

use crate::config::KernelEncapsulation;
use crate::control::Segmentation;

/// What has become of the wish, for all who want to know. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct SegmentationHelp {
    wanted: KernelEncapsulation,
    now: Arc<Mutex<Now>>,
}

#[derive(Debug)]
struct Now {
    segmentation: Segmentation,
    /// How often the uplink was opened. Workers may still hold the program of an earlier time.
    epoch: u64,
}

impl SegmentationHelp {
    pub(super) fn new(wanted: KernelEncapsulation) -> Self {
        let now = Now {
            segmentation: Segmentation::UserSpace("the uplink is not open yet".to_owned()),
            epoch: 0,
        };
        Self {
            wanted,
            now: Arc::new(Mutex::new(now)),
        }
    }

    /// Who cuts super-segments at the moment.
    pub(super) fn segmentation(&self) -> Segmentation {
        self.now().segmentation.clone()
    }

    /// The program at the uplink's egress, where it is wanted and possible. The log says which way it is and why, when that
    /// is news.
    pub(super) fn attach(&self, uplink: &str) -> Option<Arc<Encapsulator>> {
        let epoch = self.begin();
        let (segmentation, encapsulator) = match self.wanted {
            KernelEncapsulation::Off => {
                let reason = "kernel_encapsulation = \"off\"".to_owned();
                (Segmentation::UserSpace(reason), None)
            }
            KernelEncapsulation::Auto => match self.try_to_attach(uplink, epoch) {
                Ok(encapsulator) => (Segmentation::Kernel, Some(Arc::new(encapsulator))),
                Err(error) => (Segmentation::UserSpace(error.to_string()), None),
            },
        };
        let mut now = self.now();
        if now.segmentation != segmentation {
            tracing::info!(
                uplink,
                "super-segments to other nodes are cut {segmentation}"
            );
            now.segmentation = segmentation;
        }
        encapsulator
    }

    fn try_to_attach(&self, uplink: &str, epoch: u64) -> Result<Encapsulator, port::Error> {
        let (help, name) = (self.clone(), uplink.to_owned());
        Encapsulator::attach(uplink, move |failure| {
            help.give_up(&name, epoch, failure.to_string());
        })
    }

    /// The uplink is opened once more; what becomes of its earlier programs is no longer news.
    fn begin(&self) -> u64 {
        let mut now = self.now();
        now.epoch += 1;
        now.epoch
    }

    fn give_up(&self, uplink: &str, epoch: u64, found: String) {
        let mut now = self.now();
        if now.epoch == epoch {
            let given_up = Segmentation::GivenUp(found);
            tracing::warn!(uplink, "super-segments to other nodes are cut {given_up}");
            now.segmentation = given_up;
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // Each field is replaced whole: a thread that panicked has left good values.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_is_not_tried() {
        let help = SegmentationHelp::new(KernelEncapsulation::Off);
        assert!(help.attach("no-such-link").is_none());
        let said = help.segmentation().to_string();
        assert_eq!(said, "in user space: kernel_encapsulation = \"off\"");
    }

    #[test]
    fn a_failure_of_a_program_that_was_replaced_is_no_news() {
        let help = SegmentationHelp::new(KernelEncapsulation::Off);
        let (old, new) = (help.begin(), help.begin());
        let before = help.segmentation();
        help.give_up("eth0", old, "too late".to_owned());
        assert_eq!(help.segmentation(), before);
        help.give_up("eth0", new, "in time".to_owned());
        let given_up = Segmentation::GivenUp("in time".to_owned());
        assert_eq!(help.segmentation(), given_up);
    }

    #[test]
    fn what_cannot_be_attached_says_why() {
        let help = SegmentationHelp::new(KernelEncapsulation::Auto);
        assert!(help.attach("no-such-link").is_none());
        let Segmentation::UserSpace(reason) = help.clone().segmentation() else {
            panic!("{:?}", help.segmentation());
        };
        assert!(reason.starts_with("interface no-such-link: "), "{reason}");
    }
}
