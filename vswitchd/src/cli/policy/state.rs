//! `-f`: the state a question is about.

use std::{io::Read, path::Path, path::PathBuf};

use anyhow::{Context, bail};
use policy::{
    Cluster,
    source::yaml::{Loaded, Text, load, read},
};

use crate::cli::remark;

/// Standard input, as a file.
pub(super) const STANDARD_INPUT: &str = "-";

/// What to call standard input in errors.
const STANDARD_INPUT_NAME: &str = "standard input";

/// The files of a state.
#[derive(Debug, clap::Args)]
pub(super) struct State {
    /// A file or directory of manifests, or - for standard input; may be repeated.
    #[arg(short = 'f', long = "file", value_name = "STATE")]
    files: Vec<PathBuf>,
}

impl State {
    /// Is a state given? Otherwise the daemon is asked.
    pub(super) fn is_given(&self) -> bool {
        !self.files.is_empty()
    }

    /// Is one of the files standard input?
    pub(super) fn is_standard_input(&self) -> bool {
        self.files.iter().any(|file| is_standard_input(file))
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Reads all files as one state.
    pub(super) fn cluster(&self) -> anyhow::Result<Cluster> {
        Ok(loaded(&texts(&self.files)?)?.cluster)
    }
}

/// The texts of files, directories and standard input.
pub(super) fn texts(files: &[PathBuf]) -> anyhow::Result<Vec<Text>> {
    if files.iter().filter(|file| is_standard_input(file)).count() > 1 {
        bail!("expected standard input (-) once, found it twice");
    }
    let mut texts = Vec::new();
    for file in files {
        match is_standard_input(file) {
            true => texts.push(standard_input()?),
            false => texts.extend(read(file)?),
        }
    }
    Ok(texts)
}

/// The state these texts describe. What is wrong with them goes to standard error, all of it.
pub(super) fn loaded(texts: &[Text]) -> anyhow::Result<Loaded> {
    match load(texts) {
        Ok(loaded) => Ok(loaded),
        Err(errors) => {
            errors.iter().for_each(|error| remark(&error.to_string()));
            let found = match errors.len() {
                1 => "this error".to_owned(),
                many => format!("these {many} errors"),
            };
            bail!("expected a state without errors, found {found}");
        }
    }
}

fn is_standard_input(file: &Path) -> bool {
    file.as_os_str() == STANDARD_INPUT
}

fn standard_input() -> anyhow::Result<Text> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock();
    input
        .read_to_string(&mut text)
        .context(STANDARD_INPUT_NAME)?;
    Ok(Text {
        file: STANDARD_INPUT_NAME.to_owned(),
        text,
    })
}
