//! Does the kernel answer IPIP behind the daemon's back?
//!
//! A kernel that knows no protocol 4 answers each such packet with ICMP "protocol unreachable" (3/2), which
//! ends TCP connections at the other side. The daemon holds a raw socket of that protocol so that the kernel
//! keeps quiet; whether it does is looked at, and counted while the other nodes are asked.

use std::fs;

use super::Finding;

const SUBJECT: &str = "protocol unreachable";

/// What the kernel has counted and knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Packets of a protocol it does not know (`InUnknownProtos` of `/proc/net/snmp`): each is answered 3/2.
    unknown_protocols: u64,
    /// Somebody holds a raw socket of protocol 4.
    has_raw_socket: bool,
}

impl Sample {
    /// Of the network namespace of the caller; `None` = no `/proc`.
    pub(super) fn take() -> Option<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/self/net/{file}")).ok();
        Some(Self {
            unknown_protocols: counter(&read("snmp")?, "Ip", "InUnknownProtos")?,
            has_raw_socket: holds_protocol_4(&read("raw")?),
        })
    }

    /// With a daemon running, between this sample and now.
    pub(super) fn examine(self) -> Option<Finding> {
        Some(judge(self, Self::take()?))
    }
}

fn judge(before: Sample, after: Sample) -> Finding {
    let grown = after
        .unknown_protocols
        .saturating_sub(before.unknown_protocols);
    if !after.has_raw_socket {
        return Finding::broken(
            SUBJECT,
            "nobody holds a raw socket of protocol 4 here: the kernel refuses what other nodes send",
            "run vswitchctl in the daemon's network namespace; if it does, restart the daemon and see its log",
        );
    }
    match grown {
        0 => Finding::ok(SUBJECT, "the kernel keeps quiet about protocol 4"),
        grown => Finding::warn(
            SUBJECT,
            format!(
                "the kernel met {grown} packets of a protocol it does not know during this examination, and \
                 answered each with ICMP 3/2"
            ),
            "`tcpdump -ni UPLINK 'icmp[0:2] = 0x0302'` shows which; what is not IPIP is somebody else's",
        ),
    }
}

/// `/proc/net/snmp` has two lines for each protocol: names, then values.
fn counter(snmp: &str, protocol: &str, name: &str) -> Option<u64> {
    let prefix = format!("{protocol}: ");
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix(&prefix));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}

/// Of a raw socket, `/proc/net/raw` has the protocol where others have the port.
fn holds_protocol_4(raw: &str) -> bool {
    let local = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
    let mut sockets = raw.lines().skip(1).filter_map(local);
    sockets.any(|local| local.ends_with(":0004"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards
Ip: 1 64 300707 0 0 0 17 0
Icmp: InMsgs InErrors
Icmp: 4 0
";
    const RAW: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
   1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41 2 0000000000000000 0
   4: 00000000:0004 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 42 2 0000000000000000 0
";

    #[test]
    fn the_kernels_tables_are_read_as_they_are_written() {
        assert_eq!(counter(SNMP, "Ip", "InUnknownProtos"), Some(17));
        assert_eq!(counter(SNMP, "Icmp", "InUnknownProtos"), None);
        assert!(holds_protocol_4(RAW));
        assert!(!holds_protocol_4(&RAW.replace(":0004", ":0006")));
        assert!(Sample::take().is_some(), "and this machine's are there");
    }

    #[test]
    fn a_kernel_that_answers_is_found() {
        let quiet = Sample {
            unknown_protocols: 17,
            has_raw_socket: true,
        };
        assert_eq!(judge(quiet, quiet).level, Level::Ok);
        let answering = Sample {
            unknown_protocols: 20,
            ..quiet
        };
        let finding = judge(quiet, answering);
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.found.contains("met 3 packets"), "{finding:?}");
        let unheld = Sample {
            has_raw_socket: false,
            ..quiet
        };
        assert_eq!(judge(quiet, unheld).level, Level::Broken);
    }
}
