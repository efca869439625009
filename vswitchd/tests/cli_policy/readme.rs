//! What the README shows.

use std::{fs, path::Path, process::Command};

use crate::{cases, shop::*};

/// The commands of the README's section and what it says they print.
fn readme() -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = fs::read_to_string(path).unwrap();
    let section = text.split("\n## ").find(|part| part.starts_with("Ask it"));
    let section = section.expect("a section about policy");
    let block = section.split("```console\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap();
    let parts = block.split("$ ").filter(|part| !part.is_empty());
    let example = |part: &str| {
        // A command ends with its line, unless that ends with a pipe.
        let end = part
            .match_indices('\n')
            .find(|(at, _)| !part[..*at].ends_with('|'));
        let (command, printed) = part.split_at(end.unwrap().0 + 1);
        (command.to_owned(), printed.to_owned())
    };
    parts.map(example).collect()
}

#[test]
fn the_readme_shows_what_is_printed() {
    let examples = readme();
    assert!(examples.len() >= 3, "{examples:?}");
    let binary = Path::new(env!("CARGO_BIN_EXE_vswitchctl"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    for (command, printed) in examples {
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(cases::directory())
            .env("PATH", &path)
            .output()
            .unwrap();
        assert_eq!(text(&output.stdout), printed, "{command}");
    }
}
