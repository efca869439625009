//! Licences and sources of every dependency against `deny.toml`, for machines without cargo-deny.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn deny() -> toml::Table {
    let text = std::fs::read_to_string(workspace().join("deny.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

/// The packages that are built on this platform. Building the tests has fetched them all: nothing is asked of the network.
fn packages() -> Vec<Value> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(env!("CARGO"));
    command
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            &platform,
        ])
        .current_dir(workspace());
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let resolved: BTreeSet<&str> = nodes
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let all = metadata["packages"].as_array().unwrap().iter();
    all.filter(|package| resolved.contains(package["id"].as_str().unwrap()))
        .cloned()
        .collect()
}

/// An SPDX expression of names, `OR`, `AND`, `WITH` and brackets; `/` is the old way to write `OR`.
fn allowed(expression: &str, allow: &BTreeSet<&str>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace(" WITH ", "-WITH-");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let holds = any(&mut rest, allow);
    holds && rest.is_empty()
}

fn any(rest: &mut &[&str], allow: &BTreeSet<&str>) -> bool {
    let mut holds = all(rest, allow);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        holds |= all(rest, allow);
    }
    holds
}

fn all(rest: &mut &[&str], allow: &BTreeSet<&str>) -> bool {
    let mut holds = one(rest, allow);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        holds &= one(rest, allow);
    }
    holds
}

fn one(rest: &mut &[&str], allow: &BTreeSet<&str>) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let holds = any(rest, allow);
            *rest = rest.strip_prefix(&[")"][..]).unwrap_or(rest);
            holds
        }
        [name, after @ ..] => {
            *rest = after;
            allow.contains(name)
        }
        [] => false,
    }
}

#[test]
fn an_expression_holds_if_one_side_of_or_and_both_of_and_do() {
    let allow = BTreeSet::from(["MIT", "Zlib", "Apache-2.0"]);
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "GPL-2.0/MIT",
        "(GPL-3.0 OR MIT) AND Zlib",
    ] {
        assert!(allowed(good, &allow), "{good}");
    }
    for bad in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "",
        "MIT)",
    ] {
        assert!(!allowed(bad, &allow), "{bad}");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let deny = deny();
    let allow = deny["licenses"]["allow"].as_array().unwrap();
    let allow: BTreeSet<&str> = allow.iter().map(|name| name.as_str().unwrap()).collect();
    let wrong: Vec<String> = packages()
        .iter()
        .map(|package| {
            (
                &package["name"],
                package["license"].as_str().unwrap_or_default(),
            )
        })
        .filter(|(_, licence)| !allowed(licence, &allow))
        .map(|(name, licence)| format!("{name}: `{licence}`"))
        .collect();
    assert!(wrong.is_empty(), "not allowed by deny.toml: {wrong:#?}");
}

#[test]
fn every_dependency_comes_from_crates_io_and_none_is_banned() {
    let deny = deny();
    let banned: BTreeSet<&str> = deny["bans"]["deny"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ban| ban["crate"].as_str().unwrap())
        .collect();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        assert!(!banned.contains(name), "{name} is banned by deny.toml");
        // A member of the workspace has no source.
        let Some(source) = package["source"].as_str() else {
            continue;
        };
        let from_crates_io =
            source.starts_with("registry+") && source.ends_with("/crates.io-index");
        assert!(
            from_crates_io,
            "{name}: expected it from crates.io, found {source}"
        );
    }
}
