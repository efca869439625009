//! Whether the kernel relays settled flows between ports: asked for, and tried.

mod attachments;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataplane::Generation;
use netlink::Handle;
use port::{Relay, RelayAttachment, Side};

pub(super) use attachments::Attachments;

use super::lanes::{Carrier, Lanes};
use super::unfit::Unfit;
use crate::config::KernelRelay;
use crate::control::Relaying;

/// Directions of flows that the kernel relays at most, all workers together: 208 bytes each in the kernel.
const LANES: u16 = 4096;

/// What has become of the wish, for all who want to know. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct RelayHelp {
    relay: Result<Arc<Relay>, String>,
    unfit: Unfit,
    refused: Arc<Mutex<Refused>>,
}

/// At which interfaces the program is, and at which it could not be.
#[derive(Debug, Default)]
struct Refused {
    attached: usize,
    /// Why not, by the interface's number.
    reasons: BTreeMap<u32, String>,
}

impl RelayHelp {
    /// Makes what the kernel needs for it, where it is wanted and possible. The log says which way it is.
    pub(super) fn new(wanted: KernelRelay) -> Self {
        let relay = match wanted {
            KernelRelay::Off => Err("kernel_relay = \"off\"".to_owned()),
            KernelRelay::Auto => Relay::new(LANES)
                .map(Arc::new)
                .map_err(|error| error.to_string()),
        };
        let help = Self {
            relay,
            unfit: Unfit::default(),
            refused: Arc::default(),
        };
        tracing::info!("settled flows are relayed {}", help.state());
        if help.relay.is_ok()
            && let Err(error) = help.unfit.watch()
        {
            tracing::warn!(%error, "nobody hears of devices that become unfit for relaying");
        }
        help
    }

    /// Whether it is done, and why not.
    pub(super) fn state(&self) -> Relaying {
        if let Err(reason) = &self.relay {
            return Relaying::Off(reason.clone());
        }
        let refused = self.lock();
        match refused.reasons.values().next().cloned() {
            None => Relaying::On,
            Some(reason) if refused.attached > 0 => Relaying::Partly(reason),
            Some(reason) => Relaying::Off(reason),
        }
    }

    /// The lanes of one of so many workers.
    pub(super) fn lanes(&self, worker: usize, workers: usize) -> Option<Lanes> {
        let relay: Arc<dyn Carrier> = self.relay.clone().ok()?;
        let each = LANES / u16::try_from(workers).ok()?;
        let first = u16::try_from(worker).ok()?.checked_mul(each)?;
        Some(Lanes::new(relay, self.unfit.clone(), first, each))
    }

    /// Only what was allowed under this generation is relayed from now on: before its snapshot is put in force.
    pub(super) fn allow(&self, generation: Generation) {
        if let Ok(relay) = &self.relay {
            relay.allow(Some(generation.0));
        }
    }

    fn attach(&self, interface: &str, index: u32, side: Side) -> Option<RelayAttachment> {
        let attached = match self.relay.as_ref().ok()?.attach(interface, side) {
            // By now the name is another interface's.
            Ok(attachment) if attachment.interface_index() != index => return None,
            attached => attached,
        };
        let mut refused = self.lock();
        match attached {
            Ok(attachment) => {
                refused.attached += 1;
                refused.reasons.remove(&index);
                Some(attachment)
            }
            // One that went as fast as it came.
            Err(_) if is_gone(index) => None,
            Err(error) => {
                if refused.reasons.is_empty() {
                    tracing::warn!(interface, %error, "no frames of this port are relayed by the kernel");
                }
                refused.reasons.insert(index, error.to_string());
                None
            }
        }
    }

    /// So many programs are left, and of interest are only these interfaces.
    fn keep(&self, attached: usize, used: &BTreeSet<u32>) {
        self.unfit.keep(used);
        let mut refused = self.lock();
        refused.attached = attached;
        refused.reasons.retain(|index, _| used.contains(index));
    }

    fn lock(&self) -> MutexGuard<'_, Refused> {
        // What a thread that panicked has left are good values.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_gone(interface: u32) -> bool {
    let link = Handle::open().and_then(|handle| handle.link_at(interface));
    matches!(link, Ok(None))
}
