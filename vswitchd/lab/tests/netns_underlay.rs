//! The underlay alone, on real interfaces: no daemon, no plugin.

use std::path::Path;

use lab::{Config, Error, Lab};

fn config(name: &str) -> Config {
    let text = format!(
        r#"
        name = "{name}"
        underlay = {{ gateway = "172.16.30.1/24", mtu = 1400 }}
        node = [{{ name = "minikube", address = "172.16.30.6" }}, {{ name = "minikube-m02", address = "172.16.30.7" }}]
        pool = [{{ name = "p", cidr = "10.244.0.0/16" }}]
        outside = [{{ address = "8.8.8.8" }}]
    "#
    );
    Config::parse("test", &text).unwrap()
}

fn ok(lab: &Lab, target: &str, argv: &[&str]) -> String {
    let output = lab.exec(target, argv).unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{target}: {argv:?}\n{stdout}{stderr}"
    );
    stdout
}

#[test]
fn nodes_reach_one_another_and_the_outside() {
    let lab = Lab::underlay(config("underlay-reach")).unwrap();
    ok(&lab, "minikube", &["ping", "-c1", "-W2", "172.16.30.7"]);
    ok(&lab, "minikube-m02", &["ping", "-c1", "-W2", "8.8.8.8"]);
    ok(&lab, "8.8.8.8", &["ping", "-c1", "-W2", "172.16.30.6"]);
}

#[test]
fn a_node_looks_as_in_the_walk_through() {
    let lab = Lab::underlay(config("underlay-look")).unwrap();
    let routes = ok(&lab, "minikube-m02", &["ip", "route"]);
    assert!(
        routes.contains("default via 172.16.30.1 dev eth0"),
        "{routes}"
    );
    assert!(routes.contains("172.16.30.0/24 dev eth0"), "{routes}");
    let link = ok(&lab, "minikube-m02", &["ip", "link", "show", "eth0"]);
    assert!(link.contains("mtu 1400"), "{link}");
}

#[test]
fn a_lab_is_up_once_and_gone_when_dropped() {
    let lab = Lab::underlay(config("underlay-once")).unwrap();
    let keeper = lab.sandbox().keeper;
    let again = Lab::underlay(config("underlay-once")).unwrap_err();
    assert!(matches!(again, Error::AlreadyUp { .. }), "{again}");
    drop(lab);
    assert!(!Path::new(&format!("/proc/{keeper}")).exists());
    drop(Lab::underlay(config("underlay-once")).unwrap());
}

#[test]
fn what_dies_with_its_keeper_is_replaced_by_the_next_up() {
    let lab = Lab::underlay(config("underlay-crash")).unwrap();
    lab.sandbox().end();
    let next = Lab::underlay(config("underlay-crash")).unwrap();
    ok(&next, "minikube", &["true"]);
}

#[test]
fn an_unknown_place_is_refused_with_the_places_there_are() {
    let lab = Lab::underlay(config("underlay-unknown")).unwrap();
    let message = lab.exec("nowhere", &["true"]).unwrap_err().to_string();
    assert!(
        message.contains("minikube-m02") && message.contains("8.8.8.8"),
        "{message}"
    );
}
