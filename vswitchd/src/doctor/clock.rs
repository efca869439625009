//! The clock: nothing forwards by it, but logs, flow records and captures of several nodes are laid side by side by it.

use std::time::Duration;

use super::{Finding, Level};

/// The kernel's own judgement (adjtimex(2)).
pub(super) fn examine() -> Finding {
    judge(port::clock_state())
}

fn judge(state: std::io::Result<port::ClockState>) -> Finding {
    let subject = "clock";
    let advice = "let chrony, systemd-timesyncd or ntpd keep it: forwarding does not need it, comparing logs \
                  and captures of several nodes does";
    match state {
        Ok(state) if state.synchronised => Finding::ok(
            subject,
            format!("synchronised, within {}", text(state.max_error)),
        ),
        Ok(_) => Finding::new(
            Level::Ok,
            subject,
            "nobody tells the kernel that it is synchronised",
            advice,
        ),
        Err(error) => Finding::new(Level::Ok, subject, format!("not known: {error}"), advice),
    }
}

fn text(error: Duration) -> String {
    format!("{:.1} ms", error.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_nobody_keeps_is_a_remark() {
        let state = |synchronised| port::ClockState {
            synchronised,
            max_error: Duration::from_micros(1500),
        };
        assert_eq!(judge(Ok(state(true))).found, "synchronised, within 1.5 ms");
        let loose = judge(Ok(state(false)));
        assert_eq!(loose.level, Level::Ok);
        assert!(loose.advice.contains("chrony"));
        assert!(
            !judge(port::clock_state()).found.is_empty(),
            "this machine's"
        );
    }
}
