//! What changed, as text.

use std::fmt::{self, Display, Formatter};

use super::{Change, Diff, Side};

impl Display for Diff {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (ends, kinds) = (self.ends, self.kinds);
        let among = format!("among {ends} ends and {kinds} kinds of traffic");
        match self.changes.len() {
            0 => writeln!(f, "no verdict changes {among}")?,
            count => {
                let changes = if count == 1 { "change" } else { "changes" };
                writeln!(f, "{count} {changes} of verdicts {among}")?;
            }
        }
        for change in &self.changes {
            write!(f, "\n{change}")?;
        }
        write_only(f, "old", &self.only_before)?;
        write_only(f, "new", &self.only_after)
    }
}

fn write_only(f: &mut Formatter<'_>, which: &str, pods: &[String]) -> fmt::Result {
    match pods {
        [] => Ok(()),
        pods => writeln!(
            f,
            "\nonly in the {which} state, not compared: {}",
            pods.join(", ")
        ),
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let now = match self.after.allowed {
            true => "now allowed",
            false => "now denied",
        };
        writeln!(f, "{now}: {}", self.traffic.join(", "))?;
        writeln!(f, "  from    {}", self.from.join(", "))?;
        writeln!(f, "  to      {}", self.to.join(", "))?;
        writeln!(f, "  before  {}", self.before)?;
        writeln!(f, "  after   {}", self.after)
    }
}

/// Of a deny only what denies.
impl Display for Side {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let halves = [("egress", &self.egress), ("ingress", &self.ingress)];
        let said = halves.into_iter().filter_map(|(name, reason)| {
            let counts = self.allowed || self.denied_by.contains(&name);
            let reason = reason.as_ref().filter(|_| counts)?;
            Some(format!("{name} ({reason})"))
        });
        let verdict = match self.allowed {
            true => "allowed",
            false => "denied",
        };
        write!(f, "{verdict} by {}", said.collect::<Vec<_>>().join(" and "))
    }
}
