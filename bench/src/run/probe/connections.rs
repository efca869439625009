//! New connections per second.

use std::time::Duration;

use super::{Figures, GRACE, server_address};
use crate::run::{agent::connect::Connected, error::Result, job::Job, world::World};

pub(super) fn measure(world: &World, length: Duration) -> Result<Figures> {
    let (to, seconds) = (
        server_address(world).to_string(),
        length.as_secs_f64().to_string(),
    );
    let _server = Job::server(&world.server, &["echo", "--listen", &to])?;
    let arguments = ["connect", "--to", &to, "--seconds", &seconds];
    let connected: Connected = Job::ask_agent(&world.client, &arguments, length + GRACE)?;
    Ok(vec![(
        "connections",
        connected.count as f64 / connected.seconds,
    )])
}
