//! The daemons: a TOML, a state folder and a socket per node, the real `vswitchd` in the node's namespace.

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use cni_shim::{Client, Request, Response};

use crate::{
    binaries::Binaries,
    config::{Config, Node},
    error::{Error, Result, io_error},
    manifest,
    sandbox::Sandbox,
};

/// Longest a daemon may take to say that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// Longest one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Longest a daemon may take to end after SIGTERM.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

/// Folder of a node inside the sandbox: config, state, socket, log.
#[must_use]
pub fn folder(node: &str) -> String {
    format!("/run/lab/{node}")
}

/// Socket of a node's daemon, inside the sandbox.
#[must_use]
pub fn socket(node: &str) -> String {
    format!("{}/vswitchd.sock", folder(node))
}

/// Log of a node's daemon, inside the sandbox.
#[must_use]
pub fn log(node: &str) -> String {
    format!("{}/vswitchd.log", folder(node))
}

fn pid_file(node: &str) -> String {
    format!("{}/vswitchd.pid", folder(node))
}

/// One node's daemon, as seen from outside the sandbox.
#[derive(Clone, Copy, Debug)]
pub struct Daemon<'a> {
    sandbox: &'a Sandbox,
    node: &'a str,
}

impl<'a> Daemon<'a> {
    /// The daemon of a node; it need not run.
    #[must_use]
    pub fn of(sandbox: &'a Sandbox, node: &'a str) -> Self {
        Self { sandbox, node }
    }

    /// Writes its TOML.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn configure(&self, config: &Config, node: &Node) -> Result<()> {
        let text = toml::to_string(&daemon_toml(config, node)).unwrap_or_default();
        self.sandbox
            .write(&format!("{}/vswitchd.toml", folder(&node.name)), &text)
    }

    /// Starts it; see [`Daemon::wait_ready`].
    ///
    /// # Errors
    /// [`Error::Command`].
    pub fn start(&self, binaries: &Binaries) -> Result<()> {
        let config = format!("{}/vswitchd.toml", folder(self.node));
        let program = binaries.vswitchd.to_string_lossy();
        let argv = [program.as_ref(), "--config", config.as_str()];
        self.sandbox
            .daemon(self.node, &log(self.node), &pid_file(self.node), &argv)
    }

    /// Waits until it would serve a CNI ADD.
    ///
    /// # Errors
    /// [`Error::NotReady`] with the end of its log, at once if it has ended.
    pub fn wait_ready(&self) -> Result<()> {
        let start = Instant::now();
        let mut last;
        loop {
            last = match self.ask(&Request::Status {}) {
                Ok(Response::Ready {}) => return Ok(()),
                Ok(Response::Error {
                    message, details, ..
                }) => format!("it says: {message} {details}"),
                Ok(other) => format!("it answered {other:?}"),
                Err(reason) => reason,
            };
            if start.elapsed() > READY_WITHIN {
                break;
            }
            if self.pid().is_none() && start.elapsed() > Duration::from_millis(200) {
                last = "it has ended".into();
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(Error::NotReady {
            node: self.node.into(),
            waited: start.elapsed(),
            last,
            log: self.log_tail(20),
        })
    }

    /// One request over its socket.
    ///
    /// # Errors
    /// A sentence: it does not listen, or the exchange failed.
    pub fn ask(&self, request: &Request) -> std::result::Result<Response, String> {
        let path = self.sandbox.path(socket(self.node));
        let mut client = Client::connect_with_timeout(&path, ANSWER_WITHIN)
            .map_err(|error| error.to_string())?;
        client.call(request).map_err(|error| error.to_string())
    }

    /// Its process id inside the sandbox; none if it does not run.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.sandbox.path(pid_file(self.node))).ok()?;
        let pid: i32 = text.trim().parse().ok()?;
        let stat = fs::read_to_string(self.sandbox.path(format!("/proc/{pid}/stat"))).ok()?;
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        (state != 'Z').then_some(pid)
    }

    /// Ends it with a signal (`TERM`, `KILL`) and waits until it is gone. Not running is a success.
    ///
    /// # Errors
    /// [`Error::Command`]: it did not end in time.
    pub fn stop(&self, signal: &str) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        self.sandbox.run(
            "stopping a daemon",
            None,
            &["kill", "-s", signal, &pid.to_string()],
        )?;
        let start = Instant::now();
        // Gone is reaped: while a zombie still has threads to bury, its locks are held.
        while self.sandbox.path(format!("/proc/{pid}")).exists() {
            if start.elapsed() > ENDED_WITHIN {
                return Err(Error::Command {
                    what: format!("stopping vswitchd of node {}", self.node),
                    command: format!("kill -s {signal} {pid}"),
                    status: format!("no end of the process within {ENDED_WITHIN:?}"),
                    stderr: self.log_tail(5),
                });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Its whole log.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read_log(&self) -> Result<String> {
        let path: PathBuf = self.sandbox.path(log(self.node));
        fs::read_to_string(&path).map_err(io_error("cannot read", path))
    }

    fn log_tail(&self, lines: usize) -> String {
        let text = self.read_log().unwrap_or_else(|error| error.to_string());
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// The TOML of one daemon: what the lab knows, then the `[daemon]` keys of the lab, then the node's own.
fn daemon_toml(config: &Config, node: &Node) -> toml::Table {
    let prefix = config.underlay.gateway.prefix_len();
    let mut table = toml::Table::new();
    let mut set = |key: &str, value: String| table.insert(key.into(), value.into());
    set("node", node.name.clone());
    set("address", format!("{}/{prefix}", node.address));
    set("uplink", "eth0".into());
    set("state_dir", format!("{}/state", folder(&node.name)));
    set("socket", socket(&node.name));
    set("policy_dir", manifest::FOLDER.into());
    let pools = config
        .pools
        .iter()
        .filter_map(|pool| toml::Value::try_from(pool).ok())
        .collect();
    table.insert("pool".into(), toml::Value::Array(pools));
    let peers = config.nodes.iter().filter(|peer| peer.name != node.name);
    let peers = peers.map(|peer| {
        let address = format!("{}/{prefix}", peer.address);
        toml::Value::Table(
            [("name", peer.name.clone()), ("address", address)]
                .map(|(k, v)| (k.into(), v.into()))
                .into_iter()
                .collect(),
        )
    });
    table.insert("peer".into(), toml::Value::Array(peers.collect()));
    table.extend(config.daemon.clone());
    table.extend(node.daemon.clone());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_told_of_its_peers_and_of_the_keys_written_for_it() {
        let text = r#"
            name = "x"
            daemon = { workers = 2, mtu = 1400 }
            underlay = { gateway = "10.0.0.1/24" }
            node = [{ name = "a", address = "10.0.0.2" }, { name = "b", address = "10.0.0.3", daemon = { workers = 1 } }]
            pool = [{ name = "p", cidr = "10.244.0.0/16" }]
        "#;
        let config = Config::parse("x", text).unwrap();
        let table = daemon_toml(&config, &config.nodes[1]);
        assert_eq!(table["address"].as_str(), Some("10.0.0.3/24"));
        assert_eq!(table["workers"].as_integer(), Some(1));
        assert_eq!(table["mtu"].as_integer(), Some(1400));
        let peers = table["peer"].as_array().unwrap();
        assert_eq!(peers.len(), 1);
        assert_eq!(peers[0]["address"].as_str(), Some("10.0.0.2/24"));
        assert_eq!(table["pool"][0]["ipip"].as_str(), Some("Always"));
    }
}
