//! The one thread that decides: it owns the desired state, the address book and the attachments.
//!
//! Messages are taken in batches: everything that waits in the inbox is applied, then published
//! once, waited for once, and only then answered. An ADD is therefore answered when every worker
//! has the generation with its port, and fifty ADDs at once cost one compilation, not fifty.

mod forget;
mod pending;
mod requests;
mod restore;
mod settle;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use cni_shim::protocol::{Attachment, Request, Response};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use policy::model::PodKey;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use self::pending::Pending;
use super::{BlockUse, DesiredState, PodSource, Publisher, Update, View};
use crate::{ipam::AddressBook, state::Attachments};

/// Most requests answered by one publication.
const MAX_BATCH: usize = 256;
/// How often a state that could not be published is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the engine is told.
pub enum Message {
    /// Something changed.
    Update(Update),
    /// A client asks; `Allocate`, `Attach`, `Detach`, `Check`, `Gc` and `Status` only.
    Request(Box<Request>, oneshot::Sender<Response>),
    /// Finish what was begun and end.
    Stop,
}

/// What the engine needs from the host's kernel.
pub trait HostLinks: Send {
    /// Index of an interface; `None` = there is none of that name.
    ///
    /// # Errors
    /// The kernel refuses to say.
    fn index_of(&self, name: &str) -> io::Result<Option<u32>>;

    /// Removes an interface; no error if there is none.
    ///
    /// # Errors
    /// The kernel refuses.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Does this network namespace still exist?
    fn netns_exists(&self, path: &str) -> bool;
}

/// What an [`Engine`] is made of.
pub struct Parts<P> {
    /// The state to start from; without workloads.
    pub desired: DesiredState,
    /// Who has which address.
    pub book: AddressBook,
    /// Who is attached.
    pub attachments: Attachments,
    /// The workers.
    pub publisher: P,
    /// The kernel.
    pub links: Box<dyn HostLinks>,
    /// Where an ADD learns its pod's labels; `None` = there are no policies.
    pub pods: Option<Box<dyn PodSource>>,
    /// MTU that pods are given, in bytes.
    pub pod_mtu_bytes: u32,
}

/// The decider. Make it with [`Engine::start`], then let a thread of its own [`Engine::run`].
pub struct Engine<P> {
    desired: DesiredState,
    book: AddressBook,
    attachments: Attachments,
    publisher: P,
    links: Box<dyn HostLinks>,
    pods: Option<Box<dyn PodSource>>,
    /// Index of each attachment's host interface: a newer one may have its name.
    host_indices: BTreeMap<Attachment, u32>,
    pod_mtu_bytes: u32,
    view: Arc<ArcSwap<View>>,
    pending: Vec<Pending>,
    dirty: bool,
    /// ADDs of the batch being published: their failure is theirs.
    unsettled: BTreeSet<Attachment>,
    generation: u64,
    /// Pods with interfaces policy does not know, of which the log has told.
    half_policed: BTreeSet<PodKey>,
    publish_error: Option<String>,
    started: SystemTime,
}

impl<P: Publisher> Engine<P> {
    /// Restores the workloads that were attached when the daemon last ran, and publishes them. An
    /// attachment whose interface is gone is dropped and its address freed.
    ///
    /// # Errors
    /// An attachment can be neither taken over nor safely dropped (the kernel does not answer, the
    /// state on disk cannot be changed), or the first state not be published.
    pub fn start(parts: Parts<P>) -> anyhow::Result<Self> {
        let view = view_of(&parts.desired, &parts.book, &parts.attachments);
        let mut engine = Self {
            desired: parts.desired,
            book: parts.book,
            attachments: parts.attachments,
            publisher: parts.publisher,
            links: parts.links,
            pods: parts.pods,
            host_indices: BTreeMap::new(),
            pod_mtu_bytes: parts.pod_mtu_bytes,
            started: view.started,
            view: Arc::new(ArcSwap::from_pointee(view)),
            pending: Vec::new(),
            dirty: true,
            unsettled: BTreeSet::new(),
            generation: 0,
            half_policed: BTreeSet::new(),
            publish_error: None,
        };
        engine.restore()?;
        engine.publish()?;
        engine.leave_view();
        Ok(engine)
    }

    /// Where the engine leaves what others may look at.
    #[must_use]
    pub fn view(&self) -> Arc<ArcSwap<View>> {
        self.view.clone()
    }

    /// Serves the inbox until it says stop or every sender is gone.
    pub fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let mut going = match self.next(inbox) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            while going && self.pending.len() < MAX_BATCH {
                let Ok(message) = inbox.try_recv() else { break };
                going = self.take(message);
            }
            self.settle();
            if !going {
                return;
            }
        }
    }

    fn next(&self, inbox: &Receiver<Message>) -> Result<Message, RecvTimeoutError> {
        match self.dirty {
            true => inbox.recv_timeout(RETRY),
            false => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    /// Takes one message in; `false` = it was the last.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Update(update) => {
                self.note(&update);
                self.dirty |= self.desired.apply(update);
            }
            Message::Request(request, reply) => self.request(*request, reply),
            Message::Stop => return false,
        }
        true
    }

    fn note(&self, update: &Update) {
        match update {
            Update::Policies(_) => info!("policies loaded"),
            Update::PoliciesRejected(errors) => {
                for line in errors {
                    error!("policy not loaded, the last good state stays in force: {line}");
                }
            }
            Update::LinkGone(index) => {
                let mut workloads = self.desired.workloads.values();
                if let Some(gone) = workloads.find(|held| held.host_index == *index) {
                    warn!(interface = %gone.host_interface, pod = %gone.pod, "interface vanished");
                }
            }
            _ => {}
        }
    }

    /// Does this address lie in a block of this node?
    fn owns(&self, address: std::net::Ipv4Addr) -> bool {
        self.desired
            .blocks
            .iter()
            .any(|block| block.contains(&address))
    }

    fn leave_view(&mut self) {
        let view = View {
            generation: self.generation,
            publish_error: self.publish_error.clone(),
            started: self.started,
            ..view_of(&self.desired, &self.book, &self.attachments)
        };
        self.view.store(Arc::new(view));
    }
}

fn view_of(desired: &DesiredState, book: &AddressBook, attachments: &Attachments) -> View {
    let blocks = book.ipam().blocks().iter().map(|block| BlockUse {
        cidr: block.cidr(),
        used: block.allocations().count(),
        free: block.free(),
    });
    let blocks: Vec<BlockUse> = blocks.collect();
    let used: usize = blocks.iter().map(|block| block.used).sum();
    View {
        desired: desired.clone(),
        generation: 0,
        blocks,
        unattached: used.saturating_sub(1 + attachments.iter().count()),
        publish_error: None,
        started: SystemTime::now(),
    }
}

#[cfg(test)]
mod tests;
