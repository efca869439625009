//! `vswitchctl policy eval`: probes in, answers out.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use cni_shim::{Request, Response};
use policy::ask::{Answer, Judge, Probe};
use serde_json::{Value, json};

use super::state::{STANDARD_INPUT, State};
use crate::{
    cli::{Daemon, draw},
    show::Row,
};

/// So many bytes of probes the daemon is asked at once.
const BATCH_BYTES: usize = 4 << 20;

/// Arguments of `vswitchctl policy eval`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
A probe is a JSON object on a line of its own; blank lines are skipped:
  {\"id\":\"p1\",\"from\":\"shop/web\",\"to\":\"shop/db\",\"protocol\":\"TCP\",\"port\":5432}
id          a string or a number; the answer has the same
from, to    NAMESPACE/POD or an IP address; an address that belongs to a pod is that pod
protocol    TCP, UDP, SCTP, ICMP or ICMPv6
port        1 to 65535; not for ICMP
sourcePort  optional [default: 49152]
icmpType, icmpCode  optional [default: an echo request]

What is judged is the first packet of a new connection, between the first addresses of the two ends \
that are of one family (the source's order). ICMP is IPv4's where both ends have IPv4; between ends \
that have only IPv6 in common, an echo is ICMPv6's. A pod whose manifest has no address yet is judged under \
one of 240.0.0.0/4 and 100::/64, which no address block but 0.0.0.0/0 and ::/0 contains. A pod that \
has finished is an address and no pod any more: labels do not match it, address blocks do.

An answer has these keys, in this order:
  {\"id\":\"p1\",\"verdict\":\"deny\",
   \"egress\":{\"verdict\":\"allow\",\"reason\":\"no policy selects\"},
   \"ingress\":{\"verdict\":\"deny\",\"reason\":\"end of tier\",\"tier\":\"default\",
              \"selectedBy\":[\"NetworkPolicy shop/db\"]}}
verdict is allow when the source's egress and the destination's ingress both allow. reason is
  rule                 with policy, tier and rule, the position among the policy's rules, from 0
  end of tier          with tier and selectedBy: policies select the pod, no rule of theirs matches
  no policy selects    no policy for this direction selects the pod
  no policy decides    policies select it, and every tier passes
  not policed          with because: outside the cluster, a node, on its node's network, its pod
                       has finished
  own node             with node: a pod's own node always reaches it
  own traffic          a pod always reaches itself
  neighbour discovery  IPv6 does not work without it
A line that cannot be judged is answered {\"id\":..,\"line\":N,\"error\":\"expected .., found ..\"}; id is \
null when it could not be read.

Exit status: 0 every line was judged, 1 some were not, 2 no answers: the state or the probes cannot \
be read.

Examples:
  vswitchctl policy eval -f state.yaml -f policies --probes probes.jsonl
  vswitchctl policy eval -f state.yaml --probes probes.jsonl --output table
  vswitchctl policy eval --probes probes.jsonl  # of the state in force")]
pub(super) struct Args {
    #[command(flatten)]
    state: State,
    /// The probes, a JSON object a line; - is standard input.
    #[arg(long, value_name = "FILE")]
    probes: PathBuf,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Jsonl)]
    output: Output,
}

/// How `eval` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A JSON object a line.
    Jsonl,
    /// For people.
    Table,
}

/// A line that is not blank, and its number, from 1.
type Line = (usize, String);

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        if self.probes.as_os_str() == STANDARD_INPUT && self.state.is_standard_input() {
            bail!("expected standard input (-) once, found it as state and as probes");
        }
        let bench = match self.state.is_given() {
            true => Bench::Here(Box::new(Judge::new(self.state.cluster()?))),
            false => Bench::Daemon(daemon),
        };
        let errors = match self.output {
            Output::Jsonl => self.lines_out(&bench)?,
            Output::Table => self.table_out(&bench)?,
        };
        match errors {
            0 => Ok(ExitCode::SUCCESS),
            _ => Ok(ExitCode::FAILURE),
        }
    }

    /// Prints as it reads; returns how many lines could not be judged.
    fn lines_out(&self, bench: &Bench<'_>) -> anyhow::Result<usize> {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut errors = 0;
        self.batches(|lines| {
            for answer in bench.answers(lines)? {
                errors += usize::from(answer.is_error());
                writeln!(out, "{}", serde_json::to_string(&answer)?)?;
            }
            Ok(())
        })?;
        out.flush()?;
        Ok(errors)
    }

    fn table_out(&self, bench: &Bench<'_>) -> anyhow::Result<usize> {
        let (mut rows, mut errors) = (Vec::new(), 0);
        self.batches(|lines| {
            for ((_, line), answer) in lines.iter().zip(bench.answers(lines)?) {
                errors += usize::from(answer.is_error());
                rows.push(row(line, &answer));
            }
            Ok(())
        })?;
        let columns = [
            "id", "from", "to", "traffic", "verdict", "egress", "ingress",
        ];
        let rows: Vec<&Row> = rows.iter().collect();
        writeln!(io::stdout(), "{}", draw::columns(&columns, &rows))?;
        Ok(errors)
    }

    /// Hands over the probes' lines, some at a time.
    fn batches(&self, mut take: impl FnMut(&[Line]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let shown = self.probes.display();
        let input: Box<dyn BufRead> = match self.probes.as_os_str() == STANDARD_INPUT {
            true => Box::new(BufReader::new(io::stdin())),
            false => {
                let file = File::open(&self.probes);
                Box::new(BufReader::new(file.with_context(|| format!("{shown}"))?))
            }
        };
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (number, line) in (1..).zip(input.split(b'\n')) {
            let line = line.with_context(|| format!("{shown}"))?;
            let line = String::from_utf8_lossy(&line);
            // Some editors begin a file with a byte order mark.
            let line = line.trim_start_matches('\u{feff}').trim().to_owned();
            if line.is_empty() {
                continue;
            }
            bytes += line.len();
            batch.push((number, line));
            if bytes > BATCH_BYTES {
                take(&batch)?;
                (batch, bytes) = (Vec::new(), 0);
            }
        }
        match batch.is_empty() {
            true => Ok(()),
            false => take(&batch),
        }
    }
}

