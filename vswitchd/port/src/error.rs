//! Why a port could not be opened.

use std::io;

/// Why a port could not be opened: which one, at which step, and what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such interface in the thread's network namespace, or it answers no questions.
    #[error("interface {interface}: {source}")]
    Interface {
        /// The interface's name as given.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The interface is of a kind whose frames we cannot read.
    #[error(
        "interface {interface}: expected Ethernet or a bare IP device, found ARP hardware type {found}"
    )]
    Hardware {
        /// The interface's name.
        interface: String,
        /// Its type, `ARPHRD_*` of linux/if_arp.h.
        found: u16,
    },
    /// A step of setting up the packet socket failed.
    #[error("packet socket on {interface}: cannot {step}: {source}{}", capability(.source, "CAP_NET_RAW"))]
    Packet {
        /// The interface's name.
        interface: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// `/dev/net/tun` cannot be used.
    #[error("/dev/net/tun: {source}: {advice}")]
    TunDevice {
        /// What to do about it.
        advice: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A step of setting up a TUN device failed.
    #[error("tun device {name}: cannot {step}: {source}{advice}")]
    Tun {
        /// The device's name.
        name: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
        /// What to do about it, or nothing.
        advice: &'static str,
    },
    /// A step of attaching an [`Encapsulator`](crate::Encapsulator) failed.
    #[error("encapsulation by the kernel on {interface}: cannot {step}: {source}{}{}", reason(.source), said(.log))]
    Encapsulator {
        /// The interface's name.
        interface: String,
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
        /// What its verifier said about the program; empty if nothing.
        log: String,
    },
    /// A step of making a [`Relay`](crate::Relay) failed.
    #[error("relaying by the kernel: cannot {step}: {source}{}{}", reason(.source), said(.log))]
    Relay {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
        /// What its verifier said about the program; empty if nothing.
        log: String,
    },
    /// A [`Relay`](crate::Relay) could not be attached to an interface.
    #[error("relaying by the kernel on {interface}: cannot attach its program: {source}{}", reason(.source))]
    RelayAttach {
        /// The interface's name.
        interface: String,
        /// What the kernel said, or `Unsupported` and what about the interface is not as it should be.
        source: io::Error,
    },
    /// A step of setting up the raw IPIP socket failed.
    #[error("raw IPIP socket: cannot {step}: {source}{}", capability(.source, "CAP_NET_RAW"))]
    RawIp {
        /// What was being done.
        step: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Names the missing capability when that is the reason.
fn capability(source: &io::Error, name: &str) -> String {
    match source.raw_os_error() {
        Some(libc::EPERM) => {
            format!(": run with {name} (as root, or in a user namespace that owns this network)")
        }
        _ => String::new(),
    }
}

/// Why a kernel refuses to take a program.
fn reason(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EPERM) => ": it needs CAP_BPF and CAP_NET_ADMIN, outside any user namespace",
        Some(libc::EINVAL) => ": it needs Linux 6.6",
        Some(libc::ENOSYS) => ": this kernel is built without CONFIG_BPF_SYSCALL",
        _ => "",
    }
}

/// On lines of its own.
fn said(log: &str) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!("\n{log}")
    }
}
