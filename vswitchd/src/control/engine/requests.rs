//! What the CNI plugin may ask of the [`Engine`], one function a request.

use std::{collections::BTreeSet, net::Ipv4Addr};

use cni_shim::protocol::{Attachment, Request, Response, error_code};
use ipnet::Ipv4Net;
use packet::ethernet::MacAddr;
use tokio::sync::oneshot;
use tracing::warn;

use super::{
    Engine,
    pending::{Pending, PendingAttach, answer, refusal},
};
use crate::{
    control::{Publisher, Update, Workload},
    ipam::{BookError, IpamError, Owner, handle},
    state::Attached,
};

/// The gateway every pod is given; no interface has it, proxy ARP answers for it (Calico).
const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// What proxy ARP answers (Calico).
const GATEWAY_MAC: MacAddr = MacAddr([0xee; 6]);

type Reply = oneshot::Sender<Response>;

/// The workload of a stored attachment, at an interface index.
pub(super) fn workload_of(attached: &Attached, host_index: u32) -> Result<Workload, String> {
    let mac = attached.pod_mac.parse::<MacAddr>();
    let mac = mac.map_err(|_| format!("expected a MAC address, found {:?}", attached.pod_mac))?;
    let id = attached.id.clone();
    let pod = attached.pod.clone();
    Ok(Workload {
        namespace: attached.namespace.clone().unwrap_or_default(),
        pod: pod.unwrap_or_else(|| id.container_id.clone()),
        id,
        address: attached.address,
        mac,
        host_interface: attached.host_interface.clone(),
        host_index,
        mtu_bytes: attached.mtu_bytes,
        bandwidth: attached.bandwidth,
        port_mappings: attached.port_mappings.clone(),
        slot: 0,
    })
}

impl<P: Publisher> Engine<P> {
    /// Answers a request, now or after the next publication.
    pub(super) fn request(&mut self, request: Request, reply: Reply) {
        match request {
            Request::Allocate {
                container_id,
                ifname,
                netns,
                namespace,
                pod,
                requested,
                ..
            } => {
                let owner = Owner {
                    namespace,
                    pod,
                    netns: Some(netns),
                };
                let handle = handle(&container_id, &ifname);
                answer(reply, self.allocate(&handle, owner, requested));
            }
            Request::Attach { .. } => self.attach(request, reply),
            Request::Detach {
                container_id,
                ifname,
            } => self.detach(
                Attachment {
                    container_id,
                    ifname,
                },
                reply,
            ),
            Request::Check {
                container_id,
                ifname,
                host_interface,
                address,
            } => {
                let id = Attachment {
                    container_id,
                    ifname,
                };
                self.settle_before(&id);
                answer(reply, self.check(&id, &host_interface, address));
            }
            Request::Gc { valid } => self.collect(&valid, reply),
            Request::Status {} => answer(reply, self.status()),
            Request::Show { .. }
            | Request::Capture(_)
            | Request::Recorded { .. }
            | Request::Explain { .. }
            | Request::Matrix { .. }
            | Request::Eval { .. }
            | Request::Trace { .. }
            | Request::Flows { .. }
            | Request::ActiveFlows { .. }
            | Request::Doctor {}
            | Request::Log { .. }
            | Request::Shutdown {} => {
                let message = "this request is not the engine's to answer";
                answer(reply, refusal(error_code::INTERNAL, message));
            }
        }
    }

    fn allocate(&mut self, handle: &str, owner: Owner, requested: Option<Ipv4Addr>) -> Response {
        let mut result = self.book.allocate(handle, owner.clone(), requested);
        if matches!(result, Err(BookError::Ipam(IpamError::Full { .. }))) {
            if let Err(error) = self.release_abandoned() {
                warn!(%error, "looking for abandoned addresses");
            }
            result = self.book.allocate(handle, owner, requested);
        }
        match result {
            Ok(address) => Response::Allocated {
                address: Ipv4Net::from(address),
                mtu: self.pod_mtu_bytes,
                gateway: GATEWAY,
                gateway_mac: GATEWAY_MAC.to_string(),
            },
            Err(error) => refusal(allocation_code(&error), error.to_string()),
        }
    }

    fn attach(&mut self, request: Request, reply: Reply) {
        let Some((attached, host_index)) = attached_of(request) else {
            return;
        };
        self.settle_before(&attached.id);
        let rivals = self.attachments.rivals(&attached);
        let rivals: Vec<Attachment> = rivals.map(|older| older.id.clone()).collect();
        rivals.iter().for_each(|older| self.settle_before(older));
        let workload = match self.judge(&attached, host_index) {
            Ok(workload) => workload,
            Err(refused) => return answer(reply, refused),
        };
        let before = self.attachments.get(&attached.id).cloned();
        let retired = match self.attachments.insert(attached.clone()) {
            Ok(retired) => retired,
            Err(error) => {
                return answer(reply, refusal(error_code::IO_FAILURE, error.to_string()));
            }
        };
        let id = attached.id.clone();
        self.host_indices.insert(id, host_index);
        for older in &retired {
            self.dirty |= self.desired.apply(Update::Detached(older.id.clone()));
        }
        let update = Update::Attached(Box::new(workload.clone()));
        self.dirty |= self.desired.apply(update);
        self.pending.push(Pending::Attach(Box::new(PendingAttach {
            attached,
            workload,
            before,
            retired,
            reply,
        })));
    }

