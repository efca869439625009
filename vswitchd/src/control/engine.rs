//! The one thread that decides: it owns the desired state, the address book and the attachments.
//!
//! Messages are taken in batches: everything that waits in the inbox is applied, then published
//! once, waited for once, and only then answered. An ADD is therefore answered when every worker
//! has the generation with its port, and fifty ADDs at once cost one compilation, not fifty.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use arc_swap::ArcSwap;
use cni_shim::protocol::{Attachment, Request, Response, error_code};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use policy::model::PodKey;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::{
    BlockUse, DesiredState, PodSource, PublishError, Publisher, Update, View, Workload,
    requests::{refusal, workload_of},
};
use crate::{
    ipam::{AddressBook, Owner, handle},
    state::{Attached, Attachments},
};

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
    pub(super) desired: DesiredState,
    pub(super) book: AddressBook,
    pub(super) attachments: Attachments,
    publisher: P,
    pub(super) links: Box<dyn HostLinks>,
    pods: Option<Box<dyn PodSource>>,
    /// Index of each attachment's host interface: a newer one may have its name.
    pub(super) host_indices: BTreeMap<Attachment, u32>,
    pub(super) pod_mtu_bytes: u32,
    view: Arc<ArcSwap<View>>,
    pub(super) pending: Vec<Pending>,
    pub(super) dirty: bool,
    /// ADDs of the batch being published: their failure is theirs.
    unsettled: BTreeSet<Attachment>,
    generation: u64,
    /// Pods with interfaces policy does not know, of which the log has told.
    half_policed: BTreeSet<PodKey>,
    publish_error: Option<String>,
    started: SystemTime,
}

/// A request that is answered after the next publication.
pub(super) enum Pending {
    Attach(Box<PendingAttach>),
    Detach {
        id: Attachment,
        reply: oneshot::Sender<Response>,
    },
    Collect {
        ids: Vec<Attachment>,
        reply: oneshot::Sender<Response>,
    },
}

/// An ADD under way, and what stood there before it.
pub(super) struct PendingAttach {
    pub(super) attached: Attached,
    pub(super) workload: Workload,
    pub(super) before: Option<Attached>,
    /// Older attachments of the same host interface, which it takes over.
    pub(super) retired: Vec<Attached>,
    pub(super) reply: oneshot::Sender<Response>,
}

impl Pending {
    fn concerns(&self, id: &Attachment) -> bool {
        match self {
            Self::Attach(attach) => attach.attached.id == *id,
            Self::Detach { id: other, .. } => other == id,
            Self::Collect { ids, .. } => ids.contains(id),
        }
    }

    fn attaching(&self) -> Option<&Attachment> {
        match self {
            Self::Attach(attach) => Some(&attach.attached.id),
            Self::Detach { .. } | Self::Collect { .. } => None,
        }
    }
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

    /// Anything under way about this attachment is finished first.
    pub(super) fn settle_before(&mut self, id: &Attachment) {
        if self.pending.iter().any(|pending| pending.concerns(id)) {
            self.settle();
        }
    }

    /// Publishes what changed and answers what waited for it.
    pub(super) fn settle(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let attaches = pending.iter().filter_map(Pending::attaching);
        self.unsettled = attaches.cloned().collect();
        self.learn_pods();
        let result = match self.dirty || !pending.is_empty() {
            true => self.publish(),
            false => Ok(()),
        };
        self.unsettled.clear();
        match result {
            Ok(()) => {
                for done in pending {
                    self.finish(done);
                }
            }
            Err(error) => self.settle_apart(pending, &error),
        }
        self.leave_view();
    }

    /// Pods that start now are judged by the labels they have now.
    fn learn_pods(&mut self) {
        if let Some(pods) = &mut self.pods {
            let wanted = self.desired.unknown_to_policy(&self.unsettled);
            self.desired.apply(Update::Newcomers(pods.find(&wanted)));
        }
    }

    /// The batch as a whole failed: takes its ADDs out, publishes the rest, then each ADD alone, so
    /// that one broken interface fails only itself.
    fn settle_apart(&mut self, pending: Vec<Pending>, error: &PublishError) {
        let (mut attaches, mut others) = (Vec::new(), Vec::new());
        for pending in pending {
            match pending {
                Pending::Attach(attach) => attaches.push(attach),
                other => others.push(other),
            }
        }
        attaches.iter().for_each(|attach| self.undo(attach));
        let rest = match attaches.is_empty() {
            true => Err(PublishError::Other(error.to_string())),
            false => self.publish(),
        };
        for other in others {
            match &rest {
                Ok(()) => self.finish(other),
                Err(error) => other.refuse(error),
            }
        }
        if let [_] = attaches[..] {
            attaches
                .into_iter()
                .for_each(|attach| refuse_attach(*attach, error));
            return;
        }
        for attach in attaches {
            self.attach_alone(attach);
        }
    }

