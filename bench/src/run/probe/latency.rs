//! Request/response over TCP and UDP, on one core or two.

use std::time::Duration;

use super::{Cores, Figures, GRACE, server_address};
use crate::run::{
    agent::request::Latency,
    error::{Error, Result},
    job::Job,
    machine,
    world::World,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

pub(super) fn measure(
    world: &World,
    protocol: Protocol,
    cores: Cores,
    length: Duration,
) -> Result<Figures> {
    let (client, server, forwarder) = match cores {
        Cores::One => (Some("0"), Some("0"), Some(0)),
        Cores::Two if machine::cpus() < 2 => {
            return Err(Error::Absent(
                "this machine has one CPU: there are no two cores to compare on".into(),
            ));
        }
        Cores::Two => (Some("0"), Some("1"), None),
        Cores::Any => (None, None, None),
    };
    world.pin(forwarder)?;
    let latency = ask(world, protocol, client, server, length);
    world.pin(None)?;
    let latency = latency?;
    if latency.count == 0 {
        return Err(Error::Unexpected {
            place: "request/response".into(),
            expected: "an answer".into(),
            found: format!("{} requests lost", latency.lost),
        });
    }
    let values = [latency.p50_us, latency.p99_us, latency.p999_us];
    Ok(names(protocol, cores).into_iter().zip(values).collect())
}

fn ask(
    world: &World,
    protocol: Protocol,
    client: Option<&str>,
    server: Option<&str>,
    length: Duration,
) -> Result<Latency> {
    let (to, seconds) = (
        server_address(world).to_string(),
        length.as_secs_f64().to_string(),
    );
    let mut arguments = vec!["echo", "--listen", &to];
    arguments.extend(server.iter().flat_map(|cpu| ["--cpu", cpu]));
    let _server = Job::server(&world.server, &arguments)?;
    let mut arguments = vec!["request", "--to", &to, "--seconds", &seconds];
    arguments.extend(client.iter().flat_map(|cpu| ["--cpu", cpu]));
    arguments.extend((protocol == Protocol::Udp).then_some("--udp"));
    Job::ask_agent(&world.client, &arguments, length + GRACE)
}

fn names(protocol: Protocol, cores: Cores) -> [&'static str; 3] {
    match (protocol, cores) {
        (Protocol::Tcp, Cores::One) => [
            "tcp-rr-one-core-p50",
            "tcp-rr-one-core-p99",
            "tcp-rr-one-core-p999",
        ],
        (Protocol::Tcp, _) => [
            "tcp-rr-two-cores-p50",
            "tcp-rr-two-cores-p99",
            "tcp-rr-two-cores-p999",
        ],
        (Protocol::Udp, Cores::One) => [
            "udp-rr-one-core-p50",
            "udp-rr-one-core-p99",
            "udp-rr-one-core-p999",
        ],
        (Protocol::Udp, _) => [
            "udp-rr-two-cores-p50",
            "udp-rr-two-cores-p99",
            "udp-rr-two-cores-p999",
        ],
    }
}
