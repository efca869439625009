//! Masquerading for pods that leave the cluster, by nftables, in a table of our own.
//!
//! The table is put in place at start, kept up to date, put back when somebody flushes it, and
//! removed at the end. Where nf_tables or the `nft` program is missing, that is said once, in one
//! sentence, and everything else works; it is tried again every now and then. (NAT in user space will stand beside this file.)

mod nft;
mod rules;

pub use rules::Rules;

use std::{
    collections::BTreeSet,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, after, bounded, unbounded};
use tracing::{info, warn};

/// After a change of nftables by somebody, this long is waited before looking.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// How often the table is looked at where the kernel does not report changes.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked at where it does (a report may be lost), and how often a table that could
/// not be put in place is tried again: nft may be busy, or not installed yet.
const RETRY: Duration = Duration::from_secs(30);

/// How often a table is loaded that somebody takes away at the same time.
const ATTEMPTS: u32 = 3;

enum Command {
    LocalAddresses(BTreeSet<Ipv4Addr>),
    Remove(Sender<()>),
}

/// The table's keeper. Clones speak to the same one.
#[derive(Clone)]
pub struct Nat {
    commands: Sender<Command>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Nat {
    /// Puts the table in place and leaves a thread behind that keeps it there.
    ///
    /// # Errors
    /// No thread can be started. Unusable nftables are no error: see [`Nat::trouble`].
    pub fn start(rules: Rules) -> io::Result<Self> {
        let (commands, inbox) = unbounded();
        let trouble = Arc::new(Mutex::new(None));
        let mut keeper = Keeper {
            rules,
            installed: None,
            trouble: trouble.clone(),
        };
        keeper.install();
        let changes = nft::changes();
        thread::Builder::new()
            .name("nat".into())
            .spawn(move || keeper.run(&inbox, changes))?;
        Ok(Self { commands, trouble })
    }

    /// Why pods cannot leave the cluster; `None` = they can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The host's addresses have changed.
    pub fn set_local_addresses(&self, addresses: BTreeSet<Ipv4Addr>) {
        let _ = self.commands.send(Command::LocalAddresses(addresses));
    }

    /// Removes the table; returns when it is gone.
    pub fn remove(&self) {
        let (done, wait) = bounded(1);
        if self.commands.send(Command::Remove(done)).is_ok() {
            let _ = wait.recv_timeout(Duration::from_secs(5));
        }
    }
}

struct Keeper {
    rules: Rules,
    /// The table as the kernel listed it after it was installed; `None` = it is not.
    installed: Option<String>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Keeper {
    fn run(mut self, inbox: &Receiver<Command>, changes: Option<Receiver<()>>) {
        let reported = changes.is_some();
        let mut tick = after(self.pause(reported));
        let changes = changes.unwrap_or_else(crossbeam_channel::never);
        loop {
            crossbeam_channel::select! {
                recv(inbox) -> command => match command {
                    Ok(Command::LocalAddresses(addresses)) => self.set_local(addresses),
                    Ok(Command::Remove(done)) => {
                        self.remove();
                        let _ = done.send(());
                        return;
                    }
                    Err(_) => return,
                },
                recv(changes) -> _ => {
                    thread::sleep(DEBOUNCE);
                    let _ = changes.try_recv();
                    self.repair();
                }
                recv(tick) -> _ => {
                    self.repair();
                    tick = after(self.pause(reported));
                }
            }
        }
    }

    /// How long until the next look.
    fn pause(&self, reported: bool) -> Duration {
        match self.installed {
            Some(_) if !reported => LOOK,
            _ => RETRY,
        }
    }

    fn set_local(&mut self, addresses: BTreeSet<Ipv4Addr>) {
        if self.rules.local_addresses != addresses {
            self.rules.local_addresses = addresses;
            self.install();
        }
    }

    fn install(&mut self) {
        let trouble = match put_in_place(&self.rules.script()) {
            Ok(listed) => {
                self.installed = Some(listed);
                None
            }
            Err(error) => {
                self.installed = None;
                Some(format!(
                    "pods cannot leave the cluster (natOutgoing): {error}; everything else works"
                ))
            }
        };
        let mut held = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match &trouble {
            Some(sentence) if *held != trouble => warn!("{sentence}"),
            None if held.is_some() => info!("table {} is in place", rules::TABLE),
            _ => {}
        }
        *held = trouble;
    }

    fn repair(&mut self) {
        let Some(expected) = &self.installed else {
            return self.install();
        };
        if nft::list(rules::TABLE).ok().as_ref() != Some(expected) {
            info!("table {} was changed by somebody: put back", rules::TABLE);
            self.install();
        }
    }

    fn remove(&mut self) {
        if self.installed.take().is_some()
            && let Err(error) = nft::load(&rules::removal())
        {
            warn!(%error, "table {} could not be removed", rules::TABLE);
        }
    }
}

/// Loads the table and returns how the kernel lists it. Between the two somebody may have taken
/// something out of it again; a listing like that is nothing to compare with later.
fn put_in_place(script: &str) -> Result<String, nft::NftError> {
    for _ in 0..ATTEMPTS {
        nft::load(script)?;
        let listed = nft::list(rules::TABLE)?;
        if is_whole(script, &listed) {
            return Ok(listed);
        }
    }
    Err(nft::NftError::Contested)
}

/// Has a listing as many rules and filled sets as the script made?
fn is_whole(script: &str, listed: &str) -> bool {
    ["masquerade", "elements = {"]
        .iter()
        .all(|part| script.matches(part).count() == listed.matches(part).count())
}

#[cfg(test)]
mod tests;
