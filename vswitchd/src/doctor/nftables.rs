//! Can pods be masqueraded? The kernel is asked with a table like the daemon's, which is not committed.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

use super::Finding;

/// What the daemon's own table needs of the kernel.
const PROBE: &str = "\
table ip vswitchd_doctor {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        masquerade
    }
}
";
const CONSEQUENCE: &str = "natOutgoing will not work, everything else does";

pub(super) fn examine() -> Finding {
    judge(&probe("nft"))
}

/// `nft --check`: the kernel judges the table and forgets it. `Err` is the program's first line.
fn probe(program: &str) -> io::Result<Result<(), String>> {
    let mut child = Command::new(program)
        .args(["--check", "--file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that has ended already says more on its standard error than EPIPE does.
        let _ = stdin.write_all(PROBE.as_bytes());
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or("it failed without a word").trim().to_owned();
    Ok(output.status.success().then_some(()).ok_or(line))
}

fn judge(probed: &io::Result<Result<(), String>>) -> Finding {
    let subject = "nftables";
    match probed {
        Ok(Ok(())) => Finding::ok(subject, "nft and nf_tables with masquerade work"),
        Ok(Err(line)) => Finding::warn(
            subject,
            format!("nft says: {line}: {CONSEQUENCE}"),
            "run as root; if it persists, modprobe nf_tables nft_chain_nat nft_masq, or set \
             nat_outgoing = false and let a router translate",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Finding::warn(
            subject,
            format!("the program nft is not installed: {CONSEQUENCE}"),
            "install the package nftables",
        ),
        Err(error) => Finding::warn(
            subject,
            format!("nft cannot be run: {error}: {CONSEQUENCE}"),
            "see whether `nft list tables` works",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn without_nft_only_nat_outgoing_is_lost_and_the_package_is_named() {
        let finding = judge(&probe("/nonexistent/nft"));
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.found.ends_with(CONSEQUENCE), "{finding:?}");
        assert_eq!(finding.advice, "install the package nftables");
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let finding = judge(&probe("false"));
        assert_eq!(
            finding.found,
            format!("nft says: it failed without a word: {CONSEQUENCE}")
        );
        assert_eq!(judge(&probe("true")).level, Level::Ok);
    }
}
