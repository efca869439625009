//! Setting up the socket, in the order that lets no foreign frame in: options, a filter, the binding, the fan-out,
//! and only then the filter that hears.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use libc::{SO_ATTACH_FILTER, SOL_PACKET, SOL_SOCKET, c_int};

use super::PacketConfig;
use crate::fanout::fanout_program;
use crate::filter::DEAF;
use crate::sys::{option, packet_socket};
use crate::{Error, Fanout};

/// Bytes of received frames the kernel may hold for one socket, its overhead included.
const RECEIVE_BUFFER: c_int = 16 << 20;
/// Bytes of sent frames that may wait in queueing disciplines and devices, overhead included.
const SEND_BUFFER: c_int = 4 << 20;

/// A socket that receives what `config` says on the interface numbered `index`.
pub(super) fn socket(config: &PacketConfig<'_>, index: u32) -> Result<OwnedFd, Error> {
    let fail = |step| {
        move |source| Error::Packet {
            interface: config.interface.to_owned(),
            step,
            source,
        }
    };
    let socket = packet_socket::open().map_err(fail("open it"))?;
    let fd = socket.as_fd();
    set(fd, libc::PACKET_VNET_HDR, 1).map_err(fail("set PACKET_VNET_HDR"))?;
    set(fd, libc::PACKET_AUXDATA, 1).map_err(fail("set PACKET_AUXDATA"))?;
    // Since Linux 4.20. The filters look at the packet type too, so without it only a little work is wasted.
    let _ = set(fd, libc::PACKET_IGNORE_OUTGOING, 1);
    if config.qdisc_bypass {
        set(fd, libc::PACKET_QDISC_BYPASS, 1).map_err(fail("set PACKET_QDISC_BYPASS"))?;
    }
    if let Some(encapsulator) = &config.encapsulator {
        let priority = encapsulator.priority().cast_signed();
        option::set_int(fd, SOL_SOCKET, libc::SO_PRIORITY, priority)
            .map_err(fail("set SO_PRIORITY"))?;
    }
    buffer(fd, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, RECEIVE_BUFFER)
        .map_err(fail("set its receive buffer"))?;
    buffer(fd, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, SEND_BUFFER)
        .map_err(fail("set its send buffer"))?;
    option::set_program(fd, SOL_SOCKET, SO_ATTACH_FILTER, &DEAF).map_err(fail("make it deaf"))?;
    let protocol = match config.behind_tc {
        true => libc::ETH_P_IP,
        false => libc::ETH_P_ALL,
    };
    packet_socket::bind(fd, index, protocol).map_err(fail("bind it"))?;
    match config.fanout {
        Some(fanout) => {
            join(fd, fanout, config.filter.reassembles())
                .map_err(fail("join the fan-out group"))?;
        }
        None if config.filter.reassembles() => {
            reassemble(fd).map_err(fail("have fragments reassembled"))?;
        }
        None => {}
    }
    let program = config.filter.program();
    option::set_program(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program)
        .map_err(fail("attach its filter"))?;
    Ok(socket)
}

fn set(fd: BorrowedFd<'_>, name: c_int, value: c_int) -> io::Result<()> {
    option::set_int(fd, SOL_PACKET, name, value)
}

/// Past the system's limit where that is permitted, else up to it.
fn buffer(fd: BorrowedFd<'_>, force: c_int, polite: c_int, bytes: c_int) -> io::Result<()> {
    option::set_int(fd, SOL_SOCKET, force, bytes)
        .or_else(|_| option::set_int(fd, SOL_SOCKET, polite, bytes))
}

fn join(fd: BorrowedFd<'_>, fanout: Fanout, reassembles: bool) -> io::Result<()> {
    let defrag = if reassembles {
        libc::PACKET_FANOUT_FLAG_DEFRAG
    } else {
        0
    };
    enter_group(fd, fanout.group, libc::PACKET_FANOUT_CBPF | defrag)?;
    option::set_program(fd, SOL_PACKET, libc::PACKET_FANOUT_DATA, &fanout_program())
}

/// A group of one, of any kind, only for its reassembly.
fn reassemble(fd: BorrowedFd<'_>) -> io::Result<()> {
    enter_group(
        fd,
        0,
        libc::PACKET_FANOUT_LB
            | libc::PACKET_FANOUT_FLAG_UNIQUEID
            | libc::PACKET_FANOUT_FLAG_DEFRAG,
    )
}

fn enter_group(fd: BorrowedFd<'_>, group: u16, kind: u32) -> io::Result<()> {
    let value = |kind: u32| (u32::from(group) | kind << 16).cast_signed();
    // The group's own hook does not look at PACKET_IGNORE_OUTGOING; kernels before 5.10 do not know the flag.
    set(
        fd,
        libc::PACKET_FANOUT,
        value(kind | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING),
    )
    .or_else(|_| set(fd, libc::PACKET_FANOUT, value(kind)))
}
