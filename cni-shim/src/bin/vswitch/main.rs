//! `vswitch`, the CNI plugin: wires a pod's interface and hands it to the daemon.
//!
//! A runtime starts it with `CNI_*` variables and a network configuration on standard input, and
//! reads JSON from standard output: the result, or `{cniVersion, code, msg, details}` with a
//! non-zero exit status. People read standard error and `log_file_path`.
//!
//! One file a verb: [`add`], [`del`], [`check`], [`gc`], [`status`]. VERSION is below.
#![forbid(unsafe_code)]

mod add;
mod call;
mod check;
mod config;
mod daemon;
mod del;
mod delegate;
mod environment;
mod failure;
mod gc;
mod ipam;
mod log;
mod result;
mod status;
mod version;
mod wiring;

use std::{
    env,
    io::{self, Read, Write},
    panic,
    process::ExitCode,
};

use cni_shim::error_code;
use serde_json::{Value, json};

use crate::{
    call::Call,
    environment::{Environment, Verb},
    failure::Failure,
    version::Version,
};

const ABOUT: &str = "vswitch: the CNI plugin of vswitchd. It is started by a container runtime, \
                     with CNI_COMMAND and the other CNI_* variables set and the network \
                     configuration on standard input.";

fn main() -> ExitCode {
    if env::args()
        .nth(1)
        .is_some_and(|flag| flag == "-v" || flag == "--version")
    {
        return print(io::stdout(), env!("CARGO_PKG_VERSION"));
    }
    let Some(command) = env::var_os("CNI_COMMAND") else {
        return print(
            io::stderr(),
            &format!("{ABOUT}\nCNI versions: {}", Version::list()),
        );
    };
    let mut input = String::new();
    let read = io::stdin().read_to_string(&mut input);
    let answer = read.map_err(|error| {
        Failure::new(
            error_code::IO_FAILURE,
            format!("cannot read standard input: {error}"),
        )
    });
    let answer = answer.and_then(|_| guarded(&command.to_string_lossy(), &input));
    match answer {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(value)) => print(io::stdout(), &value.to_string()),
        Err(failure) => {
            print(
                io::stdout(),
                &failure.to_json(&version::as_given(&input)).to_string(),
            );
            ExitCode::FAILURE
        }
    }
}

fn print(mut stream: impl Write, text: &str) -> ExitCode {
    match writeln!(stream, "{text}").and_then(|()| stream.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// A runtime must be answered in JSON even if we fail in a way nobody thought of.
fn guarded(command: &str, input: &str) -> Result<Option<Value>, Failure> {
    panic::catch_unwind(|| run(command, input)).unwrap_or_else(|_| {
        Err(Failure::new(
            error_code::INTERNAL,
            "the plugin panicked; standard error says where",
        ))
    })
}

fn run(command: &str, input: &str) -> Result<Option<Value>, Failure> {
    let verb = Verb::parse(command)?;
    if verb == Verb::Version {
        return Ok(Some(version_info(input)?));
    }
    let environment = Environment::read(verb, |name| env::var(name).ok())?;
    let call = Call::new(environment, config::read(input)?)?;
    match verb {
        Verb::Add => add::run(&call).map(Some),
        Verb::Del => del::run(&call).map(|()| None),
        Verb::Check => check::run(&call).map(|()| None),
        Verb::Gc => gc::run(&call).map(|()| None),
        Verb::Status => status::run(&call).map(|()| None),
        Verb::Version => Ok(None), // answered above
    }
}

/// VERSION: the given version back, and all that are supported.
fn version_info(input: &str) -> Result<Value, Failure> {
    if !input.trim().is_empty() {
        config::parse_json(input)?;
    }
    let supported: Vec<&str> = Version::ALL.iter().map(|version| version.name()).collect();
    Ok(json!({ "cniVersion": version::as_given(input), "supportedVersions": supported }))
}
