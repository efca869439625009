//! `vswitchctl lab`: a cluster on this machine, from the command line.

mod status;

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitCode, ExitStatus},
};

use clap::{Subcommand, ValueEnum};

use crate::{
    binaries::Binaries,
    config::{Config, Pod},
    demo,
    error::{Error, Result, io_error},
    lab::{Kill, Lab, take_down},
    state::StateDir,
    tap,
};

/// Arguments of `vswitchctl lab`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vswitchctl lab up -f configs/lab/minikube.toml
  vswitchctl lab exec nginx-manual -- ping -c 3 10.244.205.193
  vswitchctl lab ctl minikube-m02 -- show routes
  vswitchctl lab tap minikube-m02 | tcpdump -n -r - ip proto 4
  vswitchctl lab apply configs/policy/default-deny-ingress.yaml
  vswitchctl lab restart minikube-m02 --kill
  vswitchctl lab down")]
pub struct Args {
    /// The lab meant, where several are up.
    #[arg(long, global = true, value_name = "NAME")]
    lab: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring a lab up: underlay, a real vswitchd per node, every pod wired by the real CNI plugin.
    Up {
        /// The lab's TOML, such as configs/lab/minikube.toml.
        #[arg(short, long)]
        file: PathBuf,
    },
    /// Show the nodes, pods and outside hosts of a lab.
    Status {
        /// How to print.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Run a command in a pod (`name` or `namespace/name`), node, outside host or `gateway`.
    Exec {
        /// Where.
        target: String,
        /// What. It starts in `/`; its exit status is passed on.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Run vswitchctl against the daemon of a node.
    Ctl {
        /// Which node.
        node: String,
        /// Arguments of vswitchctl, such as `show routes`.
        #[arg(last = true, required = true)]
        arguments: Vec<String>,
    },
    /// Write the frames of an interface to standard output, as pcap for tcpdump, tshark or Wireshark.
    Tap {
        /// Pod, node, outside host or `gateway`.
        target: String,
        /// Which of its interfaces.
        #[arg(short, long, default_value = "eth0")]
        interface: String,
    },
    /// What `tap` runs inside.
    #[command(hide = true)]
    TapHere {
        /// Which interface.
        interface: String,
    },
    /// Put manifests in force: each is copied, under its file name, into the folder the daemons watch.
    Apply {
        /// Kubernetes YAML files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Take manifests out of force, by file name.
    Delete {
        /// The files that were applied; only their names matter.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Start, end or check a pod.
    #[command(subcommand)]
    Pod(PodVerb),
    /// End the daemon of a node and start it again; pods keep their wiring.
    Restart {
        /// Which node.
        node: String,
        /// End it with SIGKILL instead of SIGTERM.
        #[arg(long)]
        kill: bool,
    },
    /// Print the log of a node's daemon.
    Logs {
        /// Which node.
        node: String,
    },
    /// Take a lab down; nothing of it is left, also after a crash.
    Down,
    /// Play the walk-through on two labs and check every fact of it.
    Demo,
}

#[derive(Debug, Subcommand)]
enum PodVerb {
    /// Start a pod: a namespace, wired by CNI ADD.
    Add {
        /// `name` or `namespace/name`.
        pod: String,
        /// The node it runs on.
        #[arg(long)]
        node: String,
        /// A label, `key=value`; may be given several times.
        #[arg(long, value_parser = key_value)]
        label: Vec<(String, String)>,
    },
    /// End a pod: CNI DEL, then its namespace goes.
    Del {
        /// `name` or `namespace/name`.
        pod: String,
    },
    /// CNI CHECK: is the pod as ADD left it?
    Check {
        /// `name` or `namespace/name`.
        pod: String,
    },
}

/// How `status` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Carries the command out; errors are printed to standard error.
#[must_use]
#[expect(
    clippy::print_stderr,
    reason = "this is the end of a command line program"
)]
pub fn run(args: Args) -> ExitCode {
    match args.verb.run(args.lab.as_deref()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Verb {
    fn run(self, lab: Option<&str>) -> Result<ExitCode> {
        let find = || Lab::find(lab);
        match self {
            Self::Up { file } => up(Config::load(&file)?)?,
            Self::Status { output } => status::print(&find()?, output == Output::Json),
            Self::Exec { target, command } => return exec(&find()?, &target, &command),
            Self::Ctl { node, arguments } => return ctl(&find()?, &node, arguments),
            Self::Tap { target, interface } => return tap(&find()?, &target, &interface),
            Self::TapHere { interface } => pour(&interface)?,
            Self::Apply { files } => {
                let lab = find()?;
                files.iter().try_for_each(|file| lab.apply(file))?;
            }
            Self::Delete { files } => {
                let lab = find()?;
                files.iter().try_for_each(|file| lab.delete(file))?;
            }
            Self::Pod(verb) => verb.run(&find()?)?,
            Self::Restart { node, kill } => {
                find()?.restart(&node, if kill { Kill::Hard } else { Kill::Gently })?;
            }
            Self::Logs { node } => say(find()?.daemon(&node)?.read_log()?.trim_end()),
            Self::Down => down(lab)?,
            Self::Demo => return Ok(demo::run()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl PodVerb {
    fn run(self, lab: &Lab) -> Result<()> {
        match self {
            Self::Add { pod, node, label } => {
                let (namespace, name) = pod.split_once('/').unwrap_or(("default", &pod));
                let pod = Pod::new(namespace, name, &node, label);
                let attachment = lab.pod_add(&pod)?;
                say(&format!(
                    "{} {} {}",
                    pod.key(),
                    attachment.address(),
                    attachment.host_interface()
                ));
                Ok(())
            }
            Self::Del { pod } => lab.pod_delete(&pod),
            Self::Check { pod } => lab.pod_check(&pod),
        }
    }
}

fn up(config: Config) -> Result<()> {
    let name = config.name.clone();
    let lab = Lab::up_with(config, |step| say(&format!("  {step}")))?;
    status::print(&lab, false);
    lab.leave_up()?;
    say(&format!(
        "lab {name} is up; `vswitchctl lab down` takes it down"
    ));
    Ok(())
}

fn down(lab: Option<&str>) -> Result<()> {
    let mut states = match lab {
        Some(name) => vec![StateDir::of(name)?],
        None => StateDir::all()?,
    };
    match (states.pop(), states.is_empty()) {
        (None, _) => say("no lab is up"),
        (Some(state), true) => {
            take_down(&state)?;
            say(&format!("lab {} is down", state.name()));
        }
        (Some(last), false) => {
            let names: Vec<&str> = states.iter().chain([&last]).map(StateDir::name).collect();
            return Err(Error::Several(names.join(", ")));
        }
    }
    Ok(())
}

fn ctl(lab: &Lab, node: &str, arguments: Vec<String>) -> Result<ExitCode> {
    lab.daemon(node)?;
    let program = Binaries::find()?.vswitchctl.to_string_lossy().into_owned();
    exec(lab, node, &[vec![program], arguments].concat())
}

fn exec(lab: &Lab, target: &str, command: &[String]) -> Result<ExitCode> {
    let status = lab
        .command(target, command)?
        .status()
        .map_err(io_error("cannot run", "nsenter"))?;
    Ok(exit_code(status))
}

fn tap(lab: &Lab, target: &str, interface: &str) -> Result<ExitCode> {
    let status = lab.tap(target, interface)?.status();
    status
        .map(exit_code)
        .map_err(io_error("cannot run", "nsenter"))
}

/// A reader that has seen enough ends it without a complaint.
fn pour(interface: &str) -> Result<()> {
    match tap::pour(interface, &mut io::stdout().lock()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(io_error("cannot capture on", interface)(error))
        }
        _ => Ok(()),
    }
}

/// As a shell has it: the command's own status, or 128 and the signal that ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or(status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected key=value")?;
    Ok((key.into(), value.into()))
}

#[expect(
    clippy::print_stdout,
    reason = "this is what the command was asked for"
)]
fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_commands_of_the_help_text_parse() {
        Program::command().debug_assert();
        let help = Program::command().render_long_help().to_string();
        let examples: Vec<&str> = help
            .lines()
            .filter_map(|line| line.trim().strip_prefix("vswitchctl "))
            .collect();
        assert!(examples.len() >= 6, "{help}");
        for example in examples {
            let example = example.split(" | ").next().unwrap();
            Program::try_parse_from(example.split(' '))
                .unwrap_or_else(|error| panic!("{example}: {error}"));
        }
    }

    #[test]
    fn a_label_is_split_at_its_first_equals_sign() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(key_value("a").is_err());
    }
}
