//! Pods that come, talk and go, wired by the real plugin.

use std::{
    net::Ipv4Addr,
    thread,
    time::{Duration, Instant},
};

use lab::config::Pod;
use serde::{Deserialize, Serialize};

use super::{
    agent::churn::Churned,
    world::{GUESTS, NODES, World},
};
use crate::run::{
    error::{Error, Result},
    interrupt,
    job::Job,
};

/// Between the coming of two guests.
const INTERVAL: Duration = Duration::from_secs(1);
/// Exchanges of one guest.
const EXCHANGES: u64 = 6;
/// Longest that they may take.
const STAYS: Duration = Duration::from_secs(30);

/// How the guests fared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Guests {
    /// Guests that came, talked and went.
    pub count: u64,
    /// What went wrong.
    pub errors: Vec<String>,
    /// Verified exchanges of all of them.
    pub exchanges: u64,
    /// The slowest ADD, with the making of the namespace.
    pub slowest_add_ms: f64,
    /// The longest wait for a connection.
    pub slowest_connect_ms: f64,
    /// Their nodes and addresses.
    pub came: Vec<(String, Ipv4Addr)>,
}

/// Lets guests come and go until the end; each exchanges verified bytes with a pod of both nodes from its first packet on.
///
/// # Errors
/// The run was interrupted.
pub fn receive(world: &World, end: Instant) -> Result<Guests> {
    let mut guests = Guests::default();
    for number in 0.. {
        let next = Instant::now() + INTERVAL;
        if next >= end {
            break;
        }
        match visit(world, number, &mut guests) {
            Ok(()) => guests.count += 1,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => guests.errors.push(format!("guest {number}: {error}")),
        }
        interrupt::check()?;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(guests)
}

fn visit(world: &World, number: usize, guests: &mut Guests) -> Result<()> {
    let name = format!("guest-{number}");
    let node = NODES[number % NODES.len()];
    let role = [("role".to_owned(), "guest".to_owned())];
    let start = Instant::now();
    world.lab.pod_add(&Pod::new("default", &name, node, role))?;
    let took_ms = start.elapsed().as_secs_f64() * 1e3;
    guests.slowest_add_ms = guests.slowest_add_ms.max(took_ms);
    guests.came.push((node.into(), world.lab.address(&name)?));
    let talked = talk(world, &name, number);
    world.lab.pod_delete(&name)?;
    let talked = talked?;
    guests.exchanges += talked.count;
    guests.slowest_connect_ms = guests.slowest_connect_ms.max(talked.slowest_connect_ms);
    let errors = talked.errors.into_iter();
    guests
        .errors
        .extend(errors.map(|error| format!("{name}: {error}")));
    Ok(())
}

fn talk(world: &World, name: &str, number: usize) -> Result<Churned> {
    let [near, far] = [world.at("near", GUESTS)?, world.at("far", GUESTS)?];
    let arguments = format!(
        "churn --to {near},{far} --seconds {} --most {EXCHANGES} --rate 1000 --seed {number}",
        STAYS.as_secs()
    );
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    Job::ask_agent(&world.pod(name), &arguments, STAYS * 2)
}
