//! The flight recorder: the seconds before a drop, and before a question.

#![forbid(unsafe_code)]

mod netns_common;

use std::{fs, path::PathBuf, thread, time::Duration};

use lab::{Kill, Lab};
use netns_common::{
    M02, M03, NGINX, minikube, ok,
    policing::{connects, pod, policy, put},
    soon,
    tap::{fields_of, vswitchctl},
    text, without_ipv6,
};

/// What a test asks tshark for.
const FIELDS: [&str; 4] = ["frame.interface_name", "ip.src", "ip.dst", "frame.comment"];

/// A lab whose `minikube-m03` records, and has the pods `web`, which is closed, and `asker`.
fn recording(name: &str) -> Lab {
    let lab = Lab::up(minikube(name)).unwrap();
    without_ipv6(&lab);
    let file = format!("{}/vswitchd.toml", lab::node::folder(M03));
    let mut toml = fs::read_to_string(lab.sandbox().path(&file)).unwrap();
    toml += "\n[recorder]\nenabled = true\nmib_per_worker = 1\ndump_on = [\"policy_ingress\"]\nsnap_len = 96\n";
    lab.sandbox().write(&file, &toml).unwrap();
    lab.restart(M03, Kill::Gently).unwrap();
    for name in ["web", "asker"] {
        lab.pod_add(&pod(name, M03, name)).unwrap();
    }
    let spec = "podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]";
    put(&lab, &policy("web-is-closed", "", spec));
    lab
}

/// The files that drops have written on `minikube-m03`.
fn files(lab: &Lab) -> Vec<PathBuf> {
    let folder = format!("{}/state/recorder", lab::node::folder(M03));
    let entries = fs::read_dir(lab.sandbox().path(folder)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_drop_writes_out_the_seconds_before_it_and_once_a_minute() {
    let lab = recording("recorder-drop");
    let [web, asker] = ["web", "asker"].map(|pod| lab.address(pod).unwrap().to_string());
    ok(&lab, "asker", &format!("ping -n -c 3 -i 0.2 {NGINX}"));
    assert!(files(&lab).is_empty());
    assert_ne!(connects(&lab, "asker", &web, 80), "open");
    soon("a file is there", || files(&lab).len() == 1);
    let file = files(&lab).remove(0);
    assert!(
        file.to_string_lossy().ends_with("-policy_ingress.pcapng"),
        "{}",
        file.display()
    );
    let mut seen = Vec::new();
    soon("it is whole", || {
        seen = fields_of(&file, &FIELDS);
        !seen.is_empty()
    });
    let count = |begin: &str| seen.iter().filter(|line| line.starts_with(begin)).count();
    // What it had done before, at every port, and what it died of.
    assert_eq!(
        count(&format!("default/asker:rx|{asker}|{NGINX}")),
        3,
        "{seen:?}"
    );
    assert_eq!(
        count(&format!("default/asker:tx|{NGINX}|{asker}")),
        3,
        "{seen:?}"
    );
    let dropped = format!("default/asker:drop|{asker}|{web}|dropped: policy_ingress");
    assert!(count(&dropped) >= 1, "{seen:?}");
    let times = fields_of(&file, &["frame.time_epoch", "frame.cap_len"]);
    assert!(times.is_sorted());
    assert!(
        times
            .iter()
            .all(|line| line.rsplit('|').next().unwrap().parse::<u32>().unwrap() <= 96)
    );
    assert_ne!(connects(&lab, "asker", &web, 80), "open");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(files(&lab).len(), 1, "one a minute");
}

#[test]
fn a_question_gets_what_is_there_and_the_recorder_begins_anew() {
    let lab = recording("recorder-dump");
    let folder = tempfile::tempdir().unwrap();
    let dump = |node: &str, name: &str, more: &[&str]| {
        let file = folder.path().join(name);
        let mut command = vswitchctl(&lab, node);
        command
            .args(["recorder", "dump"])
            .args(more)
            .arg("-w")
            .arg(&file);
        (command.output().unwrap(), file)
    };
    ok(&lab, "asker", &format!("ping -n -c 2 -i 0.2 {NGINX}"));
    let (output, file) = dump(M03, "first.pcapng", &[]);
    assert!(output.status.success(), "{}", text(&output));
    let seen = fields_of(&file, &["frame.interface_name", "icmp.type"]);
    for line in [
        "default/asker:rx|8",
        "uplink:tx|8",
        "uplink:rx|0",
        "default/asker:tx|0",
    ] {
        assert_eq!(
            seen.iter().filter(|seen| *seen == line).count(),
            2,
            "{line}: {seen:?}"
        );
    }
    let (_, file) = dump(M03, "second.pcapng", &[]);
    let seen = fields_of(&file, &["icmp.type"]);
    assert!(!seen.contains(&"8".to_owned()), "{seen:?}");
    ok(&lab, "asker", &format!("ping -n -c 1 {NGINX}"));
    thread::sleep(Duration::from_secs(3));
    let (_, file) = dump(M03, "third.pcapng", &["--seconds", "1"]);
    let seen = fields_of(&file, &["icmp.type"]);
    assert!(!seen.contains(&"8".to_owned()), "{seen:?}");
    // Where it is off, nothing is made up.
    let (output, file) = dump(M02, "off.pcapng", &[]);
    assert!(!output.status.success());
    assert!(
        text(&output).contains("the flight recorder is off"),
        "{}",
        text(&output)
    );
    assert!(!file.exists());
}
