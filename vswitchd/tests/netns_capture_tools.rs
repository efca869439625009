//! `vswitchctl capture` as people use it: lines, counts and times, rotating files, pipes into tshark, and tshark itself.

#![forbid(unsafe_code)]

mod netns_common;

use std::{
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lab::Lab;
use netns_common::{
    M02, MANUAL, NGINX, Running, minikube, ok, show, soon,
    tap::{fields_of, vswitchctl},
    text, without_ipv6,
};

fn up(name: &str) -> Lab {
    let lab = Lab::up(minikube(name)).unwrap();
    without_ipv6(&lab);
    lab
}

/// Pings `nginx` from the other node until dropped.
fn pinging(lab: &Lab) -> Running {
    Running::start(lab, "nginx-manual", &format!("ping -n -i 0.05 {NGINX}"))
}

/// `vswitchctl capture` on `minikube-m02` with these arguments.
fn capture(lab: &Lab, line: &str) -> Command {
    let mut command = vswitchctl(lab, M02);
    command.arg("capture").args(line.split_whitespace());
    command
}

#[test]
fn lines_say_who_what_where_and_whither_and_end_after_a_count() {
    let lab = up("tap-lines");
    let _pings = pinging(&lab);
    let output = capture(&lab, "nginx --stage rx,tx -f icmp -c 4")
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 4, "{lines}");
    for part in [
        "tx          leaves ",
        "rx          arrives ",
        &format!("{MANUAL} > default/nginx {NGINX}  icmp echo request "),
        "98 bytes",
    ] {
        assert!(lines.contains(part), "{part} in {lines}");
    }
    assert!(!lines.contains('\u{1b}'), "a pipe is given no colours");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("4 captured, "), "{said}");
}

