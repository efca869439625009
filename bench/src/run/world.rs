//! Two pods and what connects them, ready to be measured.
//!
//! Every world is a sandbox of its own (see [`lab::sandbox`]): its processes, namespaces and files end with the value, and
//! with this process however it ends.

mod bare;
mod kernel;
mod naive;
mod ovs;
mod pump;
mod vswitchd;
mod vxlan;
mod wire;

use std::{net::Ipv4Addr, thread, time::Duration};

use lab::{Lab, binaries::Binaries, state::StateDir};

use super::{
    contender::{Contender, Topology},
    error::{Error, Result},
    machine,
    place::Place,
};

pub use vswitchd::PodStarts;

/// Name of the pod that asks and sends.
const CLIENT: &str = "client";
/// Name of the pod that answers and receives.
const SERVER: &str = "server";

/// Two connected pods.
#[derive(Debug)]
pub struct World {
    /// What connects them.
    pub contender: Contender,
    /// What that is: versions, MTU, which processes share the cores.
    pub about: String,
    /// Where the generators run.
    pub client: Place,
    /// Where the sinks run.
    pub server: Place,
    /// The server's address, as the client sees it.
    pub address: Ipv4Addr,
    forwarders: Vec<String>,
    lab: Option<Lab>,
    programs: Option<Binaries>,
}

/// What worlds are built from.
#[derive(Clone, Debug)]
pub struct Materials {
    /// The build under test.
    pub programs: Binaries,
    /// Another build of it to compare with.
    pub baseline: Option<Binaries>,
}

/// Removes the folders of worlds whose bench was killed; the worlds themselves went with it. What another bench holds stays.
pub fn sweep() {
    let dead = |state: &StateDir| !state.sandbox().is_some_and(|sandbox| sandbox.is_alive());
    for state in StateDir::all().into_iter().flatten() {
        if !state.name().starts_with(bare::LAB_PREFIX) || !dead(&state) {
            continue;
        }
        // Asked again under the lock: until then another bench may have brought it up.
        if let Ok(lock) = state.lock()
            && dead(&state)
        {
            let _ = state.remove(lock);
        }
    }
}

impl World {
    /// Builds one; returns when a packet gets through both ways.
    ///
    /// # Errors
    /// [`Error::Absent`]: the machine lacks the contender. Anything else: a step failed; nothing is left.
    pub fn build(contender: Contender, topology: Topology, materials: &Materials) -> Result<Self> {
        let world = match contender {
            Contender::Vswitchd | Contender::VswitchdWorkers | Contender::VswitchdCut => {
                vswitchd::build(contender, topology, &materials.programs)
            }
            Contender::Baseline => {
                let missing =
                    || Error::Absent("no second build; --baseline-bin-dir names one".into());
                let programs = materials.baseline.as_ref().ok_or_else(missing)?;
                vswitchd::build(contender, topology, programs)
            }
            Contender::Kernel => kernel::build(topology),
            Contender::Vxlan => vxlan::build(topology),
            Contender::Ovs => ovs::build(topology, ovs::Offload::Off),
            Contender::OvsTso => ovs::build(topology, ovs::Offload::On),
            Contender::Naive => naive::build(topology),
            Contender::Pump => pump::build(topology),
            Contender::Pair => Err(Error::Absent(
                "the user's own pair is not built here".into(),
            )),
        }?;
        if let (Topology::TwoNodeWire, Some(lab)) = (topology, &world.lab) {
            wire::without_tso(lab)?;
        }
        world.wait_connected()?;
        Ok(world)
    }

    /// The user's own namespaces.
    #[must_use]
    pub fn of_user(client: Place, server: Place, address: Ipv4Addr) -> Self {
        Self {
            contender: Contender::Pair,
            about: "the user's own data plane between two namespaces; what it runs on is not known to the bench".into(),
            client,
            server,
            address,
            forwarders: Vec::new(),
            lab: None,
            programs: None,
        }
    }

    /// Keeps what forwards on one CPU, or lets it run anywhere again. What the kernel itself forwards runs where it is sent.
    ///
    /// # Errors
    /// A forwarder is gone.
    pub fn pin(&self, cpu: Option<usize>) -> Result<()> {
        let Some(lab) = &self.lab else { return Ok(()) };
        let cpus = cpu.map_or_else(machine::all_cpus, |cpu| cpu.to_string());
        for forwarder in &self.forwarders {
            let argv = ["taskset", "-a", "-c", "-p", &cpus, forwarder];
            lab.sandbox().run("pinning a forwarder", None, &argv)?;
        }
        Ok(())
    }

    /// Pods of this world that can be started and ended, if it has a CNI plugin.
    #[must_use]
    pub fn pod_starts(&self) -> Option<PodStarts<'_>> {
        Some(PodStarts::new(self.lab.as_ref()?, self.programs.as_ref()?))
    }

    /// Waits for the first TCP answer, ICMP being forbidden to some.
    fn wait_connected(&self) -> Result<()> {
        let probe = super::probe::Probe::TcpRequests(super::probe::Cores::Any);
        let mut last = None;
        for _ in 0..10 {
            match probe.measure(self, Duration::from_millis(10)) {
                Ok(_) => return Ok(()),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => last = Some(error),
            }
            thread::sleep(Duration::from_millis(200));
        }
        Err(Error::Unexpected {
            place: format!("the first packets through {}", self.contender.name()),
            expected: "an answer from the other pod".into(),
            found: last.map_or_else(String::new, |error| error.to_string()),
        })
    }
}