/// Who answers.
enum Bench<'a> {
    /// A state that was read here.
    Here(Box<Judge>),
    /// The daemon, of the state in force.
    Daemon(&'a Daemon),
}

impl Bench<'_> {
    fn answers(&self, lines: &[Line]) -> anyhow::Result<Vec<Answer>> {
        match self {
            Self::Here(judge) => {
                let answer = |(number, line): &Line| judge.answer(*number, line);
                Ok(lines.iter().map(answer).collect())
            }
            Self::Daemon(daemon) => asked(daemon, lines),
        }
    }
}

/// The daemon's answers. It numbers lines one after another, so blank ones are sent where they
/// stood.
fn asked(daemon: &Daemon, lines: &[Line]) -> anyhow::Result<Vec<Answer>> {
    let Some((first_line, _)) = lines.first() else {
        return Ok(Vec::new());
    };
    let mut request = Vec::new();
    for (number, line) in lines {
        request.resize(number - first_line, String::new());
        request.push(line.clone());
    }
    let response = daemon.ask(&Request::Eval {
        first_line: *first_line,
        lines: request,
    })?;
    let Response::Table { rows } = response else {
        bail!("expected answers, vswitchd answered {response:?}; is it of another version?");
    };
    let answer = |row: Row| serde_json::from_value(Value::Object(row));
    let answers: Result<Vec<Answer>, _> = rows.into_iter().map(answer).collect();
    answers.context("vswitchd's answer; is it of another version?")
}

fn row(line: &str, answer: &Answer) -> Row {
    let probe = Probe::parse(line).ok();
    let text = |of: &dyn Fn(&Probe) -> String| probe.as_ref().map(of);
    let cells = match answer {
        Answer::Judged {
            id,
            verdict,
            egress,
            ingress,
        } => (id, json!(verdict), egress.to_string(), ingress.to_string()),
        Answer::Error { id, line, error } => (
            id,
            json!("error"),
            format!("line {line}: {error}"),
            String::new(),
        ),
    };
    let (id, verdict, egress, ingress) = cells;
    let row = json!({
        "id": id,
        "from": text(&|probe| probe.from.clone()),
        "to": text(&|probe| probe.to.clone()),
        "traffic": text(&|probe| probe.kind.to_string()),
        "verdict": verdict,
        "egress": egress,
        "ingress": ingress,
    });
    row.as_object().cloned().unwrap_or_default()
}
