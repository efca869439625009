//! Bulk TCP by iperf3, with the CPU time the whole machine spends on it.

use std::time::Duration;

use serde_json::Value;

use super::{Figures, GRACE};
use crate::run::{
    error::{Error, Result},
    job::Job,
    machine,
    world::World,
};

const GIB: f64 = (1u64 << 30) as f64;
const PORT: &str = "5201";

pub(super) fn measure(world: &World, streams: u32, length: Duration) -> Result<Figures> {
    let mut server = Job::start(
        &world.server,
        &["iperf3", "-s", "-1", "--forceflush", "-p", PORT],
    )?;
    server.wait_for("listening")?;
    let (address, seconds) = (world.address.to_string(), whole_seconds(length).to_string());
    let streams_word = streams.to_string();
    let argv = [
        "iperf3",
        "-c",
        &address,
        "-p",
        PORT,
        "-t",
        &seconds,
        "-P",
        &streams_word,
        "-J",
    ];
    let before = machine::busy_seconds();
    let said = Job::start(&world.client, &argv)?.output(length + GRACE)?;
    let busy = machine::busy_seconds() - before;
    let outcome = Outcome::parse(&said).ok_or_else(|| Error::Unexpected {
        place: argv.join(" "),
        expected: "bytes received in its JSON".into(),
        found: said.chars().take(300).collect(),
    })?;
    let names = if streams == 1 {
        ["tcp1", "tcp1-cpu", "tcp1-retransmits"]
    } else {
        ["tcp4", "tcp4-cpu", "tcp4-retransmits"]
    };
    let gib = outcome.bytes / GIB;
    let values = [
        outcome.bits_per_second / 1e9,
        busy / gib,
        outcome.retransmits / gib,
    ];
    Ok(names.into_iter().zip(values).collect())
}

/// iperf3 takes whole seconds, at least one.
fn whole_seconds(length: Duration) -> u64 {
    (length.as_secs_f64().round() as u64).clamp(1, 60)
}

struct Outcome {
    bytes: f64,
    bits_per_second: f64,
    retransmits: f64,
}

impl Outcome {
    /// None when nothing arrived, or it is no such JSON.
    fn parse(said: &str) -> Option<Self> {
        let report: Value = serde_json::from_str(said).ok()?;
        let received = &report["end"]["sum_received"];
        let bytes = received["bytes"].as_f64()?;
        (bytes > 0.0).then_some(Self {
            bytes,
            bits_per_second: received["bits_per_second"].as_f64()?,
            retransmits: report["end"]["sum_sent"]["retransmits"].as_f64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iperf_counts_what_was_received_not_what_was_sent() {
        let said = r#"{"end":{"sum_sent":{"bytes":9,"bits_per_second":99,"retransmits":3},"sum_received":{"bytes":8,"bits_per_second":64.0}}}"#;
        let outcome = Outcome::parse(said).unwrap();
        assert_eq!(
            (outcome.bytes, outcome.bits_per_second, outcome.retransmits),
            (8.0, 64.0, 3.0)
        );
        assert!(Outcome::parse(r#"{"error":"unable to connect"}"#).is_none());
    }

    #[test]
    fn a_short_measurement_is_iperfs_shortest() {
        assert_eq!(whole_seconds(Duration::from_millis(200)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(3)), 3);
    }
}
