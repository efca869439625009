//! Two nodes joined by [`crate::run::agent::naive`], one process on each.

use std::{thread, time::Duration};

use lab::Lab;

use super::{World, bare};
use crate::run::{
    contender::{Contender, Topology},
    error::{Error, Result, io_error},
};

const MTU_BYTES: u32 = 1472;
const PORT: u16 = 4790;

pub(super) fn build(topology: Topology) -> Result<World> {
    let lab = Lab::underlay(bare::config(Contender::Naive, topology)?)?;
    let pods = bare::pods(topology);
    for pod in pods {
        bare::plug(&lab, pod, MTU_BYTES)?;
        bare::route_as_calico(&lab, pod)?;
    }
    let forwarders = [start(&lab, 0, 1)?, start(&lab, 1, 0)?];
    bare::on_both(&lab, |_, other| {
        vec![
            format!("link set naive0 mtu {MTU_BYTES} up"),
            format!("route add 10.245.{}.0/24 dev naive0", other + 1),
        ]
    })?;
    let [client, server] = bare::places(&lab);
    Ok(World {
        contender: Contender::Naive,
        about: format!(
            "a TUN device and a UDP socket on each node, one packet a system call, no offload, no policy; pod MTU {MTU_BYTES}. Two threads on each node, on any core"
        ),
        client,
        server,
        address: pods[1].address,
        forwarders: forwarders.into(),
        lab: Some(lab),
        programs: None,
    })
}

/// Starts one end and waits for its device; returns its process id in the sandbox.
fn start(lab: &Lab, own: usize, other: usize) -> Result<String> {
    let program =
        std::env::current_exe().map_err(io_error("cannot find the bench's own program"))?;
    let program = program.to_string_lossy();
    let node = bare::NODES[own];
    let (log, pid_file) = (
        format!("/run/lab/naive-{own}.log"),
        format!("/run/lab/naive-{own}.pid"),
    );
    let listen = format!("{}:{PORT}", bare::NODE_ADDRESSES[own]);
    let peer = format!("{}:{PORT}", bare::NODE_ADDRESSES[other]);
    let argv = [
        &*program, "agent", "naive", "--tun", "naive0", "--listen", &listen, "--peer", &peer,
    ];
    lab.sandbox().daemon(node, &log, &pid_file, &argv)?;
    for _ in 0..100 {
        let show = lab.sandbox().run(
            "looking for the device",
            Some(node),
            &["ip", "link", "show", "naive0"],
        );
        if show.is_ok() {
            return read_pid(lab, &pid_file);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err(Error::Unexpected {
        place: format!("the naive forwarder on {node}"),
        expected: "a device naive0".into(),
        found: std::fs::read_to_string(lab.sandbox().path(&log)).unwrap_or_default(),
    })
}

/// The process id in a file of a sandbox.
pub(super) fn read_pid(lab: &Lab, file: &str) -> Result<String> {
    let text = std::fs::read_to_string(lab.sandbox().path(file))
        .map_err(io_error(format!("cannot read {file}")))?;
    Ok(text.trim().into())
}
