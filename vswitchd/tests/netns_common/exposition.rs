//! A strict reader of Prometheus' text format: what the format forbids, or convention frowns upon, fails a test.
//!
//! Written from "Exposition formats" (text format 0.0.4) and "Metric and label naming" of the Prometheus documentation, so
//! that it knows nothing of what writes the text.

use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// By family name.
    pub(crate) families: BTreeMap<String, Family>,
}

/// One family: everything under one `# TYPE`.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// With `_bucket`, `_sum` or `_count` where there is one.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Exposition {
    /// Reads a scrape.
    ///
    /// # Panics
    /// It breaks a rule; the message has the line.
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let (mut scrape, mut current) = (Self::default(), String::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect(line);
                assert!(!help.trim().is_empty(), "{line}: an empty help");
                current = name.to_owned();
                let family = Family {
                    help: help.to_owned(),
                    ..Family::default()
                };
                let twice = scrape.families.insert(current.clone(), family);
                assert!(twice.is_none(), "{name} is there twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect(line);
                assert_eq!(name, current, "{line}: a type without its help before it");
                scrape.families.get_mut(name).expect(line).kind = kind.to_owned();
            } else {
                let sample = sample(line);
                let family = scrape.families.get_mut(&current).expect(line);
                let suffix = sample.name.strip_prefix(&current);
                let allowed: &[&str] = match family.kind.as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(
                    suffix.is_some_and(|suffix| allowed.contains(&suffix)),
                    "{line}: not of {current}, a {}",
                    family.kind
                );
                family.samples.push(sample);
            }
        }
        scrape
            .families
            .iter()
            .for_each(|(name, family)| family.obeys(name));
        scrape
    }

    /// Every sample of that name, with suffix.
    pub(crate) fn samples(&self, name: &str) -> Vec<&Sample> {
        let all = self.families.values().flat_map(|family| &family.samples);
        all.filter(|sample| sample.name == name).collect()
    }

    /// The sum of the samples that have these labels, among others.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let samples = self.samples(name);
        assert!(!samples.is_empty(), "there is no {name}");
        let has = |sample: &&&Sample| {
            let mut wanted = labels.iter();
            wanted.all(|(key, value)| sample.labels.get(*key).is_some_and(|own| own == value))
        };
        samples.iter().filter(has).map(|sample| sample.value).sum()
    }
}

impl Family {
    fn obeys(&self, name: &str) {
        assert!(!self.samples.is_empty(), "{name} has no sample");
        let has_total = name.ends_with("_total");
        match self.kind.as_str() {
            "counter" => assert!(has_total, "{name}: a counter without _total"),
            "gauge" | "histogram" => assert!(!has_total, "{name}: _total, but a {}", self.kind),
            other => panic!("{name}: of type {other:?}"),
        }
        for unit in [
            "_ms",
            "_us",
            "_ns",
            "_milliseconds",
            "_kb",
            "_mib",
            "_minutes",
            "_bits",
            "_percent",
        ] {
            let bare = name.trim_end_matches("_total");
            assert!(!bare.ends_with(unit), "{name}: {unit} is no base unit");
        }
        let mut seen = BTreeSet::new();
        for sample in &self.samples {
            let key = (sample.name.clone(), sample.labels.clone());
            assert!(seen.insert(key), "{sample:?} is there twice");
            let counts = self.kind != "gauge";
            assert!(!counts || sample.value >= 0.0, "{sample:?} is below zero");
            let same = |other: &&Sample| other.name == sample.name;
            let first = self.samples.iter().find(same).expect(name);
            assert!(
                first.labels.keys().eq(sample.labels.keys()),
                "{sample:?}: other labels than {first:?}"
            );
        }
        if self.kind == "histogram" {
            self.buckets_obey(name);
        }
    }

    /// Buckets grow, and the last one, `+Inf`, has everything.
    fn buckets_obey(&self, name: &str) {
        let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        let of = |suffix: &str| {
            let full = format!("{name}{suffix}");
            self.samples
                .iter()
                .filter(move |sample| sample.name == full)
        };
        for bucket in of("_bucket") {
            let mut labels = bucket.labels.clone();
            let bound = labels.remove("le").expect("a bucket without le");
            let bound = bound.parse().expect("le is a number");
            series
                .entry(labels)
                .or_default()
                .push((bound, bucket.value));
        }
        for count in of("_count") {
            let buckets = &series[&count.labels];
            assert!(
                buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
                "{name}: {buckets:?}"
            );
            assert_eq!(
                buckets.last(),
                Some(&(f64::INFINITY, count.value)),
                "{name}"
            );
        }
        assert_eq!(series.len(), of("_sum").count(), "{name}: a sum for each");
    }
}

/// `name{label="value",...} value`, without a timestamp.
fn sample(line: &str) -> Sample {
    let name_end = line.find(['{', ' ']).expect(line);
    let name = line[..name_end].to_owned();
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(
        name.chars().all(valid) && !name.starts_with(|c: char| c.is_ascii_digit()),
        "{line}"
    );
    let mut rest = &line[name_end..];
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"").expect(line);
            assert!(key.chars().all(valid), "{line}: label {key:?}");
            let (value, after) = quoted(after);
            assert!(
                labels.insert(key.to_owned(), value).is_none(),
                "{line}: {key} twice"
            );
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect(line);
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("{line}: {value:?} is no value"));
    Sample {
        name,
        labels,
        value,
    }
}

/// A value up to its closing quote, its escapes undone; and what follows.
fn quoted(text: &str) -> (String, &str) {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, next)) = chars.next() {
        match next {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, same @ ('"' | '\\'))) => value.push(same),
                other => panic!("{text}: an escape {other:?}"),
            },
            plain => value.push(plain),
        }
    }
    panic!("{text}: no closing quote")
}

/// What `promtool check metrics` finds wrong; nothing is fine.
///
/// # Panics
/// It is not installed.
pub(crate) fn promtool(text: &str) -> String {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool: apt-get install prometheus (it need not run)");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    match output.status.success() {
        true => said,
        false => format!("{}: {said}", output.status),
    }
}
