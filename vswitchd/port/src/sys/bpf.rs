//! bpf(2), as far as attached programs and their maps need it (include/uapi/linux/bpf.h).

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::c_int;

const MAP_CREATE: c_int = 0;
const PROG_LOAD: c_int = 5;
const LINK_CREATE: c_int = 28;

const MAP_TYPE_HASH: u32 = 1;
const MAP_TYPE_ARRAY: u32 = 2;
const MAP_MMAPABLE: u32 = 1 << 10;
const PROG_TYPE_SCHED_CLS: u32 = 3;
/// Linux 6.6.
const ATTACH_TCX_INGRESS: u32 = 46;
const ATTACH_TCX_EGRESS: u32 = 47;
/// Before all that are attached already.
const ATTACH_BEFORE: u32 = 1 << 3;
/// Bytes of what the kernel's verifier says about a program it refuses.
const LOG_LEN: usize = 16 << 10;

/// `struct bpf_insn`: one word of a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(C)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// Two registers of four bits each; which comes first depends on the byte order.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// The part of `union bpf_attr` that `BPF_MAP_CREATE` reads.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// ... `BPF_PROG_LOAD`.
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// ... `BPF_LINK_CREATE` for tcx.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    relative_fd: u32,
    unused: u32,
    expected_revision: u64,
}

/// An array of `entries` values of `len` bytes each that can be mapped into memory. `EPERM` without CAP_BPF in the first
/// user namespace, `EINVAL` before Linux 5.5, `ENOSYS` without bpf(2).
pub(crate) fn create_array(len: u32, entries: u32) -> io::Result<OwnedFd> {
    create_map(&MapCreate {
        map_type: MAP_TYPE_ARRAY,
        key_size: size_of::<u32>() as u32,
        value_size: len,
        max_entries: entries,
        map_flags: MAP_MMAPABLE,
    })
}

/// A hash table with room for `entries` keys of `key_len` bytes, allocated now, each with a number. Errors: as
/// [`create_array`].
pub(crate) fn create_hash(key_len: u32, entries: u32) -> io::Result<OwnedFd> {
    create_map(&MapCreate {
        map_type: MAP_TYPE_HASH,
        key_size: key_len,
        value_size: size_of::<u32>() as u32,
        max_entries: entries,
        map_flags: 0,
    })
}

fn create_map(attributes: &MapCreate) -> io::Result<OwnedFd> {
    // SAFETY: the attributes hold no pointers, and the command returns a descriptor.
    unsafe { call(MAP_CREATE, attributes) }
}

/// Loads a program for traffic control. `EPERM` without CAP_BPF and CAP_NET_ADMIN in the first user namespace;
/// `EACCES` or `EINVAL` when the verifier refuses it, together with what it says.
pub(crate) fn load_classifier(
    program: &[Instruction],
    name: &CStr,
    licence: &CStr,
) -> Result<OwnedFd, (io::Error, String)> {
    let mut log = Vec::new();
    load(program, name, licence, &mut log).or_else(|error| {
        if error.raw_os_error() == Some(libc::EPERM) {
            return Err((error, String::new()));
        }
        log.resize(LOG_LEN, 0);
        let again = load(program, name, licence, &mut log);
        again.map_err(|error| (error, text(&log)))
    })
}

fn load(
    program: &[Instruction],
    name: &CStr,
    licence: &CStr,
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    let mut prog_name = [0; 16];
    // Fifteen characters and a NUL.
    for (to, from) in prog_name[..15].iter_mut().zip(name.to_bytes()) {
        *to = *from;
    }
    let attributes = ProgLoad {
        prog_type: PROG_TYPE_SCHED_CLS,
        insn_cnt: program.len() as u32,
        insns: address(program.as_ptr()),
        license: address(licence.as_ptr()),
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log_buf: if log.is_empty() {
            0
        } else {
            address(log.as_mut_ptr())
        },
        kern_version: 0,
        prog_flags: 0,
        prog_name,
    };
    // SAFETY: the three pointers lead to a live slice of `insn_cnt` instructions and a live NUL-ended string, which the
    // kernel copies, and to a live buffer of `log_size` bytes, borrowed mutably, or nowhere. The command returns a
    // descriptor.
    unsafe { call(PROG_LOAD, &attributes) }
}

/// Which of an interface's frames a program is run on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hook {
    /// Those that arrive, before protocols and packet sockets of one ethertype hear of them.
    Ingress = ATTACH_TCX_INGRESS as isize,
    /// Those it sends.
    Egress = ATTACH_TCX_EGRESS as isize,
}

/// Runs a loaded program on every such frame of the interface, before the programs that are there. The descriptor is the
/// attachment: when its last copy is closed, however the process ends, or when the interface goes, it is over. `EINVAL`
/// before Linux 6.6.
pub(crate) fn attach(program: BorrowedFd<'_>, interface: u32, hook: Hook) -> io::Result<OwnedFd> {
    let attributes = LinkCreate {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_ifindex: interface,
        attach_type: hook as u32,
        flags: ATTACH_BEFORE,
        relative_fd: 0,
        unused: 0,
        expected_revision: 0,
    };
    // SAFETY: the attributes hold no pointers, and the command returns a descriptor.
    unsafe { call(LINK_CREATE, &attributes) }
}

pub(super) fn address<T>(pointer: *const T) -> u64 {
    pointer.addr() as u64
}

fn text(log: &[u8]) -> String {
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    String::from_utf8_lossy(&log[..end]).trim().to_owned()
}

/// # Safety
/// As [`run`], and a success of `command` is a new descriptor.
unsafe fn call<A>(command: c_int, attributes: &A) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let descriptor = unsafe { run(command, attributes) }?;
    // SAFETY: by the caller's promise the kernel has just returned this descriptor, so it is ours to close.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// # Safety
/// `attributes` are what `command` reads, and every pointer in them is valid for what the kernel does there during the call.
pub(super) unsafe fn run<A>(command: c_int, attributes: &A) -> io::Result<c_int> {
    let attributes: *const A = attributes;
    // SAFETY: the kernel reads `size_of::<A>()` bytes of a live reference and takes what it has no room for as zero; the
    // rest is the caller's promise.
    let returned = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<A>()) };
    super::check(returned as c_int)
}
