//! A whole lab in one value.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::{Command, Output},
};

use cni_shim::{Request, Response};

use crate::{
    binaries::Binaries,
    cni::Attachment,
    config::{Config, Pod},
    error::{Error, Result, io_error},
    manifest,
    node::{self, Daemon},
    pod::{self, Pods},
    sandbox::{Keeper, Sandbox},
    state::StateDir,
    topology,
};

/// How a daemon is ended before it is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// SIGTERM: it may tidy up.
    Gently,
    /// SIGKILL: it may not.
    Hard,
}

/// A lab that is up. One that was brought up by this process goes down when it is dropped, or with the process.
#[derive(Debug)]
pub struct Lab {
    config: Config,
    sandbox: Sandbox,
    state: StateDir,
    keeper: Option<Keeper>,
}

impl Lab {
    /// Brings a lab up, for as long as the value lives: underlay, daemons, pods.
    ///
    /// # Errors
    /// One of this name is up, the machine lacks something, a daemon does not become ready, a plugin fails. Nothing is left then.
    pub fn up(config: Config) -> Result<Self> {
        Self::up_with(config, |_| {})
    }

    /// As [`Lab::up`], telling `progress` of each step as it begins.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn up_with(config: Config, progress: impl Fn(&str)) -> Result<Self> {
        Self::up_using(config, &Binaries::find()?, progress)
    }

    /// As [`Lab::up_with`], with these programs, for a bench that compares two builds. What is started later
    /// ([`Lab::restart`], [`Lab::pod_add`]) is found as ever.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn up_using(config: Config, binaries: &Binaries, progress: impl Fn(&str)) -> Result<Self> {
        let lab = Self::underlay_with(config, &progress)?;
        lab.start_daemons(binaries, &progress)?;
        for pod in &lab.config.pods {
            progress(&format!("pod {} on {}", pod.key(), pod.node));
            lab.pods(binaries).add(pod)?;
        }
        Ok(lab)
    }

    /// Brings up the underlay only: bridge, gateway, outside hosts, nodes without daemons, no pods.
    ///
    /// # Errors
    /// As [`Lab::up`].
    pub fn underlay(config: Config) -> Result<Self> {
        Self::underlay_with(config, |_| {})
    }

    fn underlay_with(config: Config, progress: impl Fn(&str)) -> Result<Self> {
        let state = StateDir::of(&config.name)?;
        let lock = state.lock()?;
        if let Some(sandbox) = state.sandbox().filter(Sandbox::is_alive) {
            return Err(Error::AlreadyUp {
                name: config.name,
                keeper: sandbox.keeper,
            });
        }
        progress("sandbox");
        let keeper = match Keeper::start() {
            Ok(keeper) => keeper,
            Err(error) => {
                state.remove(lock)?;
                return Err(error);
            }
        };
        state.save(&keeper.sandbox, &config)?;
        let sandbox = keeper.sandbox.clone();
        let lab = Self {
            config,
            sandbox,
            state,
            keeper: Some(keeper),
        };
        drop(lock);
        progress("underlay");
        topology::build(&lab.sandbox, &lab.config)?;
        Ok(lab)
    }

    fn start_daemons(&self, binaries: &Binaries, progress: impl Fn(&str)) -> Result<()> {
        manifest::write_cluster(&self.sandbox, &self.config)?;
        for node in &self.config.nodes {
            progress(&format!("vswitchd on {}", node.name));
            let daemon = Daemon::of(&self.sandbox, &node.name);
            daemon.configure(&self.config, node)?;
            daemon.start(binaries)?;
        }
        self.config
            .nodes
            .iter()
            .try_for_each(|node| Daemon::of(&self.sandbox, &node.name).wait_ready())
    }

    /// A lab that another process brought up: the one of this name, or the only one there is. It stays up when this
    /// value is dropped.
    ///
    /// # Errors
    /// [`Error::NotUp`]; without a name also when several are up.
    pub fn find(name: Option<&str>) -> Result<Self> {
        let state = match name {
            Some(name) => StateDir::of(name)?,
            None => only_one()?,
        };
        let Some(sandbox) = state.sandbox().filter(Sandbox::is_alive) else {
            return Err(Error::NotUp(format!("lab `{}` is not up", state.name())));
        };
        Ok(Self {
            config: state.config()?,
            sandbox,
            state,
            keeper: None,
        })
    }

    /// Lets the lab stay up without this process.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn leave_up(mut self) -> Result<()> {
        self.keeper
            .take()
            .map_or(Ok(()), |keeper| keeper.detach().map(drop))
    }

    /// Takes the lab down, whoever brought it up.
    ///
    /// # Errors
    /// Its state folder cannot be removed.
    pub fn down(mut self) -> Result<()> {
        self.keeper = None;
        take_down(&self.state)
    }

    /// What the lab was built from.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The sandbox, for what this type has no word for.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// A command in a pod (`namespace/name` or `name`), node, outside host or `gateway`. On a node, `vswitchctl` is in
    /// PATH and talks to that node's daemon.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn command(&self, target: &str, argv: &[impl AsRef<std::ffi::OsStr>]) -> Result<Command> {
        let mut command = self.sandbox.command(Some(&self.netns(target)?), argv);
        if self.config.nodes.iter().any(|node| node.name == target) {
            command.env("VSWITCHD_SOCKET", node::socket(target));
            if let Ok(Some(folder)) =
                Binaries::find().map(|found| found.vswitchctl.parent().map(Path::to_path_buf))
            {
                let mut path = folder.into_os_string();
                path.push(":");
                path.push(crate::binaries::system_path());
                command.env("PATH", path);
            }
        }
        Ok(command)
    }

    /// Runs a command in a pod, node, outside host or `gateway` and collects its output, whatever its status.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn exec(&self, target: &str, argv: &[impl AsRef<std::ffi::OsStr>]) -> Result<Output> {
        self.command(target, argv)?
            .output()
            .map_err(io_error("cannot run", "nsenter"))
    }

    /// A command that writes the frames of an interface of a pod, node, outside host or `gateway` to its standard
    /// output, as pcap.
    ///
    /// # Errors
    /// [`Error::Unknown`], or `vswitchctl` is not found.
    pub fn tap(&self, target: &str, interface: &str) -> Result<Command> {
        let program = Binaries::find()?.vswitchctl.to_string_lossy().into_owned();
        self.command(target, &[program.as_str(), "lab", "tap-here", interface])
    }

    fn netns(&self, target: &str) -> Result<String> {
        let nodes = self.config.nodes.iter().map(|node| node.name.clone());
        let outside = self
            .config
            .outside
            .iter()
            .map(|host| (host.address.to_string(), host.netns()));
        let gateway = topology::GATEWAY.to_string();
        let mut places: Vec<(String, String)> = nodes
            .chain([gateway])
            .map(|name| (name.clone(), name))
            .collect();
        places.extend(
            outside.flat_map(|(address, netns)| [(address, netns.clone()), (netns.clone(), netns)]),
        );
        if let Some((_, netns)) = places.iter().find(|(name, _)| name == target) {
            return Ok(netns.clone());
        }
        let pod = pod::find(&self.sandbox, target).map(|attachment| attachment.pod.netns());
        pod.map_err(|error| match error {
            Error::Unknown {
                kind: "pod",
                name,
                known,
            } => {
                let mut names: Vec<String> = places.into_iter().map(|(name, _)| name).collect();
                names.dedup();
                Error::Unknown {
                    kind: "pod, node or outside host",
                    name,
                    known: format!("{known}, {}", names.join(", ")),
                }
            }
            other => other,
        })
    }

    /// The address of a pod.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn address(&self, pod: &str) -> Result<Ipv4Addr> {
        let attachment = pod::find(&self.sandbox, pod)?;
        attachment.address().parse().map_err(|_| Error::Plugin {
            verb: "ADD",
            pod: pod.into(),
            plugin: "vswitch".into(),
            message: format!(
                "expected an address in its result, found `{}`",
                attachment.result
            ),
        })
    }

    /// Puts a manifest in force, under its file name.
    ///
    /// # Errors
    /// It cannot be read, or its name will not do.
    pub fn apply(&self, file: impl AsRef<Path>) -> Result<()> {
        manifest::apply(&self.sandbox, file.as_ref())
    }

    /// Takes a manifest out of force, by its file name.
    ///
    /// # Errors
    /// None of that name is in force.
    pub fn delete(&self, file: impl AsRef<Path>) -> Result<()> {
        manifest::delete(&self.sandbox, file.as_ref())
    }

    /// Starts a pod.
    ///
    /// # Errors
    /// It exists, its node does not, the plugin fails.
    pub fn pod_add(&self, pod: &Pod) -> Result<Attachment> {
        self.daemon(&pod.node)?;
        self.pods(&Binaries::find()?).add(pod)
    }

    /// Ends a pod.
    ///
    /// # Errors
    /// It does not exist, or the plugin fails.
    pub fn pod_delete(&self, pod: &str) -> Result<()> {
        self.pods(&Binaries::find()?).delete(pod)
    }

    /// CNI CHECK of a pod.
    ///
    /// # Errors
    /// It does not exist, or is not as ADD left it.
    pub fn pod_check(&self, pod: &str) -> Result<()> {
        self.pods(&Binaries::find()?).check(pod)
    }

    /// Every pod that runs, with its container id and the result of its ADD.
    #[must_use]
    pub fn pod_list(&self) -> Vec<Attachment> {
        pod::list(&self.sandbox)
    }

    /// Ends the daemon of a node and starts it again; returns when it is ready.
    ///
    /// # Errors
    /// No such node, or the daemon does not end or does not become ready.
    pub fn restart(&self, node: &str, kill: Kill) -> Result<()> {
        self.stop(node, kill)?;
        self.start(node)
    }

    /// Ends the daemon of a node.
    ///
    /// # Errors
    /// No such node, or it does not end.
    pub fn stop(&self, node: &str, kill: Kill) -> Result<()> {
        self.daemon(node)?
            .stop(if kill == Kill::Hard { "KILL" } else { "TERM" })
    }

    /// Starts the daemon of a node that does not run; returns when it is ready.
    ///
    /// # Errors
    /// No such node, or it does not become ready.
    pub fn start(&self, node: &str) -> Result<()> {
        let daemon = self.daemon(node)?;
        daemon.start(&Binaries::find()?)?;
        daemon.wait_ready()
    }

    /// One request to the daemon of a node.
    ///
    /// # Errors
    /// No such node, or the exchange fails.
    pub fn ask(&self, node: &str, request: &Request) -> Result<Response> {
        let answer = self.daemon(node)?.ask(request);
        answer.map_err(|reason| Error::Command {
            what: format!("asking vswitchd of node {node}"),
            command: format!("{request:?}"),
            status: "no answer".into(),
            stderr: reason,
        })
    }

    /// The daemon of a node.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn daemon<'a>(&'a self, node: &'a str) -> Result<Daemon<'a>> {
        if self.config.nodes.iter().any(|known| known.name == node) {
            return Ok(Daemon::of(&self.sandbox, node));
        }
        let known: Vec<&str> = self
            .config
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        Err(Error::Unknown {
            kind: "node",
            name: node.into(),
            known: known.join(", "),
        })
    }

    fn pods<'a>(&'a self, binaries: &'a Binaries) -> Pods<'a> {
        Pods::of(&self.sandbox, binaries, &self.config)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.keeper.take().is_some() {
            let _ = take_down(&self.state);
        }
    }
}

/// Ends what is left of a lab and removes its folder; what is not there is no error.
///
/// # Errors
/// Another process is at it, or the folder cannot be removed.
pub(crate) fn take_down(state: &StateDir) -> Result<()> {
    let lock = state.lock()?;
    if let Some(sandbox) = state.sandbox() {
        sandbox.end();
    }
    state.remove(lock)
}

fn only_one() -> Result<StateDir> {
    let mut up: Vec<StateDir> = StateDir::all()?;
    up.retain(|state| state.sandbox().is_some_and(|sandbox| sandbox.is_alive()));
    match up.len() {
        1 => Ok(up.remove(0)),
        0 => Err(Error::NotUp("no lab is up".into())),
        _ => {
            let names: Vec<&str> = up.iter().map(StateDir::name).collect();
            Err(Error::Several(names.join(", ")))
        }
    }
}
