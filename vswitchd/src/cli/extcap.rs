//! `vswitchctl extcap`: Wireshark's side of a capture.
//!
//! Wireshark and tshark ask each program in their extcap folder what it can capture, and start it when the user does
//! (doc/extcap.4, "extcap"). `make install` puts a link to `vswitchctl` there under the name [`PROGRAM`]; started by that name, it
//! needs no verb. Without a daemon it offers nothing and says nothing: other interfaces are to be listed all the same.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use cni_shim::capture::{Capture, Direction, Scope, Stage};
use cni_shim::{Request, Response};

use super::capture::{self, Sink, filter};
use super::{Daemon, say};

/// Started by this name, `vswitchctl` is an extcap.
pub(super) const PROGRAM: &str = "vswitch-extcap";
/// What our interfaces' names begin with.
const PREFIX: &str = "vswitch-";

/// Arguments of `vswitchctl extcap`, as Wireshark gives them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Not for people: `make install` puts it where Wireshark and tshark find it. Then:
  tshark -D
  tshark -i vswitch-all -c 5")]
pub(super) struct Args {
    /// List what can be captured.
    #[arg(long)]
    extcap_interfaces: bool,
    /// The version of who asks.
    #[arg(long, value_name = "VERSION")]
    extcap_version: Option<String>,
    /// What is to be captured.
    #[arg(long, value_name = "NAME")]
    extcap_interface: Option<String>,
    /// List the interface's link types.
    #[arg(long)]
    extcap_dlts: bool,
    /// List the interface's settings.
    #[arg(long)]
    extcap_config: bool,
    /// A filter: with --capture it is applied, else it is examined.
    #[arg(long, value_name = "FILTER")]
    extcap_capture_filter: Option<String>,
    /// Capture.
    #[arg(long, requires = "fifo")]
    capture: bool,
    /// Where to.
    #[arg(long, value_name = "FILE")]
    fifo: Option<PathBuf>,
    /// Setting: where to look.
    #[arg(long, value_delimiter = ',', default_value = "rx,tx,drop")]
    stages: Vec<Stage>,
    /// Setting: one direction only.
    #[arg(long, value_parser = ["both", "in", "out"], default_value = "both")]
    direction: String,
    /// Setting: of dropped frames, only those with these reasons.
    #[arg(long, value_delimiter = ',')]
    reasons: Vec<String>,
    /// Setting: bytes kept of each frame at most; 0 = all.
    #[arg(long, default_value_t = capture::WHOLE_FRAME)]
    snap_len: u32,
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        if self.extcap_interfaces {
            return done(&interfaces(daemon));
        }
        let name = self.extcap_interface.as_deref();
        let name = name.context("expected --extcap-interfaces or --extcap-interface NAME")?;
        if self.extcap_dlts {
            return done("dlt {number=1}{name=EN10MB}{display=Ethernet}");
        }
        if self.extcap_config {
            return done(&settings(&scope(name)?));
        }
        match (&self.fifo, &self.extcap_capture_filter) {
            (Some(fifo), _) if self.capture => self.capture(daemon, name, fifo),
            // Whatever is said is what is wrong.
            (_, Some(expression)) => match filter::compile(expression) {
                Ok(_) => Ok(ExitCode::SUCCESS),
                Err(error) => done(&error.to_string()),
            },
            _ => bail!("expected --capture --fifo FILE, --extcap-dlts or --extcap-config"),
        }
    }

    fn capture(&self, daemon: &Daemon, name: &str, fifo: &Path) -> anyhow::Result<ExitCode> {
        let expression = self.extcap_capture_filter.clone().unwrap_or_default();
        let scope = scope(name)?;
        let request = Capture {
            stages: self.stages.clone(),
            reasons: self
                .reasons
                .iter()
                .filter(|reason| !reason.is_empty())
                .cloned()
                .collect(),
            direction: match (&scope, self.direction.as_str()) {
                (Scope::All, _) | (_, "both") => None,
                (_, "in") => Some(Direction::In),
                _ => Some(Direction::Out),
            },
            filter: filter::compile(&expression)?,
            scope,
            snap_len: self.snap_len,
            expression,
        };
        let session = capture::Session::begin(daemon, &Request::Capture(request))?;
        let reader = OpenOptions::new().write(true).open(fifo);
        let reader = reader.with_context(|| format!("opening {}", fifo.display()))?;
        session.end_when_told(None, Some(reader.into()))?;
        let expression = self.extcap_capture_filter.as_deref().unwrap_or_default();
        let sink = Sink::file(fifo, self.snap_len, expression)?;
        capture::pump(session, sink, None)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn done(text: &str) -> anyhow::Result<ExitCode> {
    if !text.is_empty() {
        say(text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One line each: all, the uplink, the host, and each pod of the node.
fn interfaces(daemon: &Daemon) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut lines = vec![format!("extcap {{version={version}}}{{display=vswitchd}}")];
    let request = Request::Show {
        what: "endpoints".into(),
        limit: None,
    };
    // An interface that cannot be captured is not there.
    if let Ok(Response::Table { rows }) = daemon.ask(&request) {
        let interface = |name: &str, display: &str| {
            format!("interface {{value={PREFIX}{name}}}{{display=vswitchd: {display}}}")
        };
        lines.push(interface("all", "every port"));
        lines.push(interface("uplink", "the uplink"));
        lines.push(interface("host", "the host, tunl0"));
        let pods = rows.iter().filter_map(|row| row.get("endpoint")?.as_str());
        lines.extend(
            pods.map(|pod| interface(&format!("pod-{}", dotted(pod)), &format!("pod {pod}"))),
        );
    }
    lines.join("\n")
}

/// A namespace has no dot and an interface no slash.
fn dotted(pod: &str) -> String {
    pod.replacen('/', ".", 1)
}

/// What an interface's name means.
fn scope(name: &str) -> anyhow::Result<Scope> {
    let ours = name.strip_prefix(PREFIX);
    match ours {
        Some("all") => Ok(Scope::All),
        Some("uplink") => Ok(Scope::Uplink),
        Some("host") => Ok(Scope::Host),
        Some(other) => match other.strip_prefix("pod-") {
            Some(pod) => Ok(Scope::Pod(pod.replacen('.', "/", 1))),
            None => {
                bail!("expected {PREFIX}all, -uplink, -host or -pod-NAMESPACE.POD, found {name:?}")
            }
        },
        None => bail!("expected an interface that begins with {PREFIX}, found {name:?}"),
    }
}

/// The settings, in the words of Wireshark's dialog.
fn settings(scope: &Scope) -> String {
    let mut lines = vec![
        "arg {number=0}{call=--stages}{display=Stages}{type=multicheck}\
         {tooltip=Where on its way through the switch a frame is shown}"
            .to_owned(),
    ];
    for stage in Stage::ALL {
        let is_default = matches!(stage, Stage::Rx | Stage::Tx | Stage::Drop);
        lines.push(format!(
            "value {{arg=0}}{{value={stage}}}{{display={stage}}}{{default={is_default}}}"
        ));
    }
    lines.push(
        "arg {number=1}{call=--reasons}{display=Drop reasons}{type=string}\
         {tooltip=Labels of vswitchctl show drops, with commas; empty: all}"
            .to_owned(),
    );
    lines.push(format!(
        "arg {{number=2}}{{call=--snap-len}}{{display=Bytes of a frame}}{{type=unsigned}}{{range=0,{most}}}{{default={most}}}",
        most = capture::WHOLE_FRAME
    ));
    if *scope != Scope::All {
        lines.push("arg {number=3}{call=--direction}{display=Direction}{type=selector}".to_owned());
        for (value, display) in [("both", "both"), ("in", "in"), ("out", "out")] {
            let is_default = value == "both";
            lines.push(format!(
                "value {{arg=3}}{{value={value}}}{{display={display}}}{{default={is_default}}}"
            ));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_the_scope_it_was_made_of() {
        assert_eq!(scope("vswitch-all").unwrap(), Scope::All);
        assert_eq!(scope("vswitch-host").unwrap(), Scope::Host);
        let pod = format!("{PREFIX}pod-{}", dotted("shop/web.v2"));
        assert_eq!(scope(&pod).unwrap(), Scope::Pod("shop/web.v2".into()));
        for strange in ["eth0", "vswitch-", "vswitch-web"] {
            assert!(scope(strange).unwrap_err().to_string().contains("expected"));
        }
    }

    #[test]
    fn without_a_daemon_nothing_is_offered_and_nothing_goes_wrong() {
        let text = interfaces(&Daemon("/nonexistent/vswitchd.sock".into()));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("extcap {version="), "{text}");
    }

    #[test]
    fn every_setting_is_an_argument_with_its_default() {
        let text = settings(&Scope::Host);
        for stage in Stage::ALL {
            assert!(text.contains(&format!("{{value={stage}}}")), "{text}");
        }
        assert!(text.contains("--direction") && !settings(&Scope::All).contains("--direction"));
    }
}
