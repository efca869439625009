//! The sandbox: one keeper process that holds a PID, a mount and a network namespace of its own, and
//! the ways into it.
//!
//! The keeper is process 1 of its PID namespace: when it ends, however it ends, the kernel kills every
//! process inside, and with the last of them go the namespaces, interfaces and the tmpfs on `/run`. Not being root,
//! the sandbox also has a user namespace in which the user is root.
//!
//! The keeper lives as long as the pipe on its standard input, so the sandbox of a test dies with the test, however that
//! ends; the word `detached` on the pipe lets it stay until it is killed. Meanwhile it reaps orphans, as process 1 must.
//!
//! Everything is done with util-linux (`unshare`, `nsenter`, `setpriv`) and iproute2; no `unsafe`.

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use serde::{Deserialize, Serialize};

use crate::{
    binaries::system_path,
    error::{Error, Result, io_error},
    requirements,
};

/// What the keeper runs. Its first act is to learn its process id as the caller sees it, from the caller's `/proc`.
const KEEPER: &str = r#"
exec 3<&0
read -r pid rest </proc/self/stat
mount -t proc proc /proc || exit 1
mount -t tmpfs -o mode=755 tmpfs /run || exit 1
mkdir -p /run/netns /run/lab
ip link set lo up || exit 1
echo "$pid"
(read -r word <&3 && [ "$word" = detached ]) & wait $! || exit 0
exec 3<&- <&-
while :; do sleep 1000000 & wait $!; done
"#;

/// A running sandbox: how to find its keeper again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Process id of the keeper, as seen from outside.
    pub keeper: i32,
    /// When it started, in clock ticks since boot: tells it from a later process of the same id.
    pub started_ticks: u64,
    /// Whether it has a user namespace of its own.
    pub user_namespace: bool,
}

/// A keeper that lives as long as this value.
#[derive(Debug)]
pub struct Keeper {
    /// The sandbox it holds.
    pub sandbox: Sandbox,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Keeper {
    /// Starts a keeper. Until [`Keeper::detach`] the sandbox ends when this value is dropped or this process dies.
    ///
    /// # Errors
    /// [`Error::Requirement`]: a tool is missing, `/dev/net/tun` is closed, or namespaces are forbidden.
    pub fn start() -> Result<Self> {
        requirements::check()?;
        let user_namespace = !geteuid().is_root();
        let mut command = Command::new("unshare");
        command.args(["--fork", "--kill-child", "--pid", "--mount", "--net"]);
        if user_namespace {
            command.args(["--user", "--map-root-user"]);
        }
        command
            .args(["sh", "-c", KEEPER])
            .current_dir("/")
            .process_group(0)
            .env("PATH", system_path());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(io_error("cannot run", "unshare"))?;
        match read_keeper_pid(&mut child) {
            Ok(keeper) => Ok(Self {
                sandbox: Sandbox {
                    keeper,
                    started_ticks: started_ticks(keeper).unwrap_or(0),
                    user_namespace,
                },
                stdin: child.stdin.take(),
                child,
            }),
            Err(complaint) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(Error::Requirement(format!(
                    "the sandbox could not be made: {complaint}"
                )))
            }
        }
    }

    /// Lets the sandbox live on without this process.
    ///
    /// # Errors
    /// The keeper is gone already.
    pub fn detach(mut self) -> Result<Sandbox> {
        if let Some(stdin) = &mut self.stdin {
            let path = format!("/proc/{}", self.sandbox.keeper);
            writeln!(stdin, "detached").map_err(io_error("cannot speak to the keeper", path))?;
        }
        self.stdin = None;
        Ok(self.sandbox.clone())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if self.stdin.is_some() {
            self.sandbox.end();
            let _ = self.child.wait();
        }
    }
}

