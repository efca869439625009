//! The process, under the names every client library uses (Prometheus' "Standard and runtime collectors").
//!
//! Read here rather than by the crate's collector: that one rounds CPU time down to whole seconds.

use std::{fs, time::SystemTime};

use nix::unistd::{SysconfVar, sysconf};
use prometheus::proto::MetricFamily;

use super::{Source, family::Family};

/// Fields of `/proc/self/stat` after the command's name, from 0 (proc(5) counts them from 3).
mod field {
    pub(super) const UTIME: usize = 11;
    pub(super) const STIME: usize = 12;
    pub(super) const NUM_THREADS: usize = 17;
    pub(super) const VSIZE: usize = 20;
    pub(super) const RSS: usize = 21;
}

/// Without `/proc` there are none.
pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let Some(stat) = fs::read_to_string("/proc/self/stat").ok() else {
        return Vec::new();
    };
    let (_, numbers) = stat.rsplit_once(") ").unwrap_or_default();
    let numbers: Vec<&str> = numbers.split(' ').collect();
    let number = |at: usize| -> f64 { numbers.get(at).and_then(|n| n.parse().ok()).unwrap_or(0.0) };
    let ticks = system(SysconfVar::CLK_TCK);
    let mut families = vec![
        Family::counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
        )
        .of((number(field::UTIME) + number(field::STIME)) / ticks),
        Family::gauge("process_threads", "Number of OS threads in the process.")
            .of(number(field::NUM_THREADS)),
        Family::gauge(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
        )
        .of(number(field::VSIZE)),
        Family::gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
        )
        .of(number(field::RSS) * system(SysconfVar::PAGE_SIZE)),
        Family::gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
        )
        .of(seconds_since_epoch(source.view.started)),
    ];
    families.extend(descriptors());
    families
}

fn descriptors() -> Vec<MetricFamily> {
    let mut families = Vec::new();
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let family = Family::gauge("process_open_fds", "Number of open file descriptors.");
        // The one it is read by is closed again.
        families.push(family.of(open.count().saturating_sub(1) as f64));
    }
    // The soft limit (sysconf(3)).
    if let Ok(Some(most)) = sysconf(SysconfVar::OPEN_MAX) {
        let help = "Maximum number of open file descriptors.";
        families.push(Family::gauge("process_max_fds", help).of(most as f64));
    }
    families
}

/// 100 and 4096 wherever the system does not say otherwise.
fn system(variable: SysconfVar) -> f64 {
    let usual = match variable {
        SysconfVar::CLK_TCK => 100,
        _ => 4096,
    };
    sysconf(variable).ok().flatten().unwrap_or(usual) as f64
}

fn seconds_since_epoch(time: SystemTime) -> f64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}
