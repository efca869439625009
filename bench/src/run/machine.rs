//! The machine: what it is, and how busy.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// Ticks a second in `/proc/stat` on every Linux that Rust runs on (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a report says of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// How many CPUs everything shares.
    pub cpus: usize,
    /// Release of the kernel.
    pub kernel: String,
    /// TCP congestion control that new connections use.
    pub congestion_control: String,
    /// When the run began, in seconds since 1970.
    pub began_unix_seconds: u64,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            processor: processor(&read("/proc/cpuinfo")),
            cpus: cpus(),
            kernel: read("/proc/sys/kernel/osrelease"),
            congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control"),
            began_unix_seconds: began.unwrap_or_default().as_secs(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().into()
}

fn processor(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": "))
        .map_or("unknown", |(_, name)| name)
        .into()
}

/// How many CPUs there are.
#[must_use]
pub fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// All of them, as `taskset` takes it.
#[must_use]
pub fn all_cpus() -> String {
    format!("0-{}", cpus() - 1)
}

/// CPU time the whole machine has spent since it started, in seconds: user, system, interrupts. Not idle, not stolen.
#[must_use]
pub fn busy_seconds() -> f64 {
    busy_ticks(&read("/proc/stat")) / TICKS_PER_SECOND
}

fn busy_ticks(stat: &str) -> f64 {
    let first = stat.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq (proc(5))
    let ticks: Vec<f64> = first
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    [0, 1, 2, 5, 6]
        .into_iter()
        .filter_map(|field| ticks.get(field))
        .sum()
}

/// How many CPUs are busy with something else while the bench does nothing, over this time.
#[must_use]
pub fn busy_at_rest(over: Duration) -> f64 {
    let (start, before) = (Instant::now(), busy_seconds());
    thread::sleep(over);
    (busy_seconds() - before) / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_all_but_idle_iowait_and_steal() {
        let stat = "cpu  100 1 20 5000 300 4 60 999 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(busy_ticks(stat), 185.0);
    }

    #[test]
    fn the_processor_is_read_from_its_line() {
        assert_eq!(
            processor("processor\t: 0\nmodel name\t: Some CPU @ 2.0GHz\n"),
            "Some CPU @ 2.0GHz"
        );
        assert_eq!(processor(""), "unknown");
    }
}
