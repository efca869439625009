//! Bytes: Ethernet, ARP, IPv4, ICMPv4, TCP/UDP/SCTP headers, IPIP, checksums and frames. Pure.
