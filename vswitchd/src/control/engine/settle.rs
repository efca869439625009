//! From what changed to a state in force, and to the answers that waited for it.

use cni_shim::protocol::{Attachment, Response, error_code};
use tracing::{error, info, warn};

use super::{
    Engine,
    pending::{Answer, Pending, PendingAttach, refusal, refuse_attach},
};
use crate::control::{PublishError, Publisher, Update};

impl<P: Publisher> Engine<P> {
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
        let answers = match result {
            Ok(()) => pending.into_iter().map(|done| self.finish(done)).collect(),
            Err(error) => self.settle_apart(pending, &error),
        };
        self.leave_view();
        answers.into_iter().for_each(Answer::send);
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
    fn settle_apart(&mut self, pending: Vec<Pending>, error: &PublishError) -> Vec<Answer> {
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
        let others = others.into_iter().map(|other| match &rest {
            Ok(()) => self.finish(other),
            Err(error) => other.refuse(error),
        });
        let mut answers: Vec<Answer> = others.collect();
        let is_the_only_one = attaches.len() == 1;
        answers.extend(attaches.into_iter().map(|attach| match is_the_only_one {
            true => refuse_attach(*attach, error),
            false => self.attach_alone(attach),
        }));
        answers
    }

    fn attach_alone(&mut self, mut attach: Box<PendingAttach>) -> Answer {
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
                refuse_attach(*attach, &error)
            }
        }
    }

    /// Brings the desired state into force at every worker.
    pub(super) fn publish(&mut self) -> Result<(), PublishError> {
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

    fn finish(&mut self, pending: Pending) -> Answer {
        let (reply, response) = match pending {
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
                (attach.reply, Response::Attached { generation })
            }
            Pending::Detach { id, reply } => match self.forget(&id) {
                Ok(()) => (reply, Response::Detached {}),
                Err(error) => (reply, refusal(error_code::IO_FAILURE, error.to_string())),
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
                (reply, Response::Collected { removed })
            }
        };
        Answer { reply, response }
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
}
