//! Receive coalescing: segments from another node reach a pod in few large frames, unchanged and in order, and nothing
//! that is damaged is joined or mended.

#![forbid(unsafe_code)]

mod netns_common;

use lab::Lab;
use netns_common::{
    M02, M02_ADDRESS, M03, M03_ADDRESS, MANUAL, NGINX, Running, drops::Drops, mac, minikube, ok,
    scapy::Scapy, shell, show, soon, transfer::arrives, without_ipv6,
};

/// Payload bytes of a segment made here.
const SIZE: usize = 1000;

/// A cluster whose underlay is a plain wire: what leaves a node is packets of one MTU with complete checksums, and no
/// kernel joins them.
fn on_a_wire(name: &str) -> Lab {
    let lab = Lab::up(minikube(name)).unwrap();
    for node in [M02, M03] {
        ok(&lab, node, "ethtool -K eth0 tx off tso off gso off gro off");
    }
    without_ipv6(&lab);
    lab
}

/// Columns of the port of pod `nginx`, added up.
fn at_nginx(lab: &Lab, columns: &[&str]) -> u64 {
    let rows = show(lab, M02, "ports");
    let row = rows.iter().find(|row| row["owner"] == "default/nginx");
    let row = row.expect("the port of nginx");
    columns
        .iter()
        .map(|column| row[*column].as_u64().unwrap())
        .sum()
}

/// Frames that the pod's kernel has received.
fn received(lab: &Lab) -> u64 {
    let count = shell(
        lab,
        "nginx",
        "cat /sys/class/net/eth0/statistics/rx_packets",
    );
    count.trim().parse().unwrap()
}

#[test]
fn a_transfer_reaches_the_pod_in_few_large_frames_and_unchanged() {
    let lab = on_a_wire("coalesce-bulk");
    let segments = ["tx_frames", "tx_coalesced"];
    let before = (received(&lab), at_nginx(&lab, &segments));
    arrives(&lab, "nginx-manual", 30_000_000);
    let frames = received(&lab) - before.0;
    let segments = at_nginx(&lab, &segments) - before.1;
    assert!(segments >= 30_000_000 / 1428, "{segments} segments");
    assert!(
        frames * 3 < segments * 2,
        "{segments} segments in {frames} frames"
    );
}

/// What pod `nginx` sees of segments to its port 7000.
struct Watch(Running);

/// One frame as the pod sees it.
#[derive(Debug, PartialEq)]
struct Seen {
    src_port: u16,
    seq: u32,
    payload: Vec<u8>,
}

/// Writes a line for each frame: source port, sequence number, payload. Ends after so much payload, or 10 s.
const WATCH: &str = r#"
import socket, struct, time
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
line.bind(("eth0", 0x0800))
left, end = EXPECTED, time.monotonic() + 10
while left > 0 and time.monotonic() < end:
    line.settimeout(max(0.01, end - time.monotonic()))
    try:
        frame = line.recv(1 << 17)
    except TimeoutError:
        break
    ip = frame[14:]
    tcp = ip[20:struct.unpack("!H", ip[2:4])[0]]
    if ip[9] != 6 or tcp[2:4] != struct.pack("!H", 7000):
        continue
    payload = tcp[(tcp[12] >> 4) * 4:]
    print(struct.unpack("!H", tcp[:2])[0], struct.unpack("!I", tcp[4:8])[0], payload.hex())
    left -= len(payload)
"#;

impl Watch {
    fn start(lab: &Lab, expected: usize) -> Self {
        // Nobody listens, and resets would end the flows under test.
        shell(
            lab,
            "nginx",
            "nft 'table ip t { chain o { type filter hook output priority 0; tcp flags & rst == rst drop; }; }'",
        );
        let script = WATCH.replace("EXPECTED", &expected.to_string());
        let watch = Running::python(lab, "nginx", &script);
        soon("the pod's line is watched", || {
            shell(lab, "nginx", "cat /proc/net/packet").lines().count() > 1
        });
        Self(watch)
    }

