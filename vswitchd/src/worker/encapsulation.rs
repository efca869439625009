//! Whether the kernel helps to encapsulate on the uplink: asked for, tried, and watched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use port::Encapsulator;

use crate::config::KernelEncapsulation;
use crate::control::Segmentation;

/// What has become of the wish, for all who want to know. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Help {
    wanted: KernelEncapsulation,
    now: Arc<Mutex<Segmentation>>,
}

impl Help {
    pub(super) fn new(wanted: KernelEncapsulation) -> Self {
        let now = Segmentation::UserSpace("the uplink is not open yet".to_owned());
        Self {
            wanted,
            now: Arc::new(Mutex::new(now)),
        }
    }

    /// Who cuts super-segments at the moment.
    pub(super) fn segmentation(&self) -> Segmentation {
        self.now().clone()
    }

    /// The program at the uplink's egress, where it is wanted and possible. The log says which way it is and why, when that
    /// is news.
    pub(super) fn attach(&self, uplink: &str) -> Option<Arc<Encapsulator>> {
        let (segmentation, encapsulator) = match self.wanted {
            KernelEncapsulation::Off => {
                let reason = "kernel_encapsulation = \"off\"".to_owned();
                (Segmentation::UserSpace(reason), None)
            }
            KernelEncapsulation::Auto => match self.try_to_attach(uplink) {
                Ok(encapsulator) => (Segmentation::Kernel, Some(Arc::new(encapsulator))),
                Err(error) => (Segmentation::UserSpace(error.to_string()), None),
            },
        };
        let mut now = self.now();
        if *now != segmentation {
            tracing::info!(
                uplink,
                "super-segments to other nodes are cut {segmentation}"
            );
            *now = segmentation;
        }
        encapsulator
    }

    fn try_to_attach(&self, uplink: &str) -> Result<Encapsulator, port::Error> {
        let (help, name) = (self.clone(), uplink.to_owned());
        Encapsulator::attach(uplink, move |failure| {
            let given_up = Segmentation::GivenUp(failure.to_string());
            tracing::warn!(
                uplink = name,
                "super-segments to other nodes are cut {given_up}"
            );
            *help.now() = given_up;
        })
    }

    fn now(&self) -> MutexGuard<'_, Segmentation> {
        // Replaced whole: a thread that panicked has left a good value.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_switched_off_is_not_tried() {
        let help = Help::new(KernelEncapsulation::Off);
        assert!(help.attach("no-such-link").is_none());
        let said = help.segmentation().to_string();
        assert_eq!(said, "in user space: kernel_encapsulation = \"off\"");
    }

    #[test]
    fn what_cannot_be_attached_says_why() {
        let help = Help::new(KernelEncapsulation::Auto);
        assert!(help.attach("no-such-link").is_none());
        let Segmentation::UserSpace(reason) = help.clone().segmentation() else {
            panic!("{:?}", help.segmentation());
        };
        assert!(reason.starts_with("interface no-such-link: "), "{reason}");
    }
}