    fn attach_alone(&mut self, mut attach: Box<PendingAttach>) {
        let update = Update::Attached(Box::new(attach.workload.clone()));
        let stored = self.attachments.insert(attach.attached.clone());
        self.desired.apply(update);
        self.unsettled.insert(attach.attached.id.clone());
        let result = match stored {
            Ok(retired) => {
                attach.retired = retired;
                self.publish()
            }
            Err(error) => Err(PublishError::Other(error.to_string())),
        };
        self.unsettled.clear();
        match result {
            Ok(()) => self.finish(Pending::Attach(attach)),
            Err(error) => {
                self.undo(&attach);
                self.dirty = true;
                refuse_attach(*attach, &error);
            }
        }
    }

    /// Brings the desired state into force at every worker.
    fn publish(&mut self) -> Result<(), PublishError> {
        let result = self.publish_whole().and_then(|generation| {
            self.generation = generation;
            self.publisher.wait(generation)
        });
        self.dirty = result.is_err();
        self.publish_error = result.as_ref().err().map(ToString::to_string);
        match &result {
            Ok(()) => self.note_half_policed(),
            Err(error) => error!(%error, "the new state is not in force"),
        }
        result
    }

    /// Once for each pod.
    fn note_half_policed(&mut self) {
        let pods = self.desired.half_policed();
        for (pod, denied) in &pods {
            if !self.half_policed.contains(pod) {
                warn!(%pod, ?denied, "has several interfaces: policy knows a pod by one address only, \
                    and these others are denied everything");
            }
        }
        self.half_policed = pods.into_keys().collect();
    }

    /// Publishes; a workload attached earlier whose port cannot be opened any more is left out
    /// rather than allowed to hold everybody else up.
    fn publish_whole(&mut self) -> Result<u64, PublishError> {
        loop {
            let error = match self.publisher.publish(&self.desired) {
                Ok(generation) => return Ok(generation),
                Err(error) => error,
            };
            let PublishError::Port { interface, .. } = &error else {
                return Err(error);
            };
            let mut workloads = self.desired.workloads.values();
            let broken = workloads.find(|held| held.host_interface == *interface);
            let Some(id) = broken.map(|held| held.id.clone()) else {
                return Err(error);
            };
            if self.unsettled.contains(&id) {
                return Err(error);
            }
            warn!(%error, "left out");
            self.desired.workloads.remove(&id);
        }
    }

    fn finish(&mut self, pending: Pending) {
        match pending {
            Pending::Attach(attach) => {
                let generation = self.generation;
                let pod = &attach.workload;
                info!(pod = %pod.pod, namespace = %pod.namespace, address = %pod.address,
                    interface = %pod.host_interface, generation, "attached");
                if self.desired.is_isolated(pod) {
                    warn!(pod = %pod.pod, namespace = %pod.namespace,
                        "isolated until its Pod and Namespace objects are known: policies select by labels");
                }
                attach.retired.iter().for_each(|older| self.retire(older));
                answer(attach.reply, Response::Attached { generation });
            }
            Pending::Detach { id, reply } => match self.forget(&id) {
                Ok(()) => answer(reply, Response::Detached {}),
                Err(error) => answer(reply, refusal(error_code::IO_FAILURE, error.to_string())),
            },
            Pending::Collect { ids, reply } => {
                let removed = ids.into_iter().filter(|id| match self.forget(id) {
                    Ok(()) => true,
                    Err(error) => {
                        error!(%error, container = %id.container_id, "not collected");
                        false
                    }
                });
                let removed = removed.collect();
                answer(reply, Response::Collected { removed });
            }
        }
    }

    /// Frees the address of an attachment whose host interface a newer one has taken over. Its
    /// record is gone already: the DEL of it that may follow finds nothing to remove.
    fn retire(&mut self, older: &Attached) {
        let (id, interface) = (&older.id, &older.host_interface);
        self.host_indices.remove(id);
        warn!(container = %id.container_id, %interface, address = %older.address,
            "detached: a newer attachment has its interface");
        if let Err(error) = self.book.release(&handle(&id.container_id, &id.ifname)) {
            error!(%error, address = %older.address, "not freed; its DEL or a GC will do it");
        }
    }

