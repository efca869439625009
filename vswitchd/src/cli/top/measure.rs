//! Two looks at the counters, and what happened in between.

use std::time::Instant;

use anyhow::bail;
use cni_shim::{Request, Response};
use serde::Serialize;
use serde_json::Value;

use crate::{
    cli::{Daemon, flows::line},
    show::Row,
};

/// Flows asked for.
const FLOWS: usize = 100;

/// The counters at a moment.
pub(super) struct Sample {
    at: Instant,
    status: Row,
    ports: Vec<Row>,
    drops: Vec<Row>,
    workers: Vec<Row>,
    flows: Vec<Row>,
}

/// What happened between two looks. Rates are a second's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Measurement {
    /// Seconds between the looks.
    pub(super) seconds: f64,
    pub(super) node: String,
    pub(super) uptime_seconds: u64,
    pub(super) generation: u64,
    pub(super) endpoints: u64,
    pub(super) policies: u64,
    /// The share of its time each worker was awake, in percent.
    pub(super) workers: Vec<f64>,
    pub(super) ports: Vec<PortRate>,
    pub(super) drops: Vec<DropRate>,
    pub(super) flows: Vec<FlowRate>,
}

/// One port; rx and tx as seen from the switch.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct PortRate {
    /// The pod, or the interface of what is none.
    pub(super) name: String,
    pub(super) rx_frames: f64,
    pub(super) rx_bits: f64,
    pub(super) tx_frames: f64,
    pub(super) tx_bits: f64,
    pub(super) drops: f64,
}

/// One drop reason that was met since the daemon started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct DropRate {
    pub(super) reason: String,
    pub(super) per_second: f64,
    pub(super) count: u64,
    pub(super) sentence: String,
}

/// One flow.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct FlowRate {
    pub(super) protocol: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) bits: u64,
    pub(super) seconds: f64,
    pub(super) policy: String,
}

/// What ports are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Bits,
    Frames,
    Drops,
    Name,
}

impl Order {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Bits => "bits",
            Self::Frames => "frames",
            Self::Drops => "drops",
            Self::Name => "name",
        }
    }
}

impl Sample {
    /// Asks the daemon for all of it.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(super) fn take(daemon: &Daemon) -> anyhow::Result<Self> {
        let show = |what: &str| Request::Show {
            what: what.into(),
            limit: None,
        };
        let table = |request: &Request| match daemon.ask(request)? {
            Response::Table { rows } => Ok(rows),
            answer => {
                bail!("expected a table, vswitchd answered {answer:?}; is it of another version?")
            }
        };
        Ok(Self {
            at: Instant::now(),
            status: table(&show("status"))?
                .into_iter()
                .next()
                .unwrap_or_default(),
            ports: table(&show("ports"))?,
            drops: table(&show("drops"))?,
            workers: table(&show("workers"))?,
            flows: table(&Request::ActiveFlows {
                limit: FLOWS,
                pod: None,
            })?,
        })
    }
}

impl Measurement {
    /// What happened from `before` to `now`. Of one look alone all rates are 0.
    pub(super) fn between(before: &Sample, now: &Sample) -> Self {
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        let drops = now.drops.iter().filter(|row| number(row, "count") > 0);
        Self {
            seconds: (seconds * 100.0).round() / 100.0,
            node: text(&now.status, "node"),
            uptime_seconds: number(&now.status, "uptime_seconds"),
            generation: number(&now.status, "generation"),
            endpoints: number(&now.status, "endpoints"),
            policies: number(&now.status, "policies"),
            workers: busy(&before.workers, &now.workers),
            ports: now
                .ports
                .iter()
                .map(|row| port(&before.ports, row, seconds))
                .collect(),
            drops: drops
                .map(|row| drop_rate(&before.drops, row, seconds))
                .collect(),
            flows: now.flows.iter().map(flow).collect(),
        }
    }

    /// Ports in this order, reasons by rate; flows come fastest first.
    pub(super) fn sort(&mut self, order: Order) {
        let by = |port: &PortRate| match order {
            Order::Bits => port.rx_bits + port.tx_bits,
            Order::Frames => port.rx_frames + port.tx_frames,
            Order::Drops => port.drops,
            Order::Name => 0.0,
        };
        self.ports
            .sort_by(|a, b| by(b).total_cmp(&by(a)).then_with(|| a.name.cmp(&b.name)));
        self.drops.sort_by(|a, b| {
            let rate = b.per_second.total_cmp(&a.per_second);
            rate.then(b.count.cmp(&a.count))
        });
    }
}

/// A row of an earlier look that is about the same.
fn same<'a>(rows: &'a [Row], row: &Row, key: &str) -> Option<&'a Row> {
    rows.iter().find(|other| other.get(key) == row.get(key))
}

