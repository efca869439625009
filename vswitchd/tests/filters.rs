//! Filters: our interpreter against libpcap's own, and libpcap kept out of the daemon.

#![forbid(unsafe_code)]

use std::process::Command;

use packet::bpf::{Instruction, Pieces, Program};
use pcap::{Capture, Linktype};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

/// Every kind of expression: addresses, ports, protocols, arithmetic, lengths, fragments, VLANs, MPLS, IPv6.
const EXPRESSIONS: [&str; 40] = [
    "ip",
    "arp",
    "ip6",
    "tcp",
    "udp",
    "icmp",
    "sctp",
    "ip proto 4",
    "host 10.0.0.1",
    "src host 10.0.0.1",
    "dst net 10.0.0.0/8",
    "net 10.0.0.0 mask 255.255.0.0",
    "not host 10.0.0.1",
    "port 80",
    "src port 80 or dst port 443",
    "portrange 80-443",
    "tcp port 80 and host 10.0.0.1",
    "udp dst port 53",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[tcpflags] == tcp-syn",
    "tcp[13] = 18 and tcp[14:2] > 1000",
    "icmp[icmptype] = icmp-echo",
    "ip[0] & 0xf != 5",
    "ip[6:2] & 0x1fff = 0",
    "ip[2:2] - ((ip[0] & 0xf) << 2) - ((tcp[12] & 0xf0) >> 2) > 0",
    "ip[8] * 2 > 100",
    "ip[4:2] % (ip[6:2] & 7) = 1",
    "ip[4:2] / ip[9] = 3",
    "(ip[4:2] ^ 0x5555) & 1 = 1",
    "ip[len - 20] = 0",
    "ip[ip[0]] = 1",
    "ether[6] & 1 = 1",
    "ether host 02:00:00:00:00:01",
    "ether broadcast or ether multicast",
    "greater 60",
    "less 60",
    "len > 40 and len <= 80",
    "vlan and ip",
    "mpls",
    "ip6 host fe80::1 or (ip6 and tcp port 80)",
];

/// The instructions, and libpcap's program.
fn compile(expression: &str) -> (Program, pcap::BpfProgram) {
    let dead = Capture::dead(Linktype::ETHERNET).unwrap();
    let theirs = dead.compile(expression, true).unwrap();
    let numbers = |text: String| -> Vec<u32> {
        text.split(' ')
            .map(|number| number.parse().unwrap())
            .collect()
    };
    let instructions: Vec<Instruction> = theirs
        .get_instructions()
        .iter()
        .map(|instruction| match numbers(instruction.to_string())[..] {
            [code, jump_true, jump_false, k] => Instruction {
                code: code.try_into().unwrap(),
                jump_true: jump_true.try_into().unwrap(),
                jump_false: jump_false.try_into().unwrap(),
                k,
            },
            _ => panic!("{instruction}"),
        })
        .collect();
    let ours = Program::new(&instructions).unwrap_or_else(|error| panic!("{expression}: {error}"));
    (ours, theirs)
}