impl Sandbox {
    /// Whether the keeper still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        started_ticks(self.keeper).is_some_and(|ticks| ticks == self.started_ticks)
    }

    /// Ends the keeper, and so everything inside; returns when it is gone.
    pub fn end(&self) {
        while self.is_alive() {
            let _ = kill(Pid::from_raw(self.keeper), Signal::SIGKILL);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Where a path inside (`/run/...`) is seen from outside.
    #[must_use]
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        let inside = inside.as_ref();
        Path::new(&format!("/proc/{}/root", self.keeper))
            .join(inside.strip_prefix("/").unwrap_or(inside))
    }

    /// Writes a file inside, whole or not at all, and the folders above it.
    ///
    /// # Errors
    /// [`Error::Io`] with the path inside.
    pub fn write(&self, inside: &str, content: &str) -> Result<()> {
        let path = self.path(inside);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = path.with_file_name(format!(".{name}.unfinished"));
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            fs::write(&unfinished, content)?;
            fs::rename(&unfinished, &path)
        };
        write().map_err(io_error("cannot write", inside))
    }

    /// A command inside: in the network namespace of that name, or in the sandbox's own. It starts in `/`, and dies with
    /// the `nsenter` that the returned command starts.
    #[must_use]
    pub fn command(&self, netns: Option<&str>, argv: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.keeper.to_string(), "-m", "-n", "-p"]);
        if self.user_namespace {
            command.args(["-U", "--preserve-credentials"]);
        }
        command
            .args(["--", "setpriv", "--pdeathsig", "KILL", "--"])
            .env("PATH", system_path());
        if let Some(netns) = netns {
            command.args(["ip", "netns", "exec", netns]);
        }
        command.args(argv);
        command
    }

    /// Runs a command inside and waits; a status other than 0 is an error.
    ///
    /// # Errors
    /// [`Error::Command`] with `what` it was for and what it wrote to standard error.
    pub fn run(&self, what: &str, netns: Option<&str>, argv: &[&str]) -> Result<Output> {
        let output = self.command(netns, argv).stdin(Stdio::null()).output();
        check(what, argv, output)
    }

    /// Runs `ip -batch` with these lines, in the network namespace of that name or in the sandbox's own.
    ///
    /// # Errors
    /// [`Error::Command`]; the message of `ip` names the line.
    pub fn ip_batch(&self, what: &str, netns: Option<&str>, lines: &[String]) -> Result<()> {
        let argv = ["ip", "-batch", "-"];
        let output = feed(self.command(netns, &argv), lines.join("\n").as_bytes());
        check(what, &argv, output).map(drop)
    }

    /// Starts a program inside that lives on without us: output appended to `log`, process id (as seen inside) in `pid_file`.
    ///
    /// # Errors
    /// [`Error::Command`]: it could not even be started.
    pub fn daemon(&self, netns: &str, log: &str, pid_file: &str, argv: &[&str]) -> Result<()> {
        const SCRIPT: &str = r#"echo $$ >"$2"; exec >>"$1" 2>&1 </dev/null; shift 2; exec "$@""#;
        let mut whole = vec!["setsid", "--fork", "sh", "-c", SCRIPT, "sh", log, pid_file];
        whole.extend(["ip", "netns", "exec", netns]);
        whole.extend(argv);
        let output = self.command(None, &whole).stdin(Stdio::null()).output();
        check("starting a daemon", argv, output).map(drop)
    }
}

/// Runs a command with `input` on its standard input and collects its output.
///
/// # Errors
/// It cannot be started.
pub fn feed(mut command: Command, input: &[u8]) -> io::Result<Output> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input to the end is no error of ours: its status tells.
        let _ = stdin.write_all(input);
    }
    child.wait_with_output()
}

fn check(what: &str, argv: &[impl AsRef<str>], output: io::Result<Output>) -> Result<Output> {
    let output = output.map_err(io_error("cannot run", "nsenter"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = if output.stderr.is_empty() {
        &output.stdout
    } else {
        &output.stderr
    };
    Err(Error::Command {
        what: what.into(),
        command: argv.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" "),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(said).trim().into(),
    })
}

/// The first line the keeper prints; if there is none, what was said instead.
fn read_keeper_pid(child: &mut Child) -> std::result::Result<i32, String> {
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let _ = BufReader::new(stdout).read_line(&mut line);
    }
    line.trim().parse().map_err(|_| {
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        format!(
            "{} (the lab needs the right to make namespaces)",
            said.trim()
        )
    })
}

/// Field 22 of `/proc/PID/stat` (proc(5)); none for a process that is gone or a zombie.
fn started_ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start_as_well() {
        let me = i32::try_from(std::process::id()).unwrap();
        let started_ticks = started_ticks(me).unwrap();
        let sandbox = Sandbox {
            keeper: me,
            started_ticks,
            user_namespace: false,
        };
        assert!(sandbox.is_alive());
        assert!(
            !Sandbox {
                started_ticks: started_ticks + 1,
                ..sandbox
            }
            .is_alive()
        );
    }
}
