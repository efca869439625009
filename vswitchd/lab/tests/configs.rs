//! Every file under `configs/` is read by what it is written for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lab::{Config, binaries::Binaries};
use serde_json::Value;

/// A file under `configs/`, by its path there.
fn configs() -> Vec<(String, PathBuf)> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs"));
    let mut folders = vec![root.to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.strip_prefix(root).unwrap().display().to_string(), path));
            }
        }
    }
    files.sort();
    files
}

fn accepted_by_vswitchd(file: &Path) {
    let program = Binaries::find().unwrap().vswitchd;
    let output = Command::new(program)
        .arg("--check-config")
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", file.display());
}

fn is_conflist(text: &str) {
    let list: Value = serde_json::from_str(text).unwrap();
    assert_eq!(list["plugins"][0]["type"], "vswitch");
    assert!(list["name"].is_string() && list["cniVersion"].is_string());
}

/// The objects of a file of Kubernetes YAML, as plain values.
fn objects(text: &str) -> Vec<Value> {
    let documents = serde_saphyr::from_multiple::<Value>(text).unwrap();
    assert!(
        documents
            .iter()
            .all(|object| object["kind"].is_string() && object["apiVersion"].is_string())
    );
    documents
}

#[test]
fn every_file_is_read_by_what_it_is_written_for() {
    let mut read = 0;
    for (name, path) in configs() {
        let text = fs::read_to_string(&path).unwrap();
        match name.split('/').next().unwrap() {
            "lab" => drop(Config::load(&path).unwrap_or_else(|error| panic!("{error}"))),
            "policy" => {
                drop(policy::parse(&name, &text).unwrap_or_else(|error| panic!("{error:?}")));
            }
            "cni" => is_conflist(&text),
            // netns_metrics of vswitchd holds every query against a running daemon.
            "grafana" => drop(serde_json::from_str::<Value>(&text).unwrap()),
            "kubernetes" => drop(objects(&text)),
            "vswitchd.toml" => accepted_by_vswitchd(&path),
            other => panic!("configs/{name}: this test does not know what reads `{other}`; add it"),
        }
        read += 1;
    }
    assert!(read >= 7, "only {read} files under configs/");
}

#[test]
fn what_the_daemon_set_mounts_is_accepted_too() {
    let (_, path) = configs()
        .into_iter()
        .find(|(name, _)| name == "kubernetes/daemonset.yaml")
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for object in objects(&fs::read_to_string(path).unwrap()) {
        for (name, content) in object["data"].as_object().into_iter().flatten() {
            let content = content.as_str().unwrap();
            match name.rsplit('.').next().unwrap() {
                "toml" => {
                    let file = folder.path().join(name);
                    fs::write(&file, content).unwrap();
                    accepted_by_vswitchd(&file);
                }
                "conflist" => is_conflist(content),
                _ => drop(policy::parse(name, content).unwrap()),
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 4);
}

#[test]
fn the_commented_defaults_are_real_keys() {
    let (_, path) = configs()
        .into_iter()
        .find(|(name, _)| name == "vswitchd.toml")
        .unwrap();
    let text = fs::read_to_string(path).unwrap();
    let is_key = |line: &str| {
        line.starts_with("# ")
            && line[2..]
                .split(" = ")
                .next()
                .unwrap()
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_')
            && line.contains(" = ")
    };
    // A section that changes something by being there is commented out as well.
    let is_section = |line: &str| line.starts_with("# [") && line.ends_with(']');
    let lines = text.lines().map(|line| match line {
        line if is_key(line) || is_section(line) => &line[2..],
        line => line,
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.toml");
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    accepted_by_vswitchd(&file);
}
