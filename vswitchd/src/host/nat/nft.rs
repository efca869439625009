//! The `nft` program, and the kernel's reports of changes to nftables.

use std::{
    io::{self, Write},
    process::{Command, Output, Stdio},
    thread,
};

use crossbeam_channel::{Receiver, bounded};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use tracing::debug;

/// `NFNLGRP_NFTABLES` (`include/uapi/linux/netfilter/nfnetlink.h`).
const GROUP: u32 = 7;
/// Messages by which something is taken away: `NFT_MSG_DELTABLE`, `DELCHAIN`, `DELRULE`, `DELSET`,
/// `DELSETELEM` (`include/uapi/linux/netfilter/nf_tables.h`), the lower byte of `nlmsg_type`.
const REMOVALS: [u8; 5] = [2, 5, 8, 11, 14];

/// Why `nft` did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum NftError {
    /// No such program.
    #[error("the program nft is not installed (package nftables)")]
    Missing,
    /// It could not be run.
    #[error("running nft: {0}")]
    Run(#[from] io::Error),
    /// It ran and failed: most often, the kernel has no nf_tables.
    #[error("nft says: {0}")]
    Refused(String),
    /// What was loaded was gone when it was listed.
    #[error("somebody takes rules out of the table as fast as they are put in")]
    Contested,
}

/// Loads a script as one transaction.
pub(super) fn load(script: &str) -> Result<(), NftError> {
    run(&["-f", "-"], script).map(drop)
}

/// Lists a table, without what changes by itself.
pub(super) fn list(table: &str) -> Result<String, NftError> {
    let mut arguments = vec!["--stateless", "list", "table"];
    arguments.extend(table.split(' '));
    let output = run(&arguments, "")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(arguments: &[&str], input: &str) -> Result<Output, NftError> {
    let child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NftError::Missing),
        child => child?,
    };
    if let Some(mut stdin) = child.stdin.take() {
        // If nft has ended already, its own message says more than EPIPE.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(output),
        false => {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.lines().find(|line| !line.trim().is_empty());
            let line = line.unwrap_or("it failed without a word").trim();
            Err(NftError::Refused(line.to_owned()))
        }
    }
}

/// Reports of removals; `None` = the kernel does not report.
pub(super) fn changes() -> Option<Receiver<()>> {
    let subscribe = || -> io::Result<Socket> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.add_membership(GROUP)?;
        Ok(socket)
    };
    let socket = subscribe()
        .inspect_err(|error| debug!(%error, "no reports of nftables, looking every second"))
        .ok()?;
    let (report, reports) = bounded(1);
    let listen = move || {
        let mut buffer = Vec::with_capacity(64 << 10);
        loop {
            buffer.clear();
            let removal = match socket.recv(&mut buffer, 0) {
                Ok(_) => takes_away(&buffer),
                // Reports were lost: something may have been taken away.
                Err(error) => error.raw_os_error() == Some(nix::libc::ENOBUFS),
            };
            if removal
                && report.try_send(()) == Err(crossbeam_channel::TrySendError::Disconnected(()))
            {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("nft-changes".into())
        .spawn(listen)
        .ok()?;
    Some(reports)
}

/// Is one of the messages of a datagram a removal? (`struct nlmsghdr`: length u32, type u16, native
/// byte order, messages aligned to 4 bytes.)
fn takes_away(datagram: &[u8]) -> bool {
    let mut rest = datagram;
    while let Some((header, _)) = rest.split_first_chunk::<16>() {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
        let kind = u16::from_ne_bytes([header[4], header[5]]).to_be_bytes()[1];
        if REMOVALS.contains(&kind) {
            return true;
        }
        let step = (length as usize).max(16).next_multiple_of(4);
        rest = rest.get(step..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: usize) -> Vec<u8> {
        let length = u32::try_from(16 + payload).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend((10 << 8 | kind).to_ne_bytes());
        bytes.resize((16 + payload).next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn a_removal_is_noticed_wherever_it_stands_in_a_datagram() {
        assert!(takes_away(&message(2, 20)));
        assert!(takes_away(&[message(6, 7), message(8, 0)].concat()));
        assert!(!takes_away(&[message(6, 7), message(15, 3)].concat()));
        assert!(!takes_away(&[]));
        assert!(!takes_away(&[0; 15]));
    }
}
