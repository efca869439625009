//! What the keys' values may be: the sentence an operator reads, and the reading.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use dataplane::DropReason;
use ipnet::Ipv4Net;
use policy::model::{Established, Reply};
use toml::de::DeValue;

use super::{IpipMode, KernelEncapsulation, KernelRelay, LogFormat, reader::Expect};

/// Most worker threads a file may ask for.
const MAX_WORKERS: u64 = 64;

pub(super) const NAME: Expect<String> = Expect {
    what: "a name that is not empty",
    read: |value| {
        let name = value.as_str().filter(|name| !name.trim().is_empty());
        name.map(str::to_owned)
    },
};

/// RFC 1123 subdomain, the rule of Kubernetes for node names.
pub(super) const NODE_NAME: Expect<String> = Expect {
    what: "a node name (lower-case letters, digits, '-' and '.', at most 253)",
    read: |value| {
        value
            .as_str()
            .filter(|name| is_node_name(name))
            .map(str::to_owned)
    },
};

fn is_node_name(name: &str) -> bool {
    let label = |label: &str| {
        let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty()
            && label.chars().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// The kernel's rule (`dev_valid_name`).
pub(super) const INTERFACE: Expect<String> = Expect {
    what: "an interface name (1 to 15 characters, no '/', ':' or space)",
    read: |value| {
        let valid = |name: &&str| {
            let bad = |c: char| c == '/' || c == ':' || c.is_whitespace();
            (1..=15).contains(&name.len()) && !matches!(*name, "." | "..") && !name.contains(bad)
        };
        value.as_str().filter(valid).map(str::to_owned)
    },
};

pub(super) const HOST_ADDRESS: Expect<Ipv4Net> = Expect {
    what: "an IPv4 address with its prefix, such as \"172.16.30.7/24\"",
    read: |value| {
        let net: Ipv4Net = value.as_str()?.parse().ok()?;
        let address = net.addr();
        let usable = !address.is_unspecified() && !address.is_multicast() && !address.is_loopback();
        (usable && net.prefix_len() > 0).then_some(net)
    },
};

pub(super) const NETWORK: Expect<Ipv4Net> = Expect {
    what: "an IPv4 range without host bits, such as \"10.244.0.0/16\"",
    read: |value| {
        let net: Ipv4Net = value.as_str()?.parse().ok()?;
        (net.network() == net.addr() && net.prefix_len() >= 8).then_some(net)
    },
};

pub(super) const ABSOLUTE_PATH: Expect<PathBuf> = Expect {
    what: "an absolute path",
    read: |value| {
        value
            .as_str()
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    },
};

pub(super) const BLOCKS_PER_NODE: Expect<usize> = Expect {
    what: "a number of blocks from 1 to 64",
    read: |value| usize::try_from(number(value, 1..=64)?).ok(),
};

pub(super) const WORKERS: Expect<usize> = Expect {
    what: "a number of threads from 1 to 64",
    read: |value| usize::try_from(number(value, 1..=MAX_WORKERS)?).ok(),
};

/// Longer than any wake-up takes, short enough to be lost.
pub(super) const SPIN: Expect<Duration> = Expect {
    what: "a number of microseconds from 0 to 1000",
    read: |value| number(value, 0..=1000).map(Duration::from_micros),
};

pub(super) const MAX_FLOWS: Expect<usize> = Expect {
    what: "a number of connections from 1024 to 16777216",
    read: |value| usize::try_from(number(value, 1024..=16_777_216)?).ok(),
};

pub(super) const MTU: Expect<u32> = Expect {
    what: "0 (uplink minus 20) or a number of bytes from 576 to 65535",
    read: |value| {
        let bytes = u32::try_from(number(value, 0..=65_535)?).ok()?;
        (bytes == 0 || bytes >= 576).then_some(bytes)
    },
};

pub(super) const BLOCK_SIZE: Expect<u8> = Expect {
    what: "a prefix length from 20 to 32",
    read: |value| u8::try_from(number(value, 20..=32)?).ok(),
};

pub(super) const SECONDS: Expect<Duration> = Expect {
    what: "a number of seconds from 1 to 31536000",
    read: |value| number(value, 1..=31_536_000).map(Duration::from_secs),
};

pub(super) const BOOLEAN: Expect<bool> = Expect {
    what: "true or false",
    read: |value| value.as_bool(),
};

pub(super) const IPIP_MODE: Expect<IpipMode> = Expect {
    what: "\"Always\", \"CrossSubnet\" or \"Never\"",
    read: |value| match value.as_str()? {
        "Always" => Some(IpipMode::Always),
        "CrossSubnet" => Some(IpipMode::CrossSubnet),
        "Never" => Some(IpipMode::Never),
        _ => None,
    },
};

pub(super) const KERNEL_ENCAPSULATION: Expect<KernelEncapsulation> = Expect {
    what: "\"auto\" or \"off\"",
    read: |value| match value.as_str()? {
        "auto" => Some(KernelEncapsulation::Auto),
        "off" => Some(KernelEncapsulation::Off),
        _ => None,
    },
};

pub(super) const KERNEL_RELAY: Expect<KernelRelay> = Expect {
    what: "\"auto\" or \"off\"",
    read: |value| match value.as_str()? {
        "auto" => Some(KernelRelay::Auto),
        "off" => Some(KernelRelay::Off),
        _ => None,
    },
};

pub(super) const REPLY: Expect<Reply> = Expect {
    what: "\"drop\" or \"reject\"",
    read: |value| match value.as_str()? {
        "drop" => Some(Reply::Drop),
        "reject" => Some(Reply::Reject),
        _ => None,
    },
};

pub(super) const ESTABLISHED: Expect<Established> = Expect {
    what: "\"recheck\" or \"keep\"",
    read: |value| match value.as_str()? {
        "recheck" => Some(Established::Recheck),
        "keep" => Some(Established::Keep),
        _ => None,
    },
};

pub(super) const LISTEN: Expect<SocketAddr> = Expect {
    what: "an address and a port from 1 to 65535, such as \"127.0.0.1:10244\"",
    read: |value| {
        let listen: SocketAddr = value.as_str()?.parse().ok()?;
        (listen.port() != 0).then_some(listen)
    },
};

pub(super) const MEBIBYTES: Expect<u64> = Expect {
    what: "a number of MiB from 1 to 65536",
    read: |value| number(value, 1..=65_536),
};

pub(super) const FLOW_FILES: Expect<usize> = Expect {
    what: "a number of files from 1 to 100",
    read: |value| usize::try_from(number(value, 1..=100)?).ok(),
};

pub(super) const SAMPLE: Expect<u32> = Expect {
    what: "1 (every flow) or a number up to 1000000 (one flow of so many)",
    read: |value| u32::try_from(number(value, 1..=1_000_000)?).ok(),
};

pub(super) const AGGREGATE: Expect<Duration> = Expect {
    what: "a number of seconds from 1 to 3600",
    read: |value| number(value, 1..=3_600).map(Duration::from_secs),
};

pub(super) const DROP_REASON: Expect<DropReason> = Expect {
    what: "the label of a drop reason (`vswitchctl show drops -o wide` lists them)",
    read: |value| {
        let label = value.as_str()?;
        let row = DropReason::TABLE.iter().find(|row| row.label == label);
        row.map(|row| row.reason)
    },
};

pub(super) const MIB: Expect<usize> = Expect {
    what: "MiB of memory, a number from 1 to 4096",
    read: |value| number(value, 1..=4096).map(|mib| mib as usize),
};

pub(super) const RECORDED_BYTES: Expect<usize> = Expect {
    what: "bytes of a frame, a number from 64 to 9216",
    read: |value| number(value, 64..=9216).map(|bytes| bytes as usize),
};

pub(super) const RECORDED_FILES: Expect<usize> = Expect {
    what: "a number of files from 1 to 1000",
    read: |value| number(value, 1..=1000).map(|files| files as usize),
};

pub(super) const LOG_FORMAT: Expect<LogFormat> = Expect {
    what: "\"text\" or \"json\"",
    read: |value| match value.as_str()? {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    },
};

pub(super) const LOG_LEVEL: Expect<String> = Expect {
    what: "a level (error, warn, info, debug, trace) or a filter such as \"info,vswitchd=debug\"",
    read: |value| {
        let level = value.as_str()?;
        crate::log::parse_filter(level).ok()?;
        Some(level.to_owned())
    },
};

fn number(value: &DeValue<'_>, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let integer = value.as_integer()?;
    let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    range.contains(&number).then_some(number)
}