    fn finish(self) -> Vec<Seen> {
        let said = self.0.finish();
        let seen = |line: &str| {
            let mut words = line.split(' ');
            Some(Seen {
                src_port: words.next()?.parse().ok()?,
                seq: words.next()?.parse().ok()?,
                payload: unhex(words.next()?),
            })
        };
        let seen = |line| seen(line).unwrap_or_else(|| panic!("{said}"));
        said.lines().map(seen).collect()
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// Scapy at node m03. `segment(port, n)` is segment n of a connection from that port of `nginx-manual`, in its tunnel.
fn sender(lab: &Lab) -> Scapy {
    let mut scapy = Scapy::start(lab, M03);
    let tunnel = format!(
        "Ether(src=me, dst='{}')/IP(src='{M03_ADDRESS}', dst='{M02_ADDRESS}', proto=4, flags='DF')",
        mac(lab, M02, "eth0")
    );
    let segment = format!(
        "lambda port, n: tunnel/IP(src='{MANUAL}', dst='{NGINX}', id=n, flags='DF')\
         /TCP(sport=port, dport=7000, seq=1 + n * {SIZE}, ack=1, flags='A', window=500)/Raw(bytes([n]) * {SIZE})"
    );
    scapy.define("tunnel", &tunnel);
    scapy.define("segment", &segment);
    scapy
}

/// Has the frames sent while the daemon of m02 stands still, so that they come to it at once.
fn at_once(lab: &Lab, scapy: &mut Scapy, frames: &str) {
    let pid = lab.daemon(M02).unwrap().pid().unwrap().to_string();
    let signal = |name| {
        let kill = ["kill", "-s", name, &pid];
        lab.sandbox()
            .run("signalling a daemon", None, &kill)
            .unwrap();
    };
    signal("STOP");
    scapy.send(frames);
    signal("CONT");
}

/// The payload of one connection, in the order in which it came.
fn stream(seen: &[Seen], port: u16) -> Vec<u8> {
    let of_port = seen.iter().filter(|seen| seen.src_port == port);
    of_port.flat_map(|seen| seen.payload.clone()).collect()
}

/// The payload as it was sent.
fn sent(segments: u8) -> Vec<u8> {
    (0..segments).flat_map(|n| [n; SIZE]).collect()
}

#[test]
fn two_connections_that_take_turns_arrive_joined_and_each_in_its_order() {
    let lab = on_a_wire("coalesce-order");
    let mut scapy = sender(&lab);
    let watch = Watch::start(&lab, 2 * 60 * SIZE);
    at_once(
        &lab,
        &mut scapy,
        "[segment(port, n) for n in range(60) for port in (40000, 40001)]",
    );
    let seen = watch.finish();
    for port in [40_000, 40_001] {
        assert!(stream(&seen, port) == sent(60), "of {port}");
    }
    assert!(seen.len() <= 60, "120 segments in {} frames", seen.len());
    assert_eq!(at_nginx(&lab, &["tx_coalesced"]), (120 - seen.len()) as u64);
}

#[test]
fn a_damaged_segment_is_neither_joined_nor_mended() {
    let lab = on_a_wire("coalesce-damaged");
    let drops = Drops::of(&lab, M02);
    let mut scapy = sender(&lab);
    let watch = Watch::start(&lab, 40 * SIZE);
    // A bit of the payload of one in ten is turned after its checksum was made.
    scapy.define(
        "damaged",
        "lambda frame: bytes(frame)[:500] + bytes([bytes(frame)[500] ^ 1]) + bytes(frame)[501:]",
    );
    at_once(
        &lab,
        &mut scapy,
        "[damaged(segment(40000, n)) if n % 10 == 7 else segment(40000, n) for n in range(40)]",
    );
    let seen = watch.finish();
    assert!(seen.len() <= 24, "40 segments in {} frames", seen.len());
    for n in [7, 17, 27, 37_u8] {
        let alone = seen.iter().find(|seen| seen.seq == 1 + u32::from(n) * 1000);
        let payload = &alone.expect("a frame of its own").payload;
        assert_eq!(payload.len(), SIZE);
        // Behind link header, two IPv4 headers and the TCP header.
        assert_eq!(payload[500 - 74], n ^ 1, "as it came");
    }
    soon("the pod's kernel has counted them", || {
        let counted = ok(&lab, "nginx", "nstat -asz TcpInCsumErrors");
        counted.split_whitespace().nth(2) == Some("4")
    });
    drops.rose_by("damaged segments are the receiver's business", &[]);
}

#[test]
fn segments_to_the_host_are_joined_too() {
    let lab = on_a_wire("coalesce-host");
    let before = show(&lab, M02, "ports");
    let server = Running::start(&lab, M02, "iperf3 -s -1");
    netns_common::listens(&lab, M02, 5201);
    let line = format!(
        "iperf3 -n 20M --connect-timeout 3000 -c {}",
        netns_common::M02_TUNNEL
    );
    ok(&lab, "nginx-manual", &line);
    drop(server);
    let after = show(&lab, M02, "ports");
    let host = |rows: &[serde_json::Map<String, serde_json::Value>]| {
        let row = rows.iter().find(|row| row["kind"] == "host").unwrap();
        row["tx_coalesced"].as_u64().unwrap()
    };
    assert!(host(&after) > host(&before) + 1000);
}