    /// Removes what is left of an attachment once no worker knows it: its host interface, its
    /// record, and last its address, which may be given to another from then on. A pod's next
    /// sandbox has an interface of the same name, perhaps wired already and not yet attached: that
    /// one stays.
    fn forget(&mut self, id: &Attachment) -> anyhow::Result<()> {
        if let Some(attached) = self.attachments.get(id) {
            let name = attached.host_interface.clone();
            let taken_over = self.attachments.rivals(attached).next().is_some();
            let own = self.host_indices.get(id);
            if !taken_over && own == self.links.index_of(&name)?.as_ref() {
                self.links.remove(&name)?;
            }
            self.attachments.remove(id)?;
            info!(container = %id.container_id, interface = %name, "detached");
        }
        self.host_indices.remove(id);
        self.book.release(&handle(&id.container_id, &id.ifname))?;
        Ok(())
    }

    /// Takes an ADD back: as if it had not been asked.
    fn undo(&mut self, attach: &PendingAttach) {
        let id = attach.attached.id.clone();
        let mut stored = self.attachments.remove(&id).map(drop);
        for earlier in attach.before.iter().chain(&attach.retired) {
            stored = stored.and_then(|()| self.attachments.insert(earlier.clone()).map(drop));
        }
        if let Err(error) = stored {
            error!(%error, "a failed ADD could not be taken back on disk");
        }
        self.desired.apply(Update::Detached(id));
    }

    fn restore(&mut self) -> anyhow::Result<()> {
        let stored: Vec<Attached> = self.attachments.iter().cloned().collect();
        for attached in stored {
            self.restore_one(&attached).with_context(|| {
                let (interface, address) = (&attached.host_interface, attached.address);
                format!(
                    "taking over {interface} ({address}) from attachments.json: to leave it out \
                     could give its address to a second pod, so the daemon does not start"
                )
            })?;
        }
        self.release_abandoned()
    }

    /// Only an interface that the kernel says is gone ends an attachment; a kernel or a disk that
    /// does not answer proves nothing about the pod.
    fn restore_one(&mut self, attached: &Attached) -> anyhow::Result<()> {
        let id = &attached.id;
        let handle = handle(&id.container_id, &id.ifname);
        let Some(index) = self.links.index_of(&attached.host_interface)? else {
            warn!(interface = %attached.host_interface, address = %attached.address,
                "attachment dropped: its host interface is gone");
            self.attachments.remove(id)?;
            self.book.release(&handle)?;
            return Ok(());
        };
        if self.owns(attached.address) {
            let owner = Owner {
                namespace: attached.namespace.clone(),
                pod: attached.pod.clone(),
                netns: Some(attached.netns.clone()),
            };
            self.book.allocate(&handle, owner, Some(attached.address))?;
        }
        let workload = workload_of(attached, index).map_err(anyhow::Error::msg)?;
        self.host_indices.insert(id.clone(), index);
        self.desired.apply(Update::Attached(Box::new(workload)));
        Ok(())
    }

    /// Frees addresses of ADDs that were broken off and whose namespace is gone.
    pub(super) fn release_abandoned(&mut self) -> anyhow::Result<()> {
        let ids = self.attachments.iter().map(|attached| &attached.id);
        let attached: BTreeSet<String> =
            ids.map(|id| handle(&id.container_id, &id.ifname)).collect();
        let links = &self.links;
        let released = self.book.release_abandoned(|handle, owner| {
            let gone = owner
                .netns
                .as_deref()
                .is_some_and(|path| !links.netns_exists(path));
            gone && !attached.contains(handle)
        })?;
        for address in released {
            info!(%address, "freed: its ADD was broken off and its namespace is gone");
        }
        Ok(())
    }

    /// Does this address lie in a block of this node?
    pub(super) fn owns(&self, address: std::net::Ipv4Addr) -> bool {
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

impl Pending {
    fn refuse(self, error: &PublishError) {
        let refused = refusal(error_code::TRY_AGAIN_LATER, error.to_string());
        match self {
            Self::Attach(attach) => answer(attach.reply, refused),
            Self::Detach { reply, .. } | Self::Collect { reply, .. } => answer(reply, refused),
        }
    }
}

fn refuse_attach(attach: PendingAttach, error: &PublishError) {
    let code = match error {
        PublishError::Port { .. } => error_code::INTERFACE_FAILURE,
        PublishError::Late { .. } | PublishError::Other(_) => error_code::TRY_AGAIN_LATER,
    };
    answer(attach.reply, refusal(code, error.to_string()));
}

/// Answers; a client that hung up meanwhile is no error.
pub(super) fn answer(reply: oneshot::Sender<Response>, response: Response) {
    let _ = reply.send(response);
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