/// Bytes that mean something at their place, often, and anything at all, sometimes.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let noisy = || prop_oneof![3 => prop::sample::select(&[0_u8, 0, 1, 2, 8, 20, 255][..]), 2 => any::<u8>()];
    let few = |bytes: &'static [u8]| prop::sample::select(bytes);
    let ethertype = prop::sample::select(vec![
        [0x08, 0x00],
        [0x08, 0x00],
        [0x86, 0xdd],
        [0x08, 0x06],
        [0x86, 0xdd],
        [0x81, 0x00],
        [0x88, 0x47],
    ]);
    let address = prop::sample::select(vec![[10, 0, 0, 1], [10, 0, 9, 9], [192, 0, 2, 1]]);
    let port = prop::sample::select(vec![[0, 80], [1, 187], [0, 53], [0, 22]]);
    let header = (
        (
            ethertype,
            few(&[0x45, 0x46, 0x4f, 0x60]),
            few(&[6, 17, 1, 4, 132, 0]),
        ),
        (address.clone(), address, port.clone(), port),
        (
            few(&[0, 0, 0x20, 0x40]),
            few(&[0, 0, 7]),
            few(&[2, 0x12, 0x10, 1]),
        ),
    );
    let noise = prop::collection::vec(noisy(), 90);
    let len = prop_oneof![3 => 0..90_usize, 1 => Just(90)];
    let mac = prop::sample::select(vec![[2, 0, 0, 0, 0, 1], [0xff; 6], [2, 0, 0, 0, 0, 9]]);
    (header, noise, mac, len).prop_map(|(header, mut bytes, mac, len)| {
        let ((ethertype, version, protocol), (src, dst, src_port, dst_port), (f0, f1, flags)) =
            header;
        bytes[..6].copy_from_slice(&mac);
        bytes[12..14].copy_from_slice(&ethertype);
        (bytes[14], bytes[23]) = (version, protocol);
        (bytes[20], bytes[21]) = (f0, f1);
        bytes[26..30].copy_from_slice(&src);
        bytes[30..34].copy_from_slice(&dst);
        let l4 = match version {
            0x60 => {
                bytes[20] = protocol;
                14 + 40
            }
            _ => 14 + usize::from(version & 0x0f) * 4,
        };
        if matches!(protocol, 6 | 17 | 132) && l4 + 14 < bytes.len() {
            bytes[l4..l4 + 2].copy_from_slice(&src_port);
            bytes[l4 + 2..l4 + 4].copy_from_slice(&dst_port);
            bytes[l4 + 13] = flags;
        }
        bytes.truncate(len.max(1));
        bytes
    })
}

/// Runs every expression over the frames of `runner`; how often each said yes, and no.
fn agree(mut runner: TestRunner) -> Vec<(usize, usize)> {
    let programs: Vec<_> = EXPRESSIONS
        .iter()
        .map(|text| (text, compile(text)))
        .collect();
    let counts = std::cell::RefCell::new(vec![(0, 0); programs.len()]);
    runner
        .run(&(frame(), 0..20_usize), |(frame, cut)| {
            let (link, packet) = frame.split_at(cut.min(frame.len()));
            for (at, (text, (ours, theirs))) in programs.iter().enumerate() {
                let yes = theirs.filter(&frame);
                let pieces = Pieces { link, packet };
                prop_assert_eq!(ours.matches(pieces, frame.len() as u32), yes, "{}", text);
                let mut counts = counts.borrow_mut();
                counts[at].0 += usize::from(yes);
                counts[at].1 += usize::from(!yes);
            }
            Ok(())
        })
        .unwrap();
    counts.into_inner()
}

#[test]
fn our_interpreter_and_libpcaps_agree_on_every_frame() {
    agree(TestRunner::new(ProptestConfig::with_cases(4000)));
}

/// Agreeing on "no" alone would prove little. The frames are the same at every run: with others,
/// a rare expression may meet no frame that it likes.
#[test]
fn the_frames_make_every_expression_say_yes_and_no() {
    let counts = agree(TestRunner::new_with_rng(
        ProptestConfig::with_cases(4000),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    ));
    for (text, (yes, no)) in EXPRESSIONS.iter().zip(counts) {
        assert!(no > 0 || yes > 3000, "{text} matches everything");
        assert!(yes > 0, "{text} matches nothing");
    }
}

#[test]
fn a_loop_is_refused_by_name() {
    let dead = Capture::dead(Linktype::ETHERNET).unwrap();
    let program = dead.compile("ip protochain 6", true).unwrap();
    let instructions = program.get_instructions().iter().map(|instruction| {
        let text = instruction.to_string();
        let numbers: Vec<u32> = text.split(' ').map(|n| n.parse().unwrap()).collect();
        Instruction {
            code: numbers[0] as u16,
            jump_true: numbers[1] as u8,
            jump_false: numbers[2] as u8,
            k: numbers[3],
        }
    });
    let error = Program::new(&instructions.collect::<Vec<_>>()).unwrap_err();
    assert!(error.to_string().contains("protochain"), "{error}");
}

#[test]
fn the_daemon_does_not_link_libpcap_and_the_cli_does() {
    let linked = |program: &str| {
        let output = Command::new("ldd").arg(program).output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("libpcap")
    };
    assert!(linked(env!("CARGO_BIN_EXE_vswitchctl")));
    assert!(!linked(env!("CARGO_BIN_EXE_vswitchd")));
}
