//! Frames nobody should send, made by scapy: each dies of the reason that names it, and nothing else happens.
//!
//! A kernel lets nobody send less than an Ethernet header, nor a super-segment that contradicts itself: what is cut is
//! cut behind the one, and the other is left to the walk's own tests.

#![forbid(unsafe_code)]

mod netns_common;

use lab::Lab;
use netns_common::{
    M02, M02_ADDRESS, M03, MANUAL, NGINX, capture::Capture, drops::Drops, mac, minikube, pings,
    scapy::Scapy, without_ipv6,
};

/// What is sent, the reason that must count each frame, and the frames.
type Case = (&'static str, &'static str, &'static str);

/// A pod that attacks, the victim it attacks, and the node that judges.
struct FromPod {
    lab: Lab,
    scapy: Scapy,
}

impl FromPod {
    /// In expressions, `E` is a link header to the gateway and `P` an IPv4 header to the victim, both as they should be.
    fn start(name: &str) -> Self {
        let lab = Lab::up(minikube(name)).unwrap();
        without_ipv6(&lab);
        let mut scapy = Scapy::start(&lab, "nginx-manual");
        scapy.define("gw", "'ee:ee:ee:ee:ee:ee'");
        scapy.define("own", &format!("'{MANUAL}'"));
        scapy.define("victim", &format!("'{NGINX}'"));
        scapy.define("E", "Ether(src=me, dst=gw)");
        scapy.define("P", "IP(src=own, dst=victim)");
        Self { lab, scapy }
    }

    fn dies(&mut self, cases: &[Case]) {
        dies(&self.lab, M03, &mut self.scapy, cases);
    }
}

/// Each case's frames are counted for its reason and no other; the victim sees none; an ordinary ping still works.
fn dies(lab: &Lab, judge: &str, scapy: &mut Scapy, cases: &[Case]) {
    let at_victim = Capture::start(lab, "nginx", "eth0", "ip");
    for (what, reason, frames) in cases {
        let drops = Drops::of(lab, judge);
        let sent = scapy.send(frames);
        assert!(sent > 0, "{what}");
        drops.rose_by(what, &[(reason, sent)]);
    }
    assert_eq!(at_victim.frames(), [""; 0], "at the victim");
    assert!(pings(lab, "nginx-manual", NGINX), "an ordinary ping");
    assert_eq!(at_victim.frames().len(), 2, "the ping, at the victim");
}

#[test]
fn malformed_frames_of_a_pod_die_where_they_are_read() {
    FromPod::start("hostile-malformed").dies(&[
        ("cut in the IPv4 header", "truncated", "cut(E/P/ICMP(), 14, 34)"),
        ("cut behind it", "ipv4_malformed", "cut(E/P/ICMP(), 34, 42)"),
        ("a short TCP header", "truncated", "[E/IP(src=own, dst=victim, proto=6)/Raw(bytes(TCP())[:n]) for n in range(20)]"),
        ("a short UDP header", "truncated", "[E/IP(src=own, dst=victim, proto=17)/Raw(bytes(UDP())[:n]) for n in range(8)]"),
        ("a short ICMP header", "truncated", "[E/IP(src=own, dst=victim, proto=1)/Raw(bytes(ICMP())[:n]) for n in range(8)]"),
        ("a short SCTP header", "truncated", "[E/IP(src=own, dst=victim, proto=132)/Raw(bytes(SCTP())[:n]) for n in range(12)]"),
        ("options that are not there", "truncated", "[E/IP(src=own, dst=victim, ihl=15)/ICMP()]"),
        ("a wrong header checksum", "ipv4_checksum", "[E/IP(src=own, dst=victim, chksum=c)/ICMP() for c in (0, 1, 0xffff)]"),
        ("another version", "ipv4_malformed", "[E/IP(src=own, dst=victim, version=v)/ICMP() for v in range(16) if v != 4]"),
        ("a header shorter than any", "ipv4_malformed", "[E/IP(src=own, dst=victim, ihl=n)/ICMP() for n in range(1, 5)]"),
        ("a wrong total length", "ipv4_malformed", "[E/IP(src=own, dst=victim, len=n)/ICMP() for n in (1, 19, 29, 65535)]"),
        ("source routes", "source_route", "[E/IP(src=own, dst=victim, options=o)/ICMP() for o in (IPOption_LSRR(routers=['8.8.8.8']), IPOption_SSRR(routers=['8.8.8.8']))]"),
        ("VLAN tags", "vlan", "[E/Dot1Q(vlan=n)/P/ICMP() for n in (0, 1, 4095)] + [E/Dot1AD(vlan=1)/Dot1Q(vlan=2)/P/ICMP()]"),
        ("IPv6", "ipv6", "[E/IPv6(src='fe80::1', dst='fe80::2')/ICMPv6EchoRequest()] * 3"),
        ("other ethertypes", "ethertype", "[Ether(src=me, dst=gw, type=t)/Raw(bytes(50)) for t in (50, 0x88cc, 0x8847, 0x8863, 0xffff)]"),
    ]);
}

#[test]
fn a_pod_cannot_claim_to_be_somebody_else() {
    let mut pod = FromPod::start("hostile-spoofed");
    let answers = Capture::start(
        &pod.lab,
        "nginx-manual",
        "eth0",
        "arp[6:2] = 2 and ether src ee:ee:ee:ee:ee:ee",
    );
    pod.dies(&[
        ("a wrong source address", "spoofed_source", "[E/IP(src=a, dst=victim)/ICMP() for a in (victim, '10.244.151.0', '10.244.151.2', '172.16.30.8', '8.8.8.8', '127.0.0.1', '0.0.0.0', '224.0.0.1')]"),
        ("a wrong source MAC", "spoofed_mac", "[Ether(src=m, dst=gw)/P/ICMP() for m in ('02:00:00:00:00:01', gw, '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff')]"),
        ("somebody else's destination MAC", "other_mac", "[Ether(src=me, dst=m)/P/ICMP() for m in ('02:00:00:00:00:01', me, 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01')]"),
        ("a tunnel of its own", "workload_ipip", "[E/P/IP(src=victim, dst=own)/ICMP(), E/IP(src=own, dst='172.16.30.7')/IP(src=own, dst=victim)/ICMP(), E/IP(src=own, dst=victim, proto=4, frag=5)/Raw(bytes(8))]"),
        ("VXLAN of its own", "workload_vxlan", "[E/IP(src=own, dst=a)/UDP(sport=5, dport=4789)/VXLAN()/Ether()/IP() for a in (victim, '172.16.30.7', '8.8.8.8')]"),
        ("ARP with a wrong sender", "arp_spoofed", "[Ether(src=a, dst=gw)/ARP(hwsrc=b, psrc=c, pdst=victim) for a, b, c in ((me, me, victim), (me, gw, own), (gw, me, own), (me, me, '169.254.1.1'), (me, me, '255.255.255.255'))]"),
        ("ARP for its own address", "arp_probe", "[Ether(src=me, dst='ff:ff:ff:ff:ff:ff')/ARP(hwsrc=me, psrc=a, pdst=own) for a in ('0.0.0.0', own)]"),
        ("ARP replies", "arp_reply", "[Ether(src=me, dst=gw)/ARP(op=2, hwsrc=me, psrc=a, hwdst=gw, pdst=b) for a, b in ((own, '169.254.1.1'), (victim, own), ('169.254.1.1', own))]"),
        ("ARP of other kinds", "arp_malformed", "[E/ARP(op=n, hwsrc=me, psrc=own, pdst=victim) for n in (0, 3, 8, 65535)] + [E/ARP(hwsrc=me, psrc=own, pdst=victim, **o) for o in (dict(hwtype=6), dict(ptype=0x86dd), dict(hwlen=8), dict(plen=16))]"),
        ("ARP cut short", "arp_malformed", "cut(E/ARP(hwsrc=me, psrc=own, pdst=victim), 14, 42)"),
    ]);
    pod.scapy
        .send("[Ether(src=me, dst='ff:ff:ff:ff:ff:ff')/ARP(hwsrc=me, psrc=own, pdst='192.0.2.1')]");
    let (asked, others): (Vec<String>, Vec<String>) = answers
        .frames()
        .into_iter()
        .partition(|frame| frame.contains("Reply 192.0.2.1 is-at ee:ee:ee:ee:ee:ee"));
    assert_eq!(asked.len(), 1, "the answer to an honest question");
    assert!(
        others
            .iter()
            .all(|frame| frame.contains("Reply 169.254.1.1 ")),
        "the pod's own kernel asks for its gateway, nobody else was answered: {others:?}"
    );
}

#[test]
fn packets_of_a_pod_that_fit_no_flow_and_no_route_die_by_name() {
    FromPod::start("hostile-flows").dies(&[
        ("TCP flag scans", "tcp_flags", "[E/P/TCP(dport=80, flags=f) for f in ('', 'F', 'FPU', 'P', 'U', 'SF', 'SR', 'SFR', 'FR', 'FRA', 'FSRPAU')]"),
        ("ICMP errors about nothing", "icmp_unrelated", "[E/P/ICMP(type=t, code=c)/IP(src=victim, dst=own)/UDP(sport=1, dport=2) for t, c in ((3, 0), (3, 1), (3, 4), (4, 0), (5, 1), (11, 0), (12, 0))]"),
        ("ICMP errors that quote too little", "icmp_unrelated", "[E/P/ICMP(type=3, code=1)/Raw(bytes(IP(src=victim, dst=own)/UDP())[:n]) for n in range(24)]"),
        ("ICMP answers nobody asked for", "icmp_unrelated", "[E/P/ICMP(type=t, id=9) for t in (0, 14, 16, 18)] + [E/P/ICMP(type=200)]"),
        ("later fragments without a first", "fragment_without_first", "[E/IP(src=own, dst=victim, id=77, frag=n, flags=f, proto=17)/Raw(bytes(64)) for n in (1, 100, 8000) for f in (0, 'MF')]"),
        ("tiny fragments", "fragment_tiny", "[E/IP(src=own, dst=victim, id=78, flags='MF', proto=6)/Raw(bytes(TCP())[:8]), E/IP(src=own, dst=victim, id=79, frag=1, proto=6)/Raw(bytes(16)), E/IP(src=own, dst=victim, id=80, flags='MF', proto=17)/Raw()]"),
        ("multicast", "multicast", "[Ether(src=me, dst=m)/IP(src=own, dst='224.0.0.251')/UDP(dport=5353) for m in (gw, '01:00:5e:00:00:fb')]"),
        ("broadcast", "broadcast", "[Ether(src=me, dst=m)/IP(src=own, dst='255.255.255.255')/UDP(sport=68, dport=67) for m in (gw, 'ff:ff:ff:ff:ff:ff')]"),
        ("martian destinations", "martian", "[E/IP(src=own, dst=a)/ICMP() for a in ('0.0.0.0', '127.0.0.1', '240.0.0.1')]"),
        ("the gateway itself", "gateway_address", "[E/IP(src=own, dst='169.254.1.1')/ICMP()]"),
        ("nobody in the own block", "no_workload", "[E/IP(src=own, dst='10.244.151.%d' % n)/ICMP(id=n) for n in (2, 33, 63)]"),
        ("a block nobody has", "no_route", "[E/IP(src=own, dst='10.244.99.9')/ICMP(id=n) for n in (1, 2)]"),
        ("no hop left", "ttl_exceeded", "[E/IP(src=own, dst=victim, ttl=n)/ICMP(id=5) for n in (0, 1)]"),
    ]);
}

#[test]
fn offload_headers_that_contradict_the_packet_are_refused() {
    FromPod::start("hostile-offload").dies(&[
        ("a checksum over what is no checksum", "offload_forged", "[forged(E/P/UDP(sport=1, dport=2)/Raw(bytes(64)), flags=1, start=s, offset=o) for s, o in ((26, 0), (30, 0), (24, 6), (34, 0), (34, 16), (38, 6))]"),
    ]);
}

#[test]
fn tunnel_packets_of_the_underlay_are_believed_only_from_nodes_about_their_own_pods() {
    let lab = Lab::up(minikube("hostile-underlay")).unwrap();
    without_ipv6(&lab);
    let mut scapy = Scapy::start(&lab, "gateway");
    scapy.define(
        "eth",
        &format!("Ether(src=me, dst='{}')", mac(&lab, M02, "eth0")),
    );
    scapy.define("node", &format!("'{M02_ADDRESS}'"));
    scapy.define("outer", "eth/IP(src='172.16.30.8', dst=node, proto=4)");
    scapy.define("own", &format!("'{MANUAL}'"));
    scapy.define("victim", &format!("'{NGINX}'"));
    scapy.define("inner", "IP(src=own, dst=victim)/ICMP()");
    scapy.define("quoted", "IP(src=node, dst='172.16.30.8', proto=4)/inner");
    scapy.define("report", "eth/IP(src='172.16.30.1', dst=node)");
    dies(
        &lab,
        M02,
        &mut scapy,
        &[
            (
                "cut in the outer header",
                "truncated",
                "cut(outer/inner, 24, 34)",
            ),
            (
                "cut behind it",
                "ipv4_malformed",
                "cut(outer/inner, 34, 62)",
            ),
            (
                "an inner packet cut at every length",
                "decap_malformed",
                "[outer/Raw(bytes(inner)[:n]) for n in range(28)]",
            ),
            (
                "an inner TCP header cut at every length",
                "truncated",
                "[outer/IP(src=own, dst=victim, proto=6)/Raw(bytes(TCP())[:n]) for n in range(20)]",
            ),
            (
                "an inner ICMP header cut at every length",
                "truncated",
                "[outer/IP(src=own, dst=victim, proto=1)/Raw(bytes(ICMP())[:n]) for n in range(8)]",
            ),
            (
                "a wrong outer checksum",
                "ipv4_checksum",
                "[eth/IP(src='172.16.30.8', dst=node, chksum=c)/inner for c in (0, 1, 0xffff)]",
            ),
            (
                "a wrong inner checksum",
                "decap_malformed",
                "[outer/IP(src=own, dst=victim, chksum=c)/ICMP() for c in (0, 1, 0xffff)]",
            ),
            (
                "an inner packet of another version",
                "decap_malformed",
                "[outer/IP(src=own, dst=victim, version=v)/ICMP() for v in (0, 5, 6)]",
            ),
            (
                "an outer source that is no node",
                "decap_unknown_node",
                "[eth/IP(src=a, dst=node)/inner for a in ('172.16.30.1', '172.16.30.9', '8.8.8.8', node, own)]",
            ),
            (
                "an outer destination that is another",
                "decap_not_for_us",
                "[eth/IP(src='172.16.30.8', dst=a)/inner for a in ('172.16.30.99', '203.0.113.1')]",
            ),
            (
                "an inner source that is not the node's",
                "decap_source",
                "[outer/IP(src=a, dst=victim)/ICMP() for a in ('10.244.120.64', '10.244.120.65', '10.244.205.194', '10.244.205.192', victim, '10.244.99.1', '172.16.30.8', node, '8.8.8.8', '169.254.1.1', '127.0.0.1')]",
            ),
            (
                "IPIP in IPIP",
                "decap_nested",
                "[outer/IP(src=own, dst=victim)/inner, outer/IP(src='172.16.30.8', dst=node)/inner]",
            ),
            (
                "source routes, outside and inside",
                "source_route",
                "[eth/IP(src='172.16.30.8', dst=node, options=IPOption_LSRR(routers=['8.8.8.8']))/inner, outer/IP(src=own, dst=victim, options=IPOption_SSRR(routers=['8.8.8.8']))/ICMP()]",
            ),
            (
                "congestion on a packet without ECN",
                "decap_ecn",
                "[eth/IP(src='172.16.30.8', dst=node, tos=3)/inner]",
            ),
            (
                "inner multicast",
                "multicast",
                "[outer/IP(src=own, dst='224.0.0.251')/UDP()]",
            ),
            (
                "inner broadcast",
                "broadcast",
                "[outer/IP(src=own, dst='255.255.255.255')/UDP()]",
            ),
            (
                "inner martians",
                "martian",
                "[outer/IP(src=own, dst=a)/ICMP() for a in ('127.0.0.1', '0.0.0.0', '240.0.0.1')]",
            ),
            (
                "inner TCP flag scans",
                "tcp_flags",
                "[outer/IP(src=own, dst=victim)/TCP(flags=f) for f in ('', 'FPU', 'SF', 'SR')]",
            ),
            (
                "a pod that is not there",
                "no_workload",
                "[outer/IP(src=own, dst='10.244.205.200')/ICMP()]",
            ),
            (
                "reports about packets never sent",
                "path_mtu_forged",
                "[report/ICMP(type=3, code=4, nexthopmtu=1400)/IP(src=a, dst=b, proto=4)/inner for a, b in ((node, '172.16.30.99'), ('172.16.30.6', '172.16.30.8'))]",
            ),
            (
                "reports of an absurd MTU",
                "path_mtu_forged",
                "[report/ICMP(type=3, code=4, nexthopmtu=n)/quoted for n in (1, 68, 575)]",
            ),
            (
                "reports with a wrong checksum",
                "path_mtu_forged",
                "[report/ICMP(type=3, code=4, nexthopmtu=1400, chksum=1)/quoted]",
            ),
            (
                "reports that quote too little",
                "path_mtu_forged",
                "[report/ICMP(type=3, code=4, nexthopmtu=1400)/Raw(bytes(quoted)[:n]) for n in range(10, 20)]",
            ),
        ],
    );
}
