//! What a filter may say: `info`, or `info,vswitchd::control=debug`.

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Why a filter is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Nothing is written there.
    #[error(
        "expected a level (off, error, warn, info, debug, trace) or TARGET=LEVEL, found nothing"
    )]
    Empty,
    /// A word that is neither a level nor has one.
    #[error(
        "expected a level (off, error, warn, info, debug, trace) or TARGET=LEVEL, found {found:?}"
    )]
    Directive {
        /// The part between commas.
        found: String,
    },
    /// A part that the library does not understand.
    #[error("{found:?}: {reason}")]
    Syntax {
        /// The whole filter.
        found: String,
        /// What it says.
        reason: String,
    },
    /// The log has ended.
    #[error("the log has ended")]
    Ended,
}

/// Reads a filter. Lines that sum up others pass every one: without them, lines would be held back in
/// silence.
///
/// # Errors
/// See [`FilterError`]. The library alone would take a misspelt level for the name of a target, and
/// nothing would be written any more.
pub(crate) fn parse(text: &str) -> Result<EnvFilter, FilterError> {
    if text.trim().is_empty() {
        return Err(FilterError::Empty);
    }
    // Commas and `=` inside `[span{field=value}]` are the library's to judge.
    if !text.contains('[') {
        text.split(',').try_for_each(directive)?;
    }
    let syntax = |reason: String| FilterError::Syntax {
        found: text.to_owned(),
        reason,
    };
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let filter = EnvFilter::try_new(parts.join(","));
    let filter = filter.map_err(|error| syntax(error.to_string()))?;
    let own = format!("{}=trace", super::limit::TARGET);
    let own = own.parse().map_err(|_| syntax("of our own".into()))?;
    Ok(filter.add_directive(own))
}

fn directive(part: &str) -> Result<(), FilterError> {
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
    let is_level = level.trim().parse::<LevelFilter>().is_ok() && !level.trim().is_empty();
    is_level
        .then_some(())
        .ok_or_else(|| FilterError::Directive {
            found: part.trim().to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_with_levels_are_filters() {
        for good in [
            "info",
            "off",
            "WARN",
            "info,vswitchd::control=debug",
            "warn, vswitchd=trace",
            "vswitchd[span{field=1}]=debug,info",
        ] {
            assert!(parse(good).is_ok(), "{good}: {}", parse(good).unwrap_err());
        }
    }

    #[test]
    fn a_misspelt_level_is_refused_and_not_taken_for_a_target() {
        let said = |text: &str| parse(text).unwrap_err().to_string();
        assert!(said("inof").ends_with("found \"inof\""), "{}", said("inof"));
        assert!(said("info,vswitchd").ends_with("found \"vswitchd\""));
        assert!(said("info,vswitchd=loud").ends_with("found \"vswitchd=loud\""));
        assert!(said("info,").ends_with("found \"\""));
        assert!(said(" ").ends_with("found nothing"));
    }
}
