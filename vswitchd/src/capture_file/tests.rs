//! Captures read and written, with Wireshark's own tools as the judge.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use packet::transport::TcpFlags;
use packet::{MacAddr, build};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const A: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const B: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);

fn udp(len: usize) -> Vec<u8> {
    build::udp(A, B, 4000, 53, &vec![7; len])
}

fn ethernet(packet: &[u8]) -> Frame {
    let [a, b] = [1, 2].map(|last| MacAddr([2, 0, 0, 0, 0, last]));
    Frame::from_ethernet(&build::ethernet(a, b, packet))
}

fn at(nanos: u64) -> Duration {
    Duration::from_secs(1_700_000_000) + Duration::from_nanos(nanos)
}

/// A folder with a file of two Ethernet frames and a raw packet.
fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pcapng");
    let mut writer = Writer::create(&path).unwrap();
    writer
        .write(at(1), "default/nginx:rx", &ethernet(&udp(10)), None)
        .unwrap();
    writer
        .write(
            at(123_456_789),
            "host:tx",
            &Frame::from_packet(&udp(20)),
            None,
        )
        .unwrap();
    let comment = Some("policy_ingress");
    writer
        .write(
            at(999_999_999),
            "default/nginx:rx",
            &ethernet(&udp(30)),
            comment,
        )
        .unwrap();
    drop(writer);
    (folder, path)
}

fn frames(path: &Path) -> Vec<Captured> {
    Reader::open(path).unwrap().map(Result::unwrap).collect()
}

/// What a tool of Wireshark's says.
fn tool(line: &[&str]) -> String {
    let output = Command::new(line[0]).args(&line[1..]).output();
    let output =
        output.unwrap_or_else(|_| panic!("{} is missing: apt-get install tshark", line[0]));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{line:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn what_is_written_is_read_again() {
    let (_folder, path) = written();
    let frames = frames(&path);
    let [first, raw, last] = &frames[..] else {
        panic!("{frames:?}");
    };
    assert_eq!((first.at, last.at), (at(1), at(999_999_999)));
    assert_eq!(first.interface.as_deref(), Some("default/nginx:rx"));
    assert_eq!(first.frame(true), ethernet(&udp(10)));
    assert!(raw.is_packet && raw.is_ipv4() && !first.is_packet);
    assert_eq!((raw.number, &raw.bytes), (2, &udp(20)));
    assert_eq!(raw.interface.as_deref(), Some("host:tx"));
}

#[test]
fn tshark_reads_names_nanoseconds_and_comments() {
    let (_folder, path) = written();
    let fields = [
        "frame.interface_name",
        "frame.time_epoch",
        "frame.comment",
        "udp.length",
    ];
    let path = path.to_str().unwrap();
    let mut line = vec![
        "tshark",
        "-n",
        "-r",
        path,
        "-T",
        "fields",
        "-E",
        "separator=|",
    ];
    fields.iter().for_each(|field| line.extend(["-e", field]));
    let lines = tool(&line);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].starts_with("default/nginx:rx|1700000000.000000001||18"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("host:tx|1700000000.123456789||28"),
        "{lines:?}"
    );
    assert!(
        lines[2].contains(".999999999|policy_ingress|38"),
        "{lines:?}"
    );
}

#[test]
fn the_formats_that_editcap_makes_of_it_are_read_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pcapng");
    let mut writer = Writer::create(&path).unwrap();
    for (nanos, len) in [(1000, 10), (2_000_000, 20)] {
        writer
            .write(at(nanos), "eth0", &ethernet(&udp(len)), None)
            .unwrap();
    }
    drop(writer);
    let bytes = |path: &Path| -> Vec<_> {
        let frames = frames(path);
        frames
            .into_iter()
            .map(|frame| (frame.at, frame.bytes))
            .collect()
    };
    for format in ["pcap", "nsecpcap", "pcapng"] {
        let other = folder.path().join(format);
        tool(&[
            "editcap",
            "-F",
            format,
            path.to_str().unwrap(),
            other.to_str().unwrap(),
        ]);
        assert_eq!(bytes(&other), bytes(&path), "{format}");
    }
    let short = folder.path().join("short");
    tool(&[
        "editcap",
        "-F",
        "pcap",
        "-s",
        "50",
        path.to_str().unwrap(),
        short.to_str().unwrap(),
    ]);
    let cut = &frames(&short)[1];
    assert_eq!(cut.bytes.len(), 14 + 28 + 20, "its true length");
    assert_eq!(
        cut.bytes[50..],
        [0; 12],
        "what the snap length took is zeros"
    );
}

