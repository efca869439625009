//! `vswitchctl policy selector`: does a selector match some labels?

use std::process::ExitCode;

use anyhow::bail;
use policy::{model::Labels, source::selector};

use crate::cli::say;

/// Arguments of `vswitchctl policy selector`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The language: k == 'v', k != 'v', k in {'v', 'w'}, k not in {'v'}, has(k), k starts with 'v', \
k ends with 'v', k contains 'v', all(), global(), &&, ||, ! and parentheses.

Exit status: 0 true or false was printed, 2 the selector or the labels cannot be read.

Examples:
  vswitchctl policy selector 'has(app)&&app!=\"db\"' --labels app=web,tier=frontend
  vswitchctl policy selector 'all()'")]
pub(super) struct Args {
    /// The selector, in Calico's language.
    expression: String,
    /// The labels: KEY=VALUE, separated by commas; may be repeated.
    #[arg(long, value_name = "KEY=VALUE,...")]
    labels: Vec<String>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let labels = labels(&self.labels)?;
        match selector::parse(&self.expression) {
            Ok(selector) => say(&selector.matches(&labels).to_string())?,
            Err(error) => bail!("{}\n{}", "the selector cannot be read:", error.pointed()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn labels(texts: &[String]) -> anyhow::Result<Labels> {
    let mut labels = Labels::new();
    let parts = texts.iter().flat_map(|text| text.split(','));
    for part in parts.filter(|part| !part.is_empty()) {
        let Some((key, value)) = part.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            bail!("--labels: expected KEY=VALUE, found {part:?}");
        };
        if labels.insert(key.to_owned(), value.to_owned()).is_some() {
            bail!("--labels: expected every key once, found {key:?} twice");
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Labels, String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        labels(&texts).map_err(|error| error.to_string())
    }

    #[test]
    fn labels_are_separated_by_commas_and_a_value_may_be_empty_or_have_a_sign() {
        let found = read(&["a=1,b=", "c=x=y"]).unwrap();
        let found: Vec<_> = found.into_iter().map(|(k, v)| format!("{k}:{v}")).collect();
        assert_eq!(found, ["a:1", "b:", "c:x=y"]);
        assert_eq!(read(&[""]).unwrap(), Labels::new());
    }

    #[test]
    fn what_is_no_label_is_shown() {
        assert!(read(&["a"]).unwrap_err().contains("found \"a\""));
        assert!(read(&["=1"]).unwrap_err().contains("found \"=1\""));
        assert!(read(&["a=1", "a=2"]).unwrap_err().contains("twice"));
    }
}
