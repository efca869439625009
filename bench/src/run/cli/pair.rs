//! `vswitch-bench pair`.

use std::{net::Ipv4Addr, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::effort::Effort;
use crate::run::{interrupt, place::Place, progress::Progress, session, world::World};

#[derive(Debug, Args)]
pub(super) struct Pair {
    /// The namespaces, first the client's, then the server's: names of `ip netns`, paths, or process ids.
    #[arg(long, required = true, num_args = 1, action = clap::ArgAction::Append)]
    netns: Vec<String>,
    /// The server's address, as the client must use it; absent, the first one in the second namespace.
    #[arg(long)]
    address: Option<Ipv4Addr>,
    #[command(flatten)]
    effort: Effort,
}

impl Pair {
    pub(super) fn carry_out(self) -> Result<ExitCode> {
        let [client, server] = self.netns.as_slice() else {
            bail!(
                "expected --netns twice, the client's and the server's; found {}",
                self.netns.len()
            );
        };
        let plan = self.effort.plan(Vec::new(), Vec::new())?;
        let (client, server) = (Place::of_user(client)?, Place::of_user(server)?);
        let address = match self.address {
            Some(address) => address,
            None => first_address(&server)?,
        };
        interrupt::watch().context("cannot listen for Ctrl-C")?;
        let world = World::of_user(client, server, address);
        let mut report = plan.empty_report();
        let outcome = session::run_pair(&plan, world, &Progress::new(), &mut report);
        self.effort.publish(&report)?;
        outcome?;
        let complete = report
            .chapters
            .iter()
            .all(|chapter| chapter.failures.is_empty());
        Ok(ExitCode::from(u8::from(!complete)))
    }
}

fn first_address(place: &Place) -> Result<Ipv4Addr> {
    let argv = ["ip", "-4", "-oneline", "address", "show", "scope", "global"];
    let output = place
        .command(&argv)
        .output()
        .context("cannot run `nsenter`")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text
        .split_whitespace()
        .skip_while(|word| *word != "inet")
        .nth(1);
    let address = words.and_then(|word| word.split('/').next()?.parse().ok());
    address.with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!(
            "no IPv4 address in the second namespace; --address says which to use {}",
            said.trim()
        )
    })
}
