//! virtio-net headers, and the lies a sender may put in them.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::transport::TcpFlags;
use crate::{Frame, build};

const A: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 66);
const B: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);

fn header(flags: u8, gso_type: u8, words: [u16; 4]) -> [u8; VIRTIO_LEN] {
    let mut bytes = [flags, gso_type, 0, 0, 0, 0, 0, 0, 0, 0];
    for (at, word) in words.iter().enumerate() {
        bytes[2 + 2 * at..4 + 2 * at].copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn check(frame: &Frame) -> Result<(), Error> {
    frame.check_offload(&ipv4::Header::parse(frame.packet()).unwrap())
}

#[test]
fn offsets_are_counted_from_the_packet() {
    let offload = Offload::from_virtio(&header(1, 1, [66, 1448, 34, 16]), 14).unwrap();
    assert_eq!(
        offload.checksum,
        Checksum::Partial {
            start: 20,
            offset: 16
        }
    );
    assert_eq!(
        offload.gso,
        Some(Gso {
            kind: GsoKind::Tcp4,
            size: 1448,
            ecn: false
        })
    );
    let tun = Offload::from_virtio(&header(1, 0x85, [0, 1200, 20, 6]), 0).unwrap();
    assert_eq!(
        tun.gso,
        Some(Gso {
            kind: GsoKind::UdpL4,
            size: 1200,
            ecn: true
        })
    );
}

#[test]
fn plain_and_verified_packets_are_told_apart() {
    assert_eq!(
        Offload::from_virtio(&header(0, 0, [0; 4]), 14),
        Ok(Offload::default())
    );
    let valid = Offload {
        checksum: Checksum::Valid,
        gso: None,
    };
    assert_eq!(Offload::from_virtio(&header(2, 0, [0; 4]), 14), Ok(valid));
}

#[test]
fn nonsense_is_refused() {
    let refused =
        |flags, kind, words| Offload::from_virtio(&header(flags, kind, words), 14).unwrap_err();
    assert_eq!(
        refused(1, 0, [0, 0, 13, 6]),
        Error::ChecksumStart {
            start: 13,
            link_len: 14
        }
    );
    assert_eq!(refused(1, 1, [66, 0, 34, 16]), Error::GsoSize { kind: 1 });
}

#[test]
fn what_a_kernel_sends_passes_the_check() {
    let tcp = build::tcp(A, B, 1, 2, TcpFlags::ACK, 0, &[0; 5000]);
    let udp = build::udp(A, B, 1, 2, &[0; 5000]);
    let sctp = build::sctp(A, B, 1, 2, 3, (0, b"data"));
    for packet in [&tcp, &udp, &sctp] {
        assert_eq!(check(&build::with_partial_checksum(packet)), Ok(()));
        assert_eq!(check(&Frame::from_packet(packet)), Ok(()));
    }
    assert_eq!(check(&build::super_segment(&tcp, 1000)), Ok(()));
    assert_eq!(check(&build::super_segment(&udp, 1000)), Ok(()));
}

#[test]
fn a_checksum_over_anything_the_switch_judged_is_refused() {
    let mut frame =
        build::with_partial_checksum(&build::tcp(A, B, 1, 2, TcpFlags::ACK, 0, &[0; 100]));
    for field in 0..frame.packet_len() as u16 + 4 {
        for start in [0, 10, 20, 40, 60] {
            let Some(offset) = field.checked_sub(start) else {
                continue;
            };
            frame.offload.checksum = Checksum::Partial { start, offset };
            let own = (start, offset) == (20, 16);
            let tunnel_of_the_pod = start >= 40 && usize::from(field) + 2 <= frame.packet_len();
            assert_eq!(
                check(&frame).is_ok(),
                own || tunnel_of_the_pod,
                "start {start} offset {offset}"
            );
        }
    }
}

#[test]
fn a_checksum_beyond_a_truncated_payload_is_refused() {
    let mut frame = Frame::from_packet(&build::ipv4(A, B, Protocol::TCP, &[0; 10]));
    frame.offload.checksum = Checksum::Partial {
        start: 20,
        offset: 16,
    };
    assert!(matches!(check(&frame), Err(Error::ChecksumField { .. })));
}

#[test]
fn gso_must_fit_the_packet() {
    let mut frame = build::super_segment(&build::udp(A, B, 1, 2, &[0; 5000]), 1000);
    for kind in [GsoKind::Tcp4, GsoKind::Other(3), GsoKind::Other(4)] {
        frame.offload.gso = Some(Gso {
            kind,
            size: 1000,
            ecn: false,
        });
        assert_eq!(
            check(&frame),
            Err(Error::GsoKind {
                kind,
                protocol: Protocol::UDP
            })
        );
    }
    let fragment = build::with_header(frame.packet(), |h| h.more_fragments = true);
    frame.packet_mut().copy_from_slice(&fragment);
    frame.offload.gso = Some(Gso {
        kind: GsoKind::UdpL4,
        size: 1000,
        ecn: false,
    });
    assert!(matches!(check(&frame), Err(Error::GsoKind { .. })));
}

proptest! {
    #[test]
    fn to_virtio_then_from_virtio_is_identity(
        kind in prop::sample::select(vec![None, Some(1_u8), Some(5), Some(3), Some(4)]), size in 1..=u16::MAX, ecn: bool,
        checksum in 0..3, start in 0..65_000_u16, offset: u16, link in prop::sample::select(vec![0_usize, 14]),
    ) {
        let checksum = match checksum {
            0 => Checksum::None,
            1 => Checksum::Valid,
            _ => Checksum::Partial { start, offset },
        };
        let gso = kind.map(|kind| match kind {
            1 => GsoKind::Tcp4,
            5 => GsoKind::UdpL4,
            other => GsoKind::Other(other),
        }).map(|kind| Gso { kind, size, ecn });
        let offload = Offload { checksum, gso };
        prop_assert_eq!(Offload::from_virtio(&offload.to_virtio(link, 66), link), Ok(offload));
    }
}
