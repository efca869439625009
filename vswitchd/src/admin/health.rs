//! What the daemon knows to be wrong with itself, for `vswitchctl doctor`.

use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::Row;
use crate::control::{Relaying, Segmentation, View};

/// Less is a clock that is kept well.
const SET: Duration = Duration::from_secs(2);

/// When the daemon started, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// By the one that people set.
    pub wall: SystemTime,
    /// By the one that nobody sets.
    pub monotonic: Instant,
}

impl Started {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self {
            wall: SystemTime::now(),
            monotonic: Instant::now(),
        }
    }

    /// How the clock was set since, if it was: no fault, but lines of the log from before are off by that.
    fn clock_was_set(&self, now: &Self) -> Option<String> {
        let expected = self.wall + now.monotonic.duration_since(self.monotonic);
        let (by, direction) = match now.wall.duration_since(expected) {
            Ok(ahead) => (ahead, "forward"),
            Err(behind) => (behind.duration(), "back"),
        };
        (by > SET).then(|| {
            format!(
                "set {direction} by {} s since the daemon started (or the machine slept): lines of the log \
                 from before are off by that",
                by.as_secs()
            )
        })
    }
}

/// One finding a row: `check`, `status` (`ok`, `warn` or `fail`) and a sentence.
#[must_use]
pub fn rows(
    view: &View,
    nat_trouble: Option<String>,
    segmentation: &Segmentation,
    relaying: &Relaying,
    started: &Started,
) -> Vec<Row> {
    let free: usize = view.blocks.iter().map(|block| block.free).sum();
    let uplink = &view.desired.uplink;
    let unresolved = view
        .desired
        .peers
        .values()
        .filter(|peer| peer.next_hop.mac.is_none());
    let unresolved: Vec<&str> = unresolved.map(|peer| peer.name.as_str()).collect();
    vec![
        finding(
            "state",
            "fail",
            view.publish_error.clone(),
            "the newest state is in force",
        ),
        finding(
            "policy",
            "warn",
            errors(&view.desired.policy_errors),
            "the newest policies are in force",
        ),
        finding(
            "uplink",
            "fail",
            (!uplink.up).then(|| format!("{} is down", uplink.name)),
            "the uplink is up",
        ),
        finding("nat", "warn", nat_trouble, "pods can leave the cluster"),
        finding(
            "addresses",
            "fail",
            (free == 0).then(|| "no address is free".into()),
            "addresses are free",
        ),
        finding(
            "peers",
            "warn",
            silent(&unresolved),
            "every peer's next hop answers ARP",
        ),
        finding(
            "segmentation",
            "warn",
            given_up(segmentation),
            &format!("super-segments to other nodes are cut {segmentation}"),
        ),
        // Slower without, and nothing else: no fault.
        finding(
            "relay",
            "ok",
            None,
            &format!("settled flows are relayed {relaying}"),
        ),
        finding(
            "clock",
            "ok",
            started.clock_was_set(&Started::now()),
            "not set since the daemon started",
        ),
    ]
}

fn errors(errors: &[String]) -> Option<String> {
    let first = errors.first()?;
    Some(match errors.len() {
        1 => format!("the last good policies are in force: {first}"),
        count => format!(
            "the last good policies are in force: {first} (and {} more)",
            count - 1
        ),
    })
}

fn silent(peers: &[&str]) -> Option<String> {
    (!peers.is_empty()).then(|| format!("no answer to ARP on the way to {}", peers.join(", ")))
}

/// Cutting in user space is slower and nothing else; that it began of a sudden is worth a look.
fn given_up(segmentation: &Segmentation) -> Option<String> {
    let given_up = matches!(segmentation, Segmentation::GivenUp(_));
    given_up.then(|| format!("super-segments to other nodes are cut {segmentation}"))
}

fn finding(check: &str, bad: &str, trouble: Option<String>, good: &str) -> Row {
    let status = if trouble.is_some() { bad } else { "ok" };
    let sentence = trouble.unwrap_or_else(|| good.to_owned());
    let cells = [
        ("check", check),
        ("status", status),
        ("sentence", &sentence),
    ];
    let cell = |(key, text): (&str, &str)| (key.to_owned(), Value::from(text));
    cells.into_iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_remarked_whichever_way() {
        let before = Started::now();
        let after = |wall: i64| {
            let hour = Duration::from_secs(3600);
            let monotonic = before.monotonic + hour;
            let wall = match u64::try_from(wall) {
                Ok(seconds) => before.wall + hour + Duration::from_secs(seconds),
                Err(_) => before.wall + hour - Duration::from_secs(wall.unsigned_abs()),
            };
            before.clock_was_set(&Started { wall, monotonic })
        };
        assert_eq!(after(1), None);
        assert!(after(90).unwrap().starts_with("set forward by 90 s"));
        assert!(after(-90).unwrap().starts_with("set back by 90 s"));
    }

    #[test]
    fn cutting_in_user_space_is_no_fault_unless_it_had_been_the_kernels() {
        let reason = || "eth0 refused".to_owned();
        assert_eq!(given_up(&Segmentation::Kernel), None);
        assert_eq!(given_up(&Segmentation::UserSpace(reason())), None);
        let said = given_up(&Segmentation::GivenUp(reason())).unwrap();
        let expected = "super-segments to other nodes are cut in user space: eth0 refused";
        assert_eq!(said, expected);
    }
}