#[test]
fn a_tcp_packet_beyond_any_mtu_is_a_super_segment() {
    let captured = |packet: Vec<u8>| Captured {
        number: 1,
        at: at(0),
        interface: None,
        is_packet: true,
        bytes: packet,
    };
    let large = build::tcp(A, B, 1, 80, TcpFlags::ACK, 1, &[0; 20_000]);
    let frame = captured(large.clone()).frame(false);
    assert_eq!(frame.offload.gso.map(|gso| gso.size), Some(1440));
    assert_eq!(frame.wire_packet_len(), 1480);
    let header = ipv4::Header::parse(&large).unwrap();
    assert_eq!(frame.check_offload(&header), Ok(()));
    let (_, offload) = captured(large).as_taken();
    assert!(offload.is_some());
    for packet in [
        udp(3000),
        build::tcp(A, B, 1, 80, TcpFlags::ACK, 1, &[0; 1440]),
    ] {
        assert_eq!(captured(packet).frame(false).offload, Offload::default());
    }
}

/// A pcap file of one record with so many bytes, all zeros.
fn pcap(link: u32, bytes: usize, claimed: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pcap");
    let snap_len = 262_144;
    let header = [0xa1b2_c3d4, 0x0004_0002, 0, 0, snap_len, link];
    let record = [1, 0, bytes as u32, claimed];
    let words = header
        .iter()
        .chain(&record)
        .flat_map(|word| word.to_le_bytes());
    let file: Vec<u8> = words.chain(std::iter::repeat_n(0, bytes)).collect();
    std::fs::write(&path, file).unwrap();
    (folder, path)
}

#[test]
fn a_record_longer_than_any_frame_loses_its_end() {
    let [ethernet, raw, sll, sll2] = [1, 101, 113, 276];
    let most = packet::frame::MAX_PACKET;
    for (link, bytes, claimed, found) in [
        (ethernet, 65_550, 65_550, most + LINK),
        (ethernet, 200_014, 200_014, most + LINK),
        (raw, 65_536, 65_536, most),
        (sll, 65_551, 65_551, most),
        (sll2, 65_555, 65_555, most),
        (sll2, 200_020, 200_020, most),
        // The snap length took the end.
        (sll2, 120, 1520, 1500),
        (sll2, 120, 200_020, most),
        (ethernet, 100, 262_144, most + LINK),
    ] {
        let (_folder, path) = pcap(link, bytes, claimed);
        let frames = frames(&path);
        let lens: Vec<usize> = frames.iter().map(|frame| frame.bytes.len()).collect();
        assert_eq!(lens, [found], "{link}: {bytes} of {claimed}");
        let _ = (frames[0].frame(true), frames[0].as_taken());
    }
}

/// As `tcpdump -s 96` writes it.
#[test]
fn packets_longer_than_the_files_snap_length_are_read() {
    let (_folder, path) = pcap(1, 96, 1514);
    let mut file = std::fs::read(&path).unwrap();
    file[16..20].copy_from_slice(&96u32.to_le_bytes());
    std::fs::write(&path, file).unwrap();
    let frames = frames(&path);
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].at.as_secs(), frames[0].bytes.len()), (1, 1514));
}

#[test]
fn what_is_no_capture_says_so_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "these are no frames at all, but words").unwrap();
    let error = Reader::open(&path).err().unwrap().to_string();
    assert!(
        error.contains("notes.txt") && error.contains("expected pcap or pcapng"),
        "{error}"
    );
    let (_folder, path) = written();
    let error = nth(&path, 9).unwrap_err().to_string();
    assert!(
        error.contains("expected a packet 9, found 3 packets"),
        "{error}"
    );
    assert_eq!(nth(&path, 2).unwrap().number, 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_broken_capture_is_an_error_at_worst(
        edits in vec((0usize..900, any::<u8>()), 0..12), len in 0usize..900,
    ) {
        let (folder, path) = written();
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, value) in edits {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(len);
        let broken = folder.path().join("broken");
        std::fs::write(&broken, bytes).unwrap();
        if let Ok(reader) = Reader::open(&broken) {
            for captured in reader.take(20).map_while(Result::ok) {
                prop_assert!(captured.bytes.len() <= LINK + packet::frame::MAX_PACKET);
                let _ = captured.frame(true);
                let _ = captured.frame(false);
            }
        }
    }
}
