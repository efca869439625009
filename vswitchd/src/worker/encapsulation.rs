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
        let reason = match wanted {
            KernelEncapsulation::Auto => "the uplink is not open yet",
            KernelEncapsulation::Off => "kernel_encapsulation = \"off\"",
        };
        let now = Segmentation::UserSpace(reason.to_owned());
        Self {
            wanted,
            now: Arc::new(Mutex::new(now)),
        }
    }

    /// Who cuts super-segments at the moment.
    pub(super) fn segmentation(&self) -> Segmentation {
        self.now().clone()
    }

    /// The program at the uplink's egress, where it is wanted and possible. The log says which way it is and why.
    pub(super) fn attach(&self, uplink: &str) -> Option<Arc<Encapsulator>> {
        if self.wanted == KernelEncapsulation::Off {
            self.say(uplink);
            return None;
        }
        let (help, name) = (self.clone(), uplink.to_owned());
        let attached = Encapsulator::attach(uplink, move |failure| {
            *help.now() = Segmentation::GivenUp(failure.to_string());
            tracing::warn!(
                uplink = name,
                "super-segments are cut in user space from now on: {failure}"
            );
        });
        *self.now() = match &attached {
            Ok(_) => Segmentation::Kernel,
            Err(error) => Segmentation::UserSpace(error.to_string()),
        };
        self.say(uplink);
        attached.ok().map(Arc::new)
    }

    fn say(&self, uplink: &str) {
        tracing::info!(
            uplink,
            "super-segments to other nodes are cut {}",
            *self.now()
        );
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
