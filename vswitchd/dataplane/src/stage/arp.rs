//! Proxy ARP: every address a pod asks for is behind the gateway MAC.

use packet::arp::{Operation, Packet};
use packet::ethernet::{EtherType, Header};
use packet::frame::Frame;

use crate::GATEWAY_MAC;
use crate::action::Action;
use crate::drop_reason::DropReason;
use crate::ids::PortId;
use crate::local::Local;
use crate::notebook::Note;
use crate::snapshot::Workload;

/// Answers a workload's ARP request with ee:ee:ee:ee:ee:ee (RFC 826, RFC
/// 1027), whatever IPv4 address it asks for except its own: silence is the
/// right answer to duplicate address detection (RFC 5227), and Calico keeps
/// silent too.
pub(crate) fn answer(
    local: &mut Local,
    port: PortId,
    workload: &Workload,
    link: &Header,
    frame: &mut Frame,
) -> Result<Action, DropReason> {
    let request = Packet::parse(frame.packet()).map_err(|_| DropReason::ArpMalformed)?;
    if request.operation != Operation::Request {
        return Err(DropReason::ArpReply);
    }
    let is_probe = request.sender_ip.is_unspecified();
    if link.src != workload.mac
        || request.sender_mac != workload.mac
        || !(is_probe || request.sender_ip == workload.address)
    {
        return Err(DropReason::ArpSpoofed);
    }
    if request.target_ip == workload.address {
        return Err(DropReason::ArpProbe);
    }
    let reply = Packet {
        operation: Operation::Reply,
        sender_mac: GATEWAY_MAC,
        sender_ip: request.target_ip,
        target_mac: workload.mac,
        target_ip: request.sender_ip,
    };
    let header = Header {
        dst: workload.mac,
        src: GATEWAY_MAC,
        ethertype: EtherType::ARP,
    };
    frame.replace_packet(&reply.emit());
    frame.set_link(&header.emit());
    local.counters().arp_answered.add(1);
    local.observer.note(|| Note::ArpAnswered {
        target: request.target_ip,
    });
    Ok(Action::Transmit(port))
}
