//! The policies in force; what compiling them costs is in [`super::Meters`].

use std::collections::BTreeSet;

use prometheus::proto::MetricFamily;

use super::{Source, family::Family};

pub(super) fn families(source: &Source<'_>) -> Vec<MetricFamily> {
    let state = &source.view.desired;
    let policies = Family::gauge("vswitchd_policies", "Policies in force.");
    let rejected = Family::gauge(
        "vswitchd_policy_rejected_files",
        "Policy files with mistakes: above zero, the last good policies are in force.",
    );
    vec![
        policies.of(state.policy.policies().len() as f64),
        rejected.of(files(&state.policy_errors) as f64),
    ]
}

/// Mistakes are `FILE:LINE:COLUMN: sentence`; a file may have several.
fn files(errors: &[String]) -> usize {
    let file = |error: &'_ String| error.split(':').next().unwrap_or_default().to_owned();
    errors.iter().map(file).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn two_mistakes_in_one_file_are_one_rejected_file() {
        let errors = ["a.yaml:3:1: x", "a.yaml:9:1: y", "b.yaml:1:1: z"];
        assert_eq!(files(&errors.map(str::to_owned)), 2);
        assert_eq!(files(&[]), 0);
    }
}
