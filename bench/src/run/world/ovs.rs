//! Open vSwitch's user-space data path, from the distribution's package: own database, own folders, one instance on each node.
//!
//! Without `userspace-tso-enable` it cannot take packets whose checksum is left to the device, so the pods' transmit offloads
//! are switched off, as its documentation asks.

use std::{thread, time::Duration};

use lab::Lab;

use super::{World, bare, naive::read_pid};
use crate::run::{
    contender::{Contender, Topology},
    error::{Error, Result},
};

/// `userspace-tso-enable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offload {
    Off,
    On,
}

const PROGRAMS: [&str; 4] = ["ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl"];
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

pub(super) fn build(topology: Topology, offload: Offload) -> Result<World> {
    for program in PROGRAMS {
        if lab::binaries::in_path(program).is_none() {
            return Err(Error::Absent(format!(
                "`{program}` is not installed; `apt-get install openvswitch-switch` brings Open vSwitch"
            )));
        }
    }
    let contender = if offload == Offload::On {
        Contender::OvsTso
    } else {
        Contender::Ovs
    };
    let lab = Lab::underlay(bare::config(contender, topology)?)?;
    // The MTU that vswitchd's pods have; what VXLAN leaves of the underlay's.
    let mtu_bytes = if topology.nodes() == 1 { 1480 } else { 1450 };
    let pods = bare::pods(topology);
    for pod in pods {
        bare::plug(&lab, pod, mtu_bytes)?;
        let address = [format!("address add {}/16 dev eth0", pod.address)];
        lab.sandbox()
            .ip_batch("addressing a pod", Some(pod.name), &address)?;
        if offload == Offload::Off {
            let argv = ["ethtool", "-K", "eth0", "tx", "off"];
            lab.sandbox()
                .run("switching a pod's offloads off", Some(pod.name), &argv)?;
        }
    }
    let switches: Vec<Switch<'_>> = (0..topology.nodes())
        .map(|node| Switch {
            lab: &lab,
            node: bare::NODES[node],
        })
        .collect();
    let mut forwarders = Vec::new();
    for (own, switch) in switches.iter().enumerate() {
        forwarders.push(switch.start(offload)?);
        let ports = pods
            .iter()
            .filter(|pod| pod.node == switch.node)
            .map(|pod| format!("v-{}", pod.name));
        switch.bridge("br-int", &ports.collect::<Vec<_>>())?;
        if topology.nodes() == 2 {
            switch.tunnel(own, 1 - own)?;
        }
    }
    let version = switches[0].version()?;
    let [client, server] = bare::places(&lab);
    let tso = match offload {
        Offload::On => "userspace-tso-enable=true",
        Offload::Off => "transmit offloads of the pods off, as it requires",
    };
    let tunnel = if topology.nodes() == 2 { ", VXLAN" } else { "" };
    Ok(World {
        contender,
        about: format!(
            "{version}, netdev data path{tunnel}, {tso}, no policy; pod MTU {mtu_bytes}. Its main thread forwards, one process on each node, on any core"
        ),
        client,
        server,
        address: pods[1].address,
        forwarders,
        lab: Some(lab),
        programs: None,
    })
}

/// One instance.
struct Switch<'a> {
    lab: &'a Lab,
    node: &'static str,
}

impl Switch<'_> {
    fn folder(&self) -> String {
        format!("/run/lab/ovs-{}", self.node)
    }

    /// A command line with the instance's own folders in its environment.
    fn argv(&self, words: &[&str]) -> Vec<String> {
        let folder = self.folder();
        let variables = ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"];
        let own = variables.map(|variable| format!("{variable}={folder}"));
        ["env".to_owned()]
            .into_iter()
            .chain(own)
            .chain(words.iter().map(|word| (*word).to_owned()))
            .collect()
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let argv = self.argv(words);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let output = self
            .lab
            .sandbox()
            .run("setting up Open vSwitch", Some(self.node), &argv)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn daemon(&self, words: &[&str]) -> Result<String> {
        let (log, pid_file) = (
            format!("{}/{}.log", self.folder(), words[0]),
            format!("{}/{}.pid", self.folder(), words[0]),
        );
        let argv = self.argv(words);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.lab
            .sandbox()
            .daemon(self.node, &log, &pid_file, &argv)?;
        Ok(pid_file)
    }

    fn vsctl(&self, words: &[&str]) -> Result<()> {
        let db = format!("--db=unix:{}/db.sock", self.folder());
        let argv: Vec<&str> = ["ovs-vsctl", &db, "--timeout=10"]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        self.run(&argv).map(drop)
    }

    /// Starts the database and the switch; returns the switch's process id in the sandbox.
    fn start(&self, offload: Offload) -> Result<String> {
        let folder = self.folder();
        let (db, remote) = (
            format!("{folder}/conf.db"),
            format!("--remote=punix:{folder}/db.sock"),
        );
        self.run(&["mkdir", "-p", &folder])?;
        self.run(&["ovsdb-tool", "create", &db, SCHEMA])?;
        let control = format!("--unixctl={folder}/db.ctl");
        self.daemon(&["ovsdb-server", &db, &remote, &control])?;
        self.wait_for_database()?;
        self.vsctl(&["--no-wait", "init"])?;
        if offload == Offload::On {
            self.vsctl(&[
                "--no-wait",
                "set",
                "Open_vSwitch",
                ".",
                "other_config:userspace-tso-enable=true",
            ])?;
        }
        let (socket, control) = (
            format!("unix:{folder}/db.sock"),
            format!("--unixctl={folder}/switch.ctl"),
        );
        let pid_file = self.daemon(&["ovs-vswitchd", &socket, &control])?;
        read_pid(self.lab, &pid_file)
    }

    fn wait_for_database(&self) -> Result<()> {
        let socket = self
            .lab
            .sandbox()
            .path(format!("{}/db.sock", self.folder()));
        for _ in 0..250 {
            if socket.exists() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err(Error::Unexpected {
            place: format!("ovsdb-server on {}", self.node),
            expected: format!("a socket {}/db.sock within 5 s", self.folder()),
            found: "none".into(),
        })
    }

    fn bridge(&self, name: &str, ports: &[String]) -> Result<()> {
        self.vsctl(&[
            "add-br",
            name,
            "--",
            "set",
            "bridge",
            name,
            "datapath_type=netdev",
        ])?;
        ports
            .iter()
            .try_for_each(|port| self.vsctl(&["add-port", name, port]))
    }

    /// The node's address moves to a bridge over `eth0`, as tunnels in user space require; VXLAN on `br-int`.
    fn tunnel(&self, own: usize, other: usize) -> Result<()> {
        let address = bare::NODE_ADDRESSES[own];
        self.bridge("br-phy", &["eth0".to_owned()])?;
        let lines = [
            "address flush dev eth0".to_owned(),
            format!("address add {address}/24 dev br-phy"),
            "link set br-phy up".to_owned(),
        ];
        self.lab
            .sandbox()
            .ip_batch("moving a node's address", Some(self.node), &lines)?;
        let remote = format!("options:remote_ip={}", bare::NODE_ADDRESSES[other]);
        self.vsctl(&[
            "add-port",
            "br-int",
            "vx0",
            "--",
            "set",
            "interface",
            "vx0",
            "type=vxlan",
            &remote,
        ])
    }

    fn version(&self) -> Result<String> {
        let said = self.run(&["ovs-vswitchd", "--version"])?;
        Ok(said
            .lines()
            .next()
            .unwrap_or_default()
            .replace("ovs-vswitchd (Open vSwitch)", "Open vSwitch"))
    }
}