/// How much a counter rose a second; a counter that began anew did not.
fn rate(before: Option<&Row>, now: &Row, key: &str, seconds: f64) -> f64 {
    let before = before.map_or(0, |row| number(row, key));
    let rose = number(now, key).saturating_sub(before);
    if seconds > 0.0 {
        (rose as f64 / seconds * 10.0).round() / 10.0
    } else {
        0.0
    }
}

fn port(before: &[Row], row: &Row, seconds: f64) -> PortRate {
    let earlier = same(before, row, "interface");
    let of = |key| rate(earlier, row, key, seconds);
    let owner = text(row, "owner");
    PortRate {
        name: if owner.is_empty() {
            text(row, "interface")
        } else {
            owner
        },
        rx_frames: of("rx_frames"),
        rx_bits: of("rx_bytes") * 8.0,
        tx_frames: of("tx_frames"),
        tx_bits: of("tx_bytes") * 8.0,
        drops: of("drops"),
    }
}

fn drop_rate(before: &[Row], row: &Row, seconds: f64) -> DropRate {
    DropRate {
        reason: text(row, "reason"),
        per_second: rate(same(before, row, "reason"), row, "count", seconds),
        count: number(row, "count"),
        sentence: text(row, "sentence"),
    }
}

fn busy(before: &[Row], now: &[Row]) -> Vec<f64> {
    let share = |row: &Row| {
        let earlier = same(before, row, "worker");
        let spent = |key: &str| {
            let at = |row: &Row| row.get(key).and_then(Value::as_f64).unwrap_or_default();
            (at(row) - earlier.map_or(0.0, at)).max(0.0)
        };
        let (awake, asleep) = (spent("awake_seconds"), spent("asleep_seconds"));
        let all = awake + asleep;
        if all > 0.0 {
            (awake / all * 1_000.0).round() / 10.0
        } else {
            0.0
        }
    };
    now.iter().map(share).collect()
}

fn flow(row: &Row) -> FlowRate {
    FlowRate {
        protocol: text(row, "protocol"),
        from: line::end(row, "src"),
        to: line::end(row, "dst"),
        bits: number(row, "bits_per_second"),
        seconds: row
            .get("seconds")
            .and_then(Value::as_f64)
            .unwrap_or_default(),
        policy: text(row, "policy"),
    }
}

fn text(row: &Row, key: &str) -> String {
    let text = row.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn number(row: &Row, key: &str) -> u64 {
    row.get(key).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn rows(value: Value) -> Vec<Row> {
        let rows = value.as_array().unwrap().iter();
        rows.map(|row| row.as_object().unwrap().clone()).collect()
    }

    fn sample(at: Instant, frames: u64, drops: u64, awake: f64) -> Sample {
        let status = rows(json!([{"node": "m02", "generation": 7, "uptime_seconds": 60}]));
        Sample {
            at,
            status: status.into_iter().next().unwrap(),
            ports: rows(json!([
                {"interface": "eth0", "owner": null, "rx_frames": 5, "rx_bytes": 500, "drops": 0},
                {"interface": "cali1", "owner": "shop/web", "rx_frames": frames,
                 "rx_bytes": frames * 100, "tx_frames": 0, "tx_bytes": 0, "drops": drops},
            ])),
            drops: rows(json!([
                {"reason": "vlan", "count": 0, "sentence": "Tagged."},
                {"reason": "policy_ingress", "count": drops, "sentence": "No."},
            ])),
            workers: rows(
                json!([{"worker": 0, "awake_seconds": awake, "asleep_seconds": 10.0 - awake}]),
            ),
            flows: Vec::new(),
        }
    }

    #[test]
    fn a_rate_is_what_rose_by_the_time_that_passed() {
        let start = Instant::now();
        let before = sample(start, 100, 3, 1.0);
        let mut now = sample(start + Duration::from_secs(2), 300, 9, 1.0);
        now.workers = rows(json!([{"worker": 0, "awake_seconds": 1.5, "asleep_seconds": 10.5}]));
        let mut measured = Measurement::between(&before, &now);
        measured.sort(Order::Bits);
        let port = &measured.ports[0];
        assert_eq!(
            (port.name.as_str(), port.rx_frames, port.rx_bits),
            ("shop/web", 100.0, 80_000.0)
        );
        assert_eq!(port.drops, 3.0);
        assert_eq!(measured.drops.len(), 1, "reasons never met are not shown");
        assert_eq!(measured.drops[0].per_second, 3.0);
        assert_eq!(measured.workers, [25.0]);
        measured.sort(Order::Name);
        assert_eq!(measured.ports[0].name, "eth0");
    }

    #[test]
    fn a_daemon_that_started_again_counts_from_nothing() {
        let start = Instant::now();
        let before = sample(start, 1_000, 50, 9.0);
        let now = sample(start + Duration::from_secs(1), 10, 0, 1.0);
        let measured = Measurement::between(&before, &now);
        assert_eq!(measured.ports[1].rx_frames, 0.0);
        assert!(measured.workers[0] >= 0.0 && measured.workers[0] <= 100.0);
    }
}
