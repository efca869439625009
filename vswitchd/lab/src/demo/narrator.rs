//! Tells the demo: commands, outputs, facts; colours on a terminal only.
#![expect(clippy::print_stdout, reason = "telling is what this file is for")]

use std::io::{self, IsTerminal};

/// Counts the facts it tells.
#[derive(Debug)]
pub(super) struct Narrator {
    colours: bool,
    passed: usize,
    failed: Vec<String>,
}

impl Narrator {
    pub(super) fn new() -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            colours,
            passed: 0,
            failed: Vec::new(),
        }
    }

    pub(super) fn chapter(&self, title: &str) {
        println!("\n{}", self.paint("1", &format!("== {title}")));
    }

    pub(super) fn text(&self, sentence: &str) {
        println!("{sentence}");
    }

    /// A command as typed, with the place as the prompt.
    pub(super) fn command(&self, place: &str, command: &str) {
        println!("\n{}", self.paint("36", &format!("{place}$ {command}")));
    }

    pub(super) fn output(&self, text: &str) {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            println!("    {line}");
        }
    }

    /// One fact: told when it holds; when not, with what was expected and what was found.
    pub(super) fn check(&mut self, claim: &str, holds: bool, expected: &str, found: &str) {
        if holds {
            self.passed += 1;
            println!("{} {claim}", self.paint("32", "  ok"));
            return;
        }
        self.failure(&format!(
            "{claim}: expected {expected}, found:\n{}",
            found.trim_end()
        ));
    }

    pub(super) fn failure(&mut self, what: &str) {
        println!("{} {what}", self.paint("31", "FAILED"));
        self.failed.push(what.into());
    }

    /// The last line; true if nothing failed.
    pub(super) fn conclude(&self) -> bool {
        println!();
        if self.failed.is_empty() {
            println!(
                "{}",
                self.paint("32", &format!("demo: {} checks passed", self.passed))
            );
            return true;
        }
        for failure in &self.failed {
            println!("{} {failure}\n", self.paint("31", "FAILED"));
        }
        println!(
            "demo: {} checks passed, {} FAILED",
            self.passed,
            self.failed.len()
        );
        false
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.into()
        }
    }
}

/// A line with every run of blanks as one.
pub(super) fn one_spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_does_not_hold_fails_the_demo() {
        let mut narrator = Narrator::new();
        narrator.check("good", true, "x", "x");
        assert!(narrator.conclude());
        narrator.check("bad", false, "x", "y");
        assert!(!narrator.conclude());
    }

    #[test]
    fn columns_do_not_matter() {
        assert_eq!(one_spaced("  a   b\tc "), "a b c");
    }
}
