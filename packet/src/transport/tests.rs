//! L4 headers on literal bytes and at every truncation.

use proptest::prelude::*;

use super::*;

#[test]
fn ports_are_read_of_protocols_that_have_them() {
    let payload = [0x1f, 0x90, 0x00, 0x50, 0];
    for protocol in [Protocol::TCP, Protocol::UDP, Protocol::SCTP] {
        assert_eq!(
            ports(protocol, &payload),
            Some(Ports { src: 8080, dst: 80 })
        );
        assert_eq!(ports(protocol, &payload[..3]), None);
    }
    assert_eq!(ports(Protocol::ICMP, &payload), None);
}

#[test]
fn a_syn_with_options_is_read() {
    let mut bytes = vec![
        0x9c, 0x40, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x60, 0x02, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5,
        0xb4,
    ];
    let header = TcpHeader::parse(&bytes).unwrap();
    assert_eq!(
        (header.src_port, header.dst_port, header.seq, header.ack),
        (40_000, 80, 7, 9)
    );
    assert_eq!(
        (header.flags, header.header_len, header.window),
        (TcpFlags::SYN, 24, 64_240)
    );
    for len in 0..bytes.len() {
        assert!(matches!(
            TcpHeader::parse(&bytes[..len]),
            Err(TcpError::Truncated(_))
        ));
        assert_eq!(header_len(Protocol::TCP, &bytes[..len]), None);
    }
    assert_eq!(header_len(Protocol::TCP, &bytes), Some(24));
    bytes[12] = 0x40;
    assert_eq!(
        TcpHeader::parse(&bytes),
        Err(TcpError::DataOffset { found: 16 })
    );
    assert_eq!(header_len(Protocol::TCP, &bytes), None);
}

#[test]
fn flags_show_their_names() {
    assert_eq!(format!("{:?}", TcpFlags::SYN | TcpFlags::ACK), "SYN|ACK");
    assert_eq!(format!("{:?}", TcpFlags::default()), "none");
    assert!((TcpFlags::SYN | TcpFlags::ACK).contains(TcpFlags::SYN));
    assert!(!TcpFlags::SYN.contains(TcpFlags::SYN | TcpFlags::ACK));
    assert!(TcpFlags::SYN.intersects(TcpFlags::SYN | TcpFlags::ACK));
}

#[test]
fn an_sctp_header_names_its_first_chunk_when_there_is_one() {
    let bytes = [0, 7, 0, 9, 1, 2, 3, 4, 0, 0, 0, 0, 1];
    let header = SctpHeader::parse(&bytes).unwrap();
    assert_eq!(
        (
            header.src_port,
            header.dst_port,
            header.tag,
            header.first_chunk_type
        ),
        (7, 9, 0x0102_0304, Some(1))
    );
    assert_eq!(
        SctpHeader::parse(&bytes[..12]).unwrap().first_chunk_type,
        None
    );
    for len in 0..12 {
        assert!(SctpHeader::parse(&bytes[..len]).is_err());
        assert_eq!(UdpHeader::parse(&bytes[..len]).is_err(), len < 8);
    }
}

proptest! {
    #[test]
    fn tcp_emit_then_parse_is_identity(src_port: u16, dst_port: u16, seq: u32, ack: u32, flags: u8, window: u16) {
        let header = TcpHeader { src_port, dst_port, seq, ack, flags: TcpFlags(flags), header_len: 20, window };
        prop_assert_eq!(TcpHeader::parse(&header.emit()), Ok(header));
    }

    #[test]
    fn udp_emit_then_parse_is_identity(src_port: u16, dst_port: u16, length: u16, checksum: u16) {
        let header = UdpHeader { src_port, dst_port, length, checksum };
        prop_assert_eq!(UdpHeader::parse(&header.emit()), Ok(header));
    }
}
