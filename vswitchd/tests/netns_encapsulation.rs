//! The kernel's help on the uplink, between real daemons: super-segments leave whole, the wire carries what it always did,
//! and without the help, or without the right to it, nothing else changes.
//!
//! The help needs the machine's own root. In a lab within a user namespace these tests check that the daemons say so and
//! cut.

#![forbid(unsafe_code)]

mod netns_common;

use std::io::Read;

use cni_shim::{Request, Response};
use lab::{Kill, Lab};
use netns_common::{
    M02, M03, NGINX, OUTSIDE, Running, capture::Capture, minikube, ok, python, shell, show, soon,
    transfer::arrives,
};
use packet::{Protocol, checksum, ipv4};
use port::Encapsulator;

/// Longer than any frame of one packet on this underlay.
const WHOLE: &str = "ip proto 4 and greater 1515";
/// What cuts for a device that cannot.
const NO_TSO: &str = "tso off tx-udp-segmentation off tx-ipxip4-segmentation off";

fn lab_with(name: &str, kernel_encapsulation: &str) -> Lab {
    let mut config = minikube(name);
    let key = "kernel_encapsulation".to_owned();
    config.daemon.insert(key, kernel_encapsulation.into());
    Lab::up(config).unwrap()
}

/// Whether this kernel lets us help it: the lab has the same rights as this process, or fewer. (When it must, the tests of
/// `port` say.)
fn kernel_may() -> bool {
    Encapsulator::attach("lo", |_| ()).is_ok()
}

/// Who cuts, in the daemon's words: its status, its doctor's finding and its log agree.
fn segmentation(lab: &Lab, node: &str) -> String {
    let status = show(lab, node, "status");
    let said = status[0]["segmentation"].as_str().unwrap().to_owned();
    let Response::Table { rows } = lab.ask(node, &Request::Doctor {}).unwrap() else {
        panic!("no table");
    };
    let finding = rows.iter().find(|row| row["check"] == "segmentation");
    let finding = finding.unwrap();
    assert_eq!(finding["status"], "ok");
    let sentence = format!("super-segments to other nodes are cut {said}");
    assert_eq!(finding["sentence"], sentence.as_str());
    let log = lab.daemon(node).unwrap().read_log().unwrap();
    assert_eq!(log.matches(&sentence).count(), 1, "{log}");
    said
}

#[test]
fn super_segments_leave_whole_where_the_kernel_may_help() {
    let lab = lab_with("encap-auto", "auto");
    let may = kernel_may();
    for node in [M02, M03] {
        let said = segmentation(&lab, node);
        assert_eq!(said == "by the kernel", may, "{said}");
        assert!(may || said.contains(": it needs "), "{said}");
    }
    let [leaves, comes] = [M03, M02].map(|node| Capture::start(&lab, node, "eth0", WHOLE));
    arrives(&lab, "nginx-manual", 5_000_000);
    for capture in [leaves, comes] {
        assert_eq!(!capture.frames().is_empty(), may);
    }
    assert_eq!(segmentation(&lab, M03) == "by the kernel", may);
}

#[test]
fn switched_off_super_segments_are_cut_by_the_switch() {
    let lab = lab_with("encap-off", "off");
    let off = "in user space: kernel_encapsulation = \"off\"";
    assert_eq!(segmentation(&lab, M03), off);
    let leaves = Capture::start(&lab, M03, "eth0", WHOLE);
    arrives(&lab, "nginx-manual", 5_000_000);
    assert_eq!(leaves.frames(), [""; 0]);
}

#[test]
fn every_packet_on_a_wire_without_tso_is_right_and_the_other_node_merges_them() {
    let lab = lab_with("encap-wire", "auto");
    let at = lab.config().nodes.iter().position(|node| node.name == M03);
    let port = format!("uplink{}", at.unwrap());
    // Checksums are computed before the wire, so that they can be checked on it.
    ok(&lab, M03, &format!("ethtool -K eth0 {NO_TSO}"));
    ok(&lab, M03, "ethtool -K eth0 tx-checksum-ip-generic off");
    let argv = ["ethtool", "-K", &port, "gro", "off"];
    lab.sandbox()
        .run("no merging on the wire", None, &argv)
        .unwrap();
    ok(&lab, M02, "ethtool -K eth0 gro on");
    // A veth merges what it receives only if its other end does not send super-segments.
    let i = lab.config().nodes.iter().position(|node| node.name == M02);
    let other = format!("uplink{}", i.unwrap());
    let argv = [
        &["ethtool", "-K", &other][..],
        &NO_TSO.split(' ').collect::<Vec<_>>(),
    ]
    .concat();
    lab.sandbox().run("no TSO", None, &argv).unwrap();
    let wire = Wire::tap(&lab, &port);
    let merged = Capture::start(&lab, M02, "eth0", WHOLE);
    arrives(&lab, "nginx-manual", 5_000_000);
    let packets = wire.packets();
    assert!(packets.len() > 3000, "{} packets", packets.len());
    for packet in &packets {
        assert_right(packet);
    }
    let ids: Vec<u16> = packets
        .iter()
        .map(|packet| u16::from_be_bytes([packet[4], packet[5]]))
        .collect();
    // RFC 6864: free on packets that may not be fragmented; GRO wants them one apart, or all the same.
    let steps = ids
        .windows(2)
        .filter(|pair| pair[1] == pair[0].wrapping_add(1));
    let share = steps.count() * 100 / ids.len();
    assert!(
        share > 80,
        "{share} % of the identifications follow the one before"
    );
    // What was cut packet by packet in user space comes one by one.
    if kernel_may() {
        assert!(
            !merged.frames().is_empty(),
            "the other node's kernel merges"
        );
    }
}