#[test]
fn a_duration_ends_it_and_so_does_a_reader_that_has_gone() {
    let lab = up("tap-ends");
    let start = Instant::now();
    let output = capture(&lab, "nginx --duration 500ms").output().unwrap();
    assert!(output.status.success() && start.elapsed() < Duration::from_secs(5));
    assert!(text(&output).contains("0 captured, 0 matched, 0 lost by the tap"));
    // Nothing passes, so nothing is ever written: it must notice all the same.
    let mut child = capture(&lab, "nginx")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    soon("it looks", || show(&lab, M02, "taps").len() == 1);
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn files_rotate_by_size_and_only_the_newest_are_kept() {
    let lab = up("tap-rotate");
    let folder = tempfile::tempdir().unwrap();
    let _pings = pinging(&lab);
    let line = "nginx --stage rx,tx -f icmp -c 60 --rotate-size 2k --files 3";
    let output = capture(&lab, line)
        .arg("-w")
        .arg(folder.path().join("web.pcapng"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let mut files: Vec<_> = folder
        .path()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(!files[0].ends_with("web_00001.pcapng"), "{files:?}");
    for file in &files {
        let seen = fields_of(file, &["frame.interface_name"]);
        assert!(
            !seen.is_empty() && seen.len() < 30,
            "{}: {}",
            file.display(),
            seen.len()
        );
        assert!(std::fs::metadata(file).unwrap().len() < 4_000);
    }
}

#[test]
fn files_rotate_by_time() {
    let lab = up("tap-rotate-time");
    let folder = tempfile::tempdir().unwrap();
    let _pings = pinging(&lab);
    let line = "nginx --stage rx --duration 2s --rotate-time 500ms";
    let output = capture(&lab, line)
        .arg("-w")
        .arg(folder.path().join("web.pcapng"))
        .output();
    assert!(output.unwrap().status.success());
    let files = folder.path().read_dir().unwrap().count();
    assert!((3..=5).contains(&files), "{files} files");
}

#[test]
fn a_pipe_is_read_while_it_is_written() {
    let lab = up("tap-pipe");
    let mut writer = capture(&lab, "nginx --stage rx,tx -f icmp -w -")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    soon("it looks", || show(&lab, M02, "taps").len() == 1);
    let mut reader = Command::new("tshark")
        .args([
            "-n",
            "-l",
            "-r",
            "-",
            "-T",
            "fields",
            "-e",
            "frame.interface_name",
            "-e",
            "icmp.type",
        ])
        .env("PATH", lab::binaries::system_path())
        .stdin(writer.stdout.take().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(reader.stdout.take().unwrap()));
    ok(&lab, "nginx-manual", &format!("ping -n -c 1 {NGINX}"));
    // They are there although neither end has finished.
    let seen: Vec<String> = lines.by_ref().take(2).map(Result::unwrap).collect();
    assert_eq!(seen, ["default/nginx:tx\t8", "default/nginx:rx\t0"]);
    reader.kill().unwrap();
    reader.wait().unwrap();
    drop(lines);
    // Its reader has gone.
    assert!(writer.wait().unwrap().success());
    soon("the tap is gone", || show(&lab, M02, "taps").is_empty());
}

/// tshark with our extcap in its folder, for a node's daemon. An ordinary user names the folder; for root tshark ignores
/// that, so ours is mounted over its own, for this process alone.
fn tshark(lab: &Lab, folder: &Path) -> Command {
    const OVER_ITS_OWN: &str = r#"
own=$(tshark -G folders 2>/dev/null | sed -nE 's/^(Global )?Extcap path:[[:space:]]*//p' | head -1)
mount --bind "$0" "$own" && exec tshark "$@""#;
    let mut command = match nix::unistd::geteuid().is_root() {
        true => Command::new("unshare"),
        false => Command::new("tshark"),
    };
    if nix::unistd::geteuid().is_root() {
        command.args(["-m", "sh", "-c", OVER_ITS_OWN]).arg(folder);
    }
    command
        .env("PATH", lab::binaries::system_path())
        .env("WIRESHARK_EXTCAP_DIR", folder)
        .env("HOME", folder)
        .env(
            "VSWITCHD_SOCKET",
            lab.sandbox().path(lab::node::socket(M02)),
        );
    command
}

#[test]
fn tshark_lists_our_interfaces_and_captures_by_them() {
    let lab = up("tap-extcap");
    let folder = tempfile::tempdir().unwrap();
    symlink(
        env!("CARGO_BIN_EXE_vswitchctl"),
        folder.path().join("vswitch-extcap"),
    )
    .unwrap();
    let listed = text(&tshark(&lab, folder.path()).arg("-D").output().unwrap());
    for name in [
        "vswitch-all",
        "vswitch-uplink",
        "vswitch-host",
        "vswitch-pod-default.nginx",
    ] {
        assert!(
            listed.contains(&format!(" {name} (vswitchd: ")),
            "{name} in {listed}"
        );
    }
    let _pings = pinging(&lab);
    let file = folder.path().join("out.pcapng");
    let captured = |options: &[&str]| {
        let output = tshark(&lab, folder.path())
            .args(options)
            .args(["-a", "duration:20", "-c", "5", "-w"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        fields_of(&file, &["frame.interface_name", "ip.src", "ip.dst"])
    };
    let seen = captured(&["-i", "vswitch-pod-default.nginx", "-f", "icmp"]);
    assert_eq!(seen.len(), 5, "{seen:?}");
    let way = format!("default/nginx:tx|{MANUAL}|{NGINX}");
    assert!(seen.contains(&way), "{seen:?}");
    soon("the tap is gone", || show(&lab, M02, "taps").is_empty());
    // A setting, as Wireshark's dialog would keep it.
    let stages = "extcap.vswitch_all.stages:post-policy";
    let seen = captured(&["-o", stages, "-i", "vswitch-all"]);
    assert!(
        seen.iter().all(|line| line.contains(":post-policy|")),
        "{seen:?}"
    );
}

#[test]
fn an_extcap_filter_that_is_wrong_is_told_in_libpcaps_words() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchctl"));
    let line = "extcap --extcap-interface vswitch-all --extcap-capture-filter";
    command.args(line.split(' '));
    let verify =
        |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(verify(command.arg("tcp port")).contains("syntax error"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchctl"));
    command.args(line.split(' '));
    assert_eq!(verify(command.arg("tcp port 80")), "");
}
