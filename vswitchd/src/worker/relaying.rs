//! Whether the kernel relays settled flows between ports: asked for, and tried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataplane::Generation;
use port::{Relay, RelayAttachment, Side};

use super::lanes::{Carrier, Lanes};
use super::queued::Queued;
use crate::config::KernelRelay;
use crate::control::Relaying;

/// Directions of flows that the kernel relays at most, all workers together: 208 bytes each in the kernel.
const LANES: u16 = 4096;

/// What has become of the wish, for all who want to know. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct KernelHelp {
    relay: Option<Arc<Relay>>,
    queued: Queued,
    state: Arc<Mutex<Relaying>>,
}

impl KernelHelp {
    /// Makes what the kernel needs for it, where it is wanted and possible. The log says if it is not possible.
    pub(super) fn new(wanted: KernelRelay) -> Self {
        let (relay, state) = match wanted {
            KernelRelay::Off => (None, Relaying::Off("kernel_relay = \"off\"".to_owned())),
            KernelRelay::Auto => match Relay::new(LANES) {
                Ok(relay) => (Some(Arc::new(relay)), Relaying::On),
                Err(error) => (None, Relaying::Off(error.to_string())),
            },
        };
        tracing::info!("settled flows are relayed {state}");
        let queued = Queued::default();
        if relay.is_some()
            && let Err(error) = queued.watch()
        {
            tracing::warn!(%error, "what queueing disciplines drop of relayed frames is not counted");
        }
        Self {
            relay,
            queued,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Whether it is done, and why not.
    pub(super) fn state(&self) -> Relaying {
        self.lock().clone()
    }

    /// The lanes of one of so many workers.
    pub(super) fn lanes(&self, worker: usize, workers: usize) -> Option<Lanes> {
        let relay: Arc<dyn Carrier> = self.relay.clone()?;
        let each = LANES / u16::try_from(workers).ok()?;
        let first = u16::try_from(worker).ok()?.checked_mul(each)?;
        Some(Lanes::new(relay, self.queued.clone(), first, each))
    }

    /// Only what was allowed under this generation is relayed from now on: before its snapshot is put in force.
    pub(super) fn allow(&self, generation: Generation) {
        if let Some(relay) = &self.relay {
            relay.allow(Some(generation.0));
        }
    }

    fn attach(&self, interface: &str, side: Side) -> Option<RelayAttachment> {
        let attached = self.relay.as_ref()?.attach(interface, side);
        attached
            .inspect_err(|error| {
                tracing::warn!(interface, %error, "no frames of this port are relayed by the kernel");
                *self.lock() = Relaying::Partly(error.to_string());
            })
            .ok()
    }

    fn lock(&self) -> MutexGuard<'_, Relaying> {
        // It is replaced whole: a thread that panicked has left a good value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The program at the interfaces of ports, by the kernel's number: one each, however often the port is opened anew.
pub(super) struct Attachments {
    help: KernelHelp,
    by_interface: BTreeMap<u32, RelayAttachment>,
}

impl Attachments {
    pub(super) fn new(help: KernelHelp) -> Self {
        Self {
            help,
            by_interface: BTreeMap::new(),
        }
    }

    /// The program sees the frames of this interface from now on, or has done so before; false where it cannot.
    pub(super) fn attach(&mut self, interface: &str, index: u32, side: Side) -> bool {
        if !self.by_interface.contains_key(&index)
            && let Some(attachment) = self.help.attach(interface, side)
        {
            self.help.queued.look(index);
            self.by_interface.insert(index, attachment);
        }
        self.by_interface.contains_key(&index)
    }

    /// Detaches it where no port is any more.
    pub(super) fn keep(&mut self, is_used: impl Fn(u32) -> bool) {
        self.by_interface.retain(|index, _| is_used(*index));
    }
}