/// The packet is one of the wire: whole headers, good checksums, no longer than the MTU, no fragment.
fn assert_right(packet: &[u8]) {
    let outer = ipv4::Header::parse(packet).expect("a good outer header");
    assert!(checksum::verify(&packet[..outer.header_len]));
    assert!(outer.total_len <= 1500 && outer.total_len == packet.len());
    assert_eq!((outer.ttl, outer.protocol), (64, Protocol::IPIP));
    assert!(outer.dont_fragment && !outer.is_fragment());
    let inside = outer.payload(packet);
    let inner = ipv4::Header::parse(inside).expect("a good inner header");
    assert!(checksum::verify(&inside[..inner.header_len]));
    assert_eq!(inner.total_len, inside.len());
    assert_eq!(inner.protocol, Protocol::TCP);
    assert!(checksum::verify_transport(inside, &inner), "{inner:?}");
}

/// Hears what comes in at one interface until its input ends, then writes the IPIP packets, one a line, in hexadecimal.
const LISTENER: &str = r#"
import select, socket, sys
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
line.bind(("PORT", 3))
SO_RCVBUFFORCE = 33
try:
    line.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
except PermissionError:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
print("ready", flush=True)
packets = []
while True:
    readable, _, _ = select.select([line, sys.stdin], [], [])
    if line in readable:
        frame, (_, _, kind, _, _) = line.recvfrom(1 << 17)
        if kind != socket.PACKET_OUTGOING and frame[12:14] == b"\x08\x00" and frame[23] == 4:
            packets.append(frame[14:])
    elif sys.stdin in readable:
        break
print("\n".join(packet.hex() for packet in packets))
"#;

/// The IPIP packets that come in at one port of the underlay's bridge.
struct Wire(Running);

impl Wire {
    fn tap(lab: &Lab, port: &str) -> Self {
        let script = LISTENER.replace("PORT", port);
        let argv = [netns_common::PYTHON, "-c", &script];
        let mut listener = Running::spawn(lab.sandbox().command(None, &argv));
        let mut ready = [0; 6];
        let output = listener.0.stdout.as_mut().unwrap();
        output.read_exact(&mut ready).unwrap();
        Self(listener)
    }

    fn packets(self) -> Vec<Vec<u8>> {
        let byte =
            |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        let said = self.0.finish();
        let lines = said.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| line.as_bytes().chunks(2).map(byte).collect())
            .collect()
    }
}

/// Sends one UDP datagram from a socket with this priority and mark.
const WISHER: &str = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
SO_MARK = 36
s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 0x76730000)
s.setsockopt(socket.SOL_SOCKET, SO_MARK, 0x76730000)
s.sendto(b"please", ("VICTIM", 7000))
"#;

/// How often a counter of the table `wishes` was reached.
fn counted(lab: &Lab, place: &str) -> u64 {
    let rules = ok(lab, place, "nft list table netdev wishes");
    let (_, count) = rules.split_once("packets ").unwrap();
    count.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_pods_priority_and_mark_end_at_its_veth() {
    let lab = lab_with("encap-wishes", "auto");
    let host_end = cni_shim::host_interface_name("cali", "default", "nginx-manual");
    let count = |place: &str, hook: &str, device: &str, what: &str| {
        let script = format!(
            "nft 'table netdev wishes {{ chain c {{ type filter hook {hook} device {device} priority 0; \
             udp dport 7000 {what} counter; }}; }}'"
        );
        shell(&lab, place, &script);
    };
    let wished = "meta priority 7673:0 meta mark 0x76730000";
    count("nginx-manual", "egress", "eth0", wished);
    count(M03, "ingress", &host_end, "meta priority 0 meta mark 0");
    for to in [NGINX, OUTSIDE] {
        python(&lab, "nginx-manual", &WISHER.replace("VICTIM", to));
    }
    assert_eq!(counted(&lab, "nginx-manual"), 2, "sent with the wish");
    soon("arrived without it", || counted(&lab, M03) == 2);
}

/// Asks bpf(2) how many programs are attached to the egress hook (tcx) of `eth0`.
const PROGRAMS: &str = r#"
import ctypes, errno, platform, socket, struct
SYS_BPF = {"x86_64": 321}.get(platform.machine(), 280)
PROG_QUERY, TCX_EGRESS = 16, 47
# target, type, two kinds of flags, address of the ids, how many fit in there; the rest is 0.
query = struct.pack("=IIIIQI", socket.if_nametoindex("eth0"), TCX_EGRESS, 0, 0, 0, 0)
query = ctypes.create_string_buffer(query, 64)
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(SYS_BPF, PROG_QUERY, query, 64) != 0 and ctypes.get_errno() != errno.ENOENT:
    raise OSError(ctypes.get_errno(), "BPF_PROG_QUERY")
print(struct.unpack_from("=I", query, 24)[0])
"#;

fn programs(lab: &Lab, node: &str) -> u32 {
    python(lab, node, PROGRAMS).trim().parse().unwrap()
}

#[test]
fn a_daemon_that_was_killed_leaves_no_program_behind() {
    let lab = lab_with("encap-killed", "auto");
    arrives(&lab, "nginx-manual", 1_000_000);
    let may = kernel_may();
    if may {
        assert_eq!(programs(&lab, M03), 1);
    }
    lab.stop(M03, Kill::Hard).unwrap();
    if may {
        soon("its program is gone", || programs(&lab, M03) == 0);
    }
    lab.start(M03).unwrap();
    if may {
        assert_eq!(programs(&lab, M03), 1);
    }
    arrives(&lab, "nginx-manual", 1_000_000);
}
