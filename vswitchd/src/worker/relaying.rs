//! Whether the kernel relays settled flows between ports: asked for, and tried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataplane::Generation;
use port::{Relay, RelayAttachment, Side};

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
            Err(error) => {
                if refused.reasons.is_empty() {
                    tracing::warn!(interface, %error, "no frames of this port are relayed by the kernel");
                }
                refused.reasons.insert(index, error.to_string());
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Refused> {
        // What a thread that panicked has left are good values.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program at the interfaces of ports, by the kernel's number: one each, however often the port is opened anew.
pub(super) struct Attachments {
    help: RelayHelp,
    by_interface: BTreeMap<u32, RelayAttachment>,
}

impl Attachments {
    pub(super) fn new(help: RelayHelp) -> Self {
        Self {
            help,
            by_interface: BTreeMap::new(),
        }
    }

    /// The program sees the frames of this interface from now on, or has done so before; false where it cannot.
    pub(super) fn attach(&mut self, interface: &str, index: u32, side: Side) -> bool {
        if !self.by_interface.contains_key(&index)
            && let Some(attachment) = self.help.attach(interface, index, side)
        {
            self.help.unfit.look(index);
            self.by_interface.insert(index, attachment);
        }
        self.by_interface.contains_key(&index)
    }

    /// Gives up those where no port is any more. Dropped, they are detached.
    pub(super) fn keep(&mut self, is_used: impl Fn(u32) -> bool) -> Vec<RelayAttachment> {
        let unused = self
            .by_interface
            .extract_if(.., |index, _| !is_used(*index));
        let unused = unused.map(|(index, attachment)| {
            self.help.unfit.forget(index);
            attachment
        });
        let unused = unused.collect();
        let mut refused = self.help.lock();
        refused.attached = self.by_interface.len();
        refused.reasons.retain(|index, _| is_used(*index));
        unused
    }
}
