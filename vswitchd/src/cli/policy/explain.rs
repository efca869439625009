//! `vswitchctl policy explain`: why a connection may or may not be opened.

use std::process::ExitCode;

use anyhow::bail;
use cni_shim::{Request, Response};
use policy::{
    ask::{FlowKind, Judge, Roster},
    explain::{explain, overview},
};

use super::state::State;
use crate::cli::{Daemon, say};

/// Arguments of `vswitchctl policy explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
FROM and TO are NAMESPACE/POD or an IP address. Without --port, what passes between them at all.

Exit status: 0 the story was told, whatever its end; 2 it could not be.

Examples:
  vswitchctl policy explain shop/web shop/db --port 5432/tcp
  vswitchctl policy explain 203.0.113.7 shop/web -f state.yaml -f policies --port 443/tcp
  vswitchctl policy explain shop/web kube-system/coredns --port 53/udp
  vswitchctl policy explain shop/web shop/db --port icmp:8/0")]
pub(super) struct Args {
    /// Who would open the connection.
    from: String,
    /// To whom.
    to: String,
    /// What would be sent: PORT/tcp, PORT/udp, PORT/sctp, icmp, icmp:TYPE/CODE, icmpv6 or
    /// protocol:NUMBER.
    #[arg(long, value_name = "TRAFFIC")]
    port: Option<FlowKind>,
    #[command(flatten)]
    state: State,
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let text = match self.state.is_given() {
            true => self.told()?,
            false => self.asked(daemon)?,
        };
        say(text.trim_end())?;
        Ok(ExitCode::SUCCESS)
    }

    fn told(&self) -> anyhow::Result<String> {
        let cluster = self.state.cluster()?;
        let Some(kind) = self.port else {
            let judge = Judge::new(cluster);
            let from = judge.roster().party(&self.from)?;
            let to = judge.roster().party(&self.to)?;
            return Ok(overview(&judge, &from, &to));
        };
        let roster = Roster::new(cluster);
        let (from, to) = (roster.party(&self.from)?, roster.party(&self.to)?);
        Ok(explain(&roster, &from, &to, kind)?.to_string())
    }

    fn asked(&self, daemon: &Daemon) -> anyhow::Result<String> {
        let response = daemon.ask(&Request::Explain {
            from: self.from.clone(),
            to: self.to.clone(),
            traffic: self.port.map(|kind| kind.to_string()),
        })?;
        match response {
            Response::Text { text } => Ok(text),
            other => {
                bail!("expected a text, vswitchd answered {other:?}; is it of another version?")
            }
        }
    }
}
