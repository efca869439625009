//! Two pods on one link, which [`crate::run::agent::pump`] carries from port to port.

use lab::Lab;

use super::{World, bare, naive::read_pid};
use crate::run::{
    contender::{Contender, Topology},
    error::{Result, io_error},
};

/// As vswitchd's pods have it.
const MTU_BYTES: u32 = 1480;

pub(super) fn build(topology: Topology) -> Result<World> {
    let lab = Lab::underlay(bare::config(Contender::Pump, topology)?)?;
    let pods = bare::pods(topology);
    for pod in pods {
        bare::plug(&lab, pod, MTU_BYTES)?;
        let address = [format!("address add {}/24 dev eth0", pod.address)];
        lab.sandbox()
            .ip_batch("addressing a pod", Some(pod.name), &address)?;
    }
    let program =
        std::env::current_exe().map_err(io_error("cannot find the bench's own program"))?;
    let program = program.to_string_lossy();
    let ports = pods.map(|pod| format!("v-{}", pod.name));
    let argv = [
        &*program, "agent", "pump", "--port", &ports[0], "--port", &ports[1],
    ];
    let (log, pid_file) = ("/run/lab/pump.log", "/run/lab/pump.pid");
    lab.sandbox().daemon(bare::NODES[0], log, pid_file, &argv)?;
    let [client, server] = bare::places(&lab);
    Ok(World {
        contender: Contender::Pump,
        about: format!(
            "packet sockets alone: frames from port to port by vswitchd's own port code, nothing looked at, no policy; pod MTU {MTU_BYTES}. A thread for each CPU, on any core"
        ),
        client,
        server,
        address: pods[1].address,
        forwarders: vec![read_pid(&lab, pid_file)?],
        lab: Some(lab),
        programs: None,
    })
}
