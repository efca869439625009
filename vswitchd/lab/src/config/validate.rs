//! What a lab's TOML may say beyond its shape: addresses on the underlay, names that exist and are one thing's only.

use std::collections::BTreeSet;

use super::Config;
use crate::error::{Error, Result};

impl Config {
    pub(super) fn validate(&self, file: &str) -> Result<()> {
        let wrong = |key: String, expected: &str, found: String| {
            Err(Error::Value {
                file: file.into(),
                key,
                expected: expected.into(),
                found,
            })
        };
        if !is_name(&self.name) {
            return wrong("name".into(), NAME_RULE, format!("`{}`", self.name));
        }
        if self.nodes.is_empty() {
            return wrong("node".into(), "at least one [[node]]", "none".into());
        }
        let network = self.underlay_net();
        for (i, node) in self.nodes.iter().enumerate() {
            if node.name.len() > 63 {
                return wrong(
                    format!("node[{i}].name"),
                    "at most 63 characters",
                    node.name.clone(),
                );
            }
            if !network.contains(&node.address) || node.address == self.underlay.gateway.addr() {
                let expected = format!("an address of {network} other than the gateway's");
                return wrong(
                    format!("node[{i}].address"),
                    &expected,
                    node.address.to_string(),
                );
            }
        }
        for (i, pod) in self.pods.iter().enumerate() {
            if !self.nodes.iter().any(|node| node.name == pod.node) {
                return wrong(
                    format!("pod[{i}].node"),
                    "the name of a [[node]]",
                    format!("`{}`", pod.node),
                );
            }
        }
        self.validate_names(file)
    }

    /// Every namespace has one name: two pods, or a node and a pod, may not share it.
    fn validate_names(&self, file: &str) -> Result<()> {
        let nodes = self
            .nodes
            .iter()
            .enumerate()
            .map(|(i, n)| (format!("node[{i}].name"), n.name.clone()));
        let pods = self
            .pods
            .iter()
            .enumerate()
            .map(|(i, p)| (format!("pod[{i}].name"), p.netns()));
        let outside = self
            .outside
            .iter()
            .enumerate()
            .map(|(i, o)| (format!("outside[{i}].name"), o.netns()));
        let mut seen = BTreeSet::from([crate::topology::GATEWAY.to_string()]);
        for (key, name) in nodes.chain(pods).chain(outside) {
            let expected = if !is_name(&name) {
                NAME_RULE
            } else if !seen.insert(name.clone()) {
                "a name nothing else in the lab has"
            } else {
                continue;
            };
            return Err(Error::Value {
                file: file.into(),
                key,
                expected: expected.into(),
                found: format!("`{name}`"),
            });
        }
        Ok(())
    }
}

const NAME_RULE: &str = "1 to 200 of a-z A-Z 0-9 - . beginning with a letter or digit";

fn is_name(name: &str) -> bool {
    name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}
