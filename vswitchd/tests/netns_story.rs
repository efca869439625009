//! The story of `vswitchd/docs/why.md`, played: each of its commands says what the story says, and the end is a happy one.

#![forbid(unsafe_code)]

mod netns_common;

use std::path::{Path, PathBuf};

use lab::{Config, Lab};
use netns_common::{Running, ok, run, soon, text};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Whether `web` can connect to `db` within a second.
fn connects(lab: &Lab) -> bool {
    let db = lab.address("shop/db").unwrap();
    let script = format!("true </dev/tcp/{db}/5432");
    let argv = ["timeout", "1", "bash", "-c", &script];
    lab.exec("shop/web", &argv).unwrap().status.success()
}

#[test]
fn a_pod_cannot_reach_its_service_and_three_commands_say_why() {
    let mut config = Config::load(&file("configs/lab/shop.toml")).unwrap();
    config.name = "story".into();
    let lab = Lab::up(config).unwrap();
    let _db = Running::start(&lab, "shop/db", "/usr/bin/python3 -m http.server 5432");
    soon("db answers", || connects(&lab));
    let policy = file("configs/policy/shop-db.yaml");
    lab.apply(&policy).unwrap();
    soon("the policy is in force", || !connects(&lab));

    let drops = ok(&lab, "node-b", "vswitchctl show drops --by-pod");
    let toward = |line: &str| line.contains("shop/db") && line.contains("toward   policy_ingress");
    assert!(drops.lines().any(toward), "{drops}");

    let capture = "vswitchctl capture shop/db --drops --reason policy_ingress -c 1 --duration 20s";
    let capture = Running::start(&lab, "node-b", capture);
    soon("a tap is set", || {
        ok(&lab, "node-b", "vswitchctl show taps").contains("shop/db")
    });
    assert!(!connects(&lab));
    let captured = capture.finish();
    for said in [
        "DROPPED",
        "shop/web",
        "shop/db",
        "selected by NetworkPolicy shop/db",
    ] {
        assert!(captured.contains(said), "{said}: {captured}");
    }

    let explain = "vswitchctl policy explain shop/web shop/db --port 5432/tcp";
    let explained = text(&run(&lab, "node-b", explain));
    let advice = "would match if shop/web had label tier=frontend";
    assert!(explained.contains(advice), "{explained}");

    let mended = std::fs::read_to_string(&policy).unwrap();
    let mended = mended.replace("tier: frontend\n", "tier: front\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop-db.yaml");
    std::fs::write(&file, mended).unwrap();
    lab.apply(&file).unwrap();
    soon("a trace is delivered", || {
        let traced = run(
            &lab,
            "node-a",
            "vswitchctl trace shop/web shop/db --dport 5432",
        );
        text(&traced).contains("\ndelivered to shop/db on node-b")
    });
    assert!(connects(&lab));
}
