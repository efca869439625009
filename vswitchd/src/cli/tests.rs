//! The command line as a user types it.

use clap::{CommandFactory, error::ErrorKind};

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

/// Every `vswitchctl ...` line of every help text, up to what belongs to the shell or is a remark.
fn examples(command: &mut clap::Command) -> Vec<String> {
    let help = command.render_long_help().to_string();
    let of = |line: &str| {
        let line = line.trim();
        let line = line.split_once("  ").map_or(line, |(command, _)| command);
        let words = line
            .split(' ')
            .take_while(|word| !["|", ">", "&&"].contains(word));
        words.collect::<Vec<_>>().join(" ")
    };
    let lines = help
        .lines()
        .filter(|line| line.trim().starts_with("vswitchctl "));
    let mut found: Vec<String> = lines.map(of).collect();
    for child in command.get_subcommands_mut() {
        found.extend(examples(child));
    }
    found
}

#[test]
fn the_examples_of_every_help_text_parse() {
    let examples = examples(&mut Cli::command());
    assert!(examples.len() >= 20, "{examples:#?}");
    for example in examples {
        if let Err(error) = parse(&example) {
            panic!("{example}: {error}");
        }
    }
}

#[test]
fn an_unknown_table_lists_the_known_ones() {
    let error = parse("vswitchctl show rutes").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidValue);
    let text = error.to_string();
    for table in crate::show::TABLES {
        assert!(text.contains(table.name), "{text}");
    }
}

#[test]
fn the_socket_is_the_option_else_the_variable_else_the_usual_place() {
    let option = Some(PathBuf::from("/a"));
    let variable = Some(OsString::from("/b"));
    assert_eq!(socket(option, variable.clone()), PathBuf::from("/a"));
    assert_eq!(socket(None, variable), PathBuf::from("/b"));
    let usual = PathBuf::from(DEFAULT_SOCKET);
    assert_eq!(socket(None, Some(OsString::new())), usual);
    assert_eq!(socket(None, None), usual);
}

#[test]
fn the_socket_may_stand_before_or_after_the_verb() {
    for line in [
        "vswitchctl --socket /a show routes",
        "vswitchctl show routes --socket /a",
    ] {
        assert_eq!(parse(line).unwrap().socket, Some(PathBuf::from("/a")));
    }
}

#[test]
fn without_a_daemon_one_sentence_names_the_socket_and_the_way_out() {
    let daemon = Daemon("/nonexistent/vswitchd.sock".into());
    let error = daemon.ask(&Request::Status {}).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.starts_with("vswitchd does not answer at /nonexistent/vswitchd.sock (No such file"),
        "{text}"
    );
    assert!(text.contains("vswitchd --config FILE"), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn every_shell_gets_a_script_that_knows_the_tables() {
    use clap::ValueEnum;
    for shell in clap_complete::Shell::value_variants() {
        let script = completions::script(*shell);
        assert!(script.contains("vswitchctl"), "{shell}");
    }
    assert!(completions::script(clap_complete::Shell::Bash).contains("conntrack"));
}

#[test]
fn every_verb_gets_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man1");
    let line = format!("vswitchctl man {}", pages.display());
    parse(&line).unwrap().run().unwrap();
    for page in ["vswitchctl.1", "vswitchctl-show.1", "vswitchctl-lab-up.1"] {
        assert!(pages.join(page).is_file(), "{page}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let gone = io::Error::from(io::ErrorKind::BrokenPipe);
    assert!(is_broken_pipe(&gone.into()));
    assert!(!is_broken_pipe(&anyhow::anyhow!("something else")));
}