    /// May this be attached? The address must be the container's own, or foreign to every block.
    fn judge(&self, attached: &Attached, host_index: u32) -> Result<Workload, Response> {
        let (id, address) = (&attached.id, attached.address);
        let own = handle(&id.container_id, &id.ifname);
        let held = self.book.ipam().held_by(&own);
        if self.owns(address) && held != Some(address) {
            let message = format!("address {address} was not given to container {own}");
            return Err(refusal(error_code::UNKNOWN_CONTAINER, message));
        }
        let mut peers = self.desired.peers.values();
        let theirs = |block: &Ipv4Net| block.contains(&address);
        if let Some(peer) = peers.find(|p| p.routes.iter().any(|r| theirs(&r.block))) {
            let message = format!("address {address} lies in a block of node {:?}", peer.name);
            return Err(refusal(error_code::UNSUPPORTED_FIELD, message));
        }
        if let Some(other) = self.desired.workload_at(address).filter(|w| w.id != *id) {
            let (namespace, pod) = (&other.namespace, &other.pod);
            let message = format!("address {address} is in use by {namespace}/{pod}");
            return Err(refusal(error_code::UNSUPPORTED_FIELD, message));
        }
        workload_of(attached, host_index)
            .map_err(|reason| refusal(error_code::DECODING_FAILURE, format!("pod_mac: {reason}")))
    }

    fn detach(&mut self, id: Attachment, reply: Reply) {
        self.settle_before(&id);
        self.dirty |= self.desired.apply(Update::Detached(id.clone()));
        self.pending.push(Pending::Detach { id, reply });
    }

    fn collect(&mut self, valid: &[Attachment], reply: Reply) {
        self.settle();
        let stale = |id: &&Attachment| !valid.contains(id);
        let ids = self.attachments.iter().map(|attached| &attached.id);
        let ids: Vec<Attachment> = ids.filter(stale).cloned().collect();
        for id in &ids {
            self.dirty |= self.desired.apply(Update::Detached(id.clone()));
        }
        // An address without an attachment is an ADD that was broken off: GC runs alone.
        let handles = valid.iter().chain(&ids);
        let kept: BTreeSet<String> = handles
            .map(|id| handle(&id.container_id, &id.ifname))
            .collect();
        let freed = self
            .book
            .release_abandoned(|handle, _| !kept.contains(handle));
        if let Err(error) = freed {
            return answer(reply, refusal(error_code::IO_FAILURE, error.to_string()));
        }
        self.pending.push(Pending::Collect { ids, reply });
    }

    fn check(&self, id: &Attachment, host_interface: &str, address: Ipv4Net) -> Response {
        let Some(attached) = self.attachments.get(id) else {
            let message = format!("container {} has no {} here", id.container_id, id.ifname);
            return refusal(error_code::UNKNOWN_CONTAINER, message);
        };
        let failed = |message: String| refusal(error_code::CHECK_FAILED, message);
        if attached.host_interface != host_interface {
            let expected = &attached.host_interface;
            return failed(format!(
                "host interface: expected {expected}, found {host_interface}"
            ));
        }
        if attached.address != address.addr() {
            let expected = attached.address;
            return failed(format!(
                "address: expected {expected}, found {}",
                address.addr()
            ));
        }
        let Some(workload) = self.desired.workloads.get(id) else {
            return failed(format!(
                "{host_interface} is not forwarding: its link had vanished"
            ));
        };
        match self.links.index_of(host_interface) {
            Ok(Some(index)) if index == workload.host_index => Response::Checked {},
            Ok(Some(index)) => failed(format!(
                "{host_interface} was made anew: expected index {}, found {index}",
                workload.host_index
            )),
            Ok(None) => failed(format!("host interface {host_interface} is gone")),
            Err(error) => refusal(error_code::IO_FAILURE, error.to_string()),
        }
    }

    fn status(&self) -> Response {
        let blocks = self.book.ipam().blocks();
        if blocks.iter().all(|block| block.free() == 0) {
            let message = "no free address: every block of this node is full";
            return refusal(error_code::NOT_AVAILABLE, message);
        }
        if !self.desired.uplink.up {
            let message = format!("uplink {} is down", self.desired.uplink.name);
            return refusal(error_code::LIMITED_CONNECTIVITY, message);
        }
        Response::Ready {}
    }
}

fn allocation_code(error: &BookError) -> u32 {
    match error {
        BookError::Ipam(IpamError::Full { .. }) => error_code::ADDRESSES_EXHAUSTED,
        BookError::Ipam(_) => error_code::UNSUPPORTED_FIELD,
        _ => error_code::IO_FAILURE,
    }
}

/// What is stored of an `Attach`, and the interface index, which is not.
fn attached_of(request: Request) -> Option<(Attached, u32)> {
    let Request::Attach {
        container_id,
        ifname,
        netns,
        namespace,
        pod,
        host_interface,
        host_index,
        pod_mac,
        address,
        mtu,
        bandwidth,
        port_mappings,
    } = request
    else {
        return None;
    };
    let attached = Attached {
        id: Attachment {
            container_id,
            ifname,
        },
        netns,
        namespace,
        pod,
        host_interface,
        address: address.addr(),
        pod_mac,
        mtu_bytes: mtu,
        bandwidth,
        port_mappings,
    };
    Some((attached, host_index))
}
