//! A whole lab: real daemons, real plugin, real interfaces.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use lab::{Config, Kill, Lab, config::Pod};

const NGINX: &str = "10.244.205.193";

fn minikube(name: &str) -> Config {
    let file = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../configs/lab/minikube.toml"
    ));
    let mut config = Config::load(file).unwrap();
    config.name = name.into();
    config.cni.version = "1.0.0".into(); // CHECK exists since 0.4.0
    config
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn run(lab: &Lab, target: &str, command: &str) -> Output {
    lab.exec(target, &command.split(' ').collect::<Vec<_>>())
        .unwrap()
}

fn ok(lab: &Lab, target: &str, command: &str) -> String {
    let output = run(lab, target, command);
    assert!(
        output.status.success(),
        "{target}: {command}\n{}",
        text(&output)
    );
    text(&output)
}

fn soon(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "not within 10 s: {what}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// A command that runs in the background inside; it dies with the returned child.
fn background(lab: &Lab, target: &str, command: &str) -> std::process::Child {
    let mut command = lab
        .command(target, &command.split(' ').collect::<Vec<_>>())
        .unwrap();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn the_demo_passes() {
    let status = lab::demo::run();
    assert_eq!(
        format!("{status:?}"),
        format!("{:?}", std::process::ExitCode::SUCCESS)
    );
}

#[test]
fn a_pods_life_leaves_no_trace_and_its_address_goes_to_the_tail() {
    let lab = Lab::up(minikube("life")).unwrap();
    lab.pod_check("nginx").unwrap();
    let pod = Pod::new(
        "default",
        "second",
        "minikube-m02",
        [("app".into(), "x".into())],
    );
    assert_eq!(lab.pod_add(&pod).unwrap().address(), "10.244.205.194");
    ok(&lab, "second", &format!("ping -c 1 -W 2 {NGINX}"));
    assert!(lab.pod_add(&pod).is_err(), "the same pod twice");

    lab.pod_delete("second").unwrap();
    assert!(
        !ok(&lab, "minikube-m02", "ip -brief link").contains(&interface_of("default", "second"))
    );
    assert!(
        !run(&lab, "nginx", "ping -c 1 -W 1 10.244.205.194")
            .status
            .success()
    );
    // First in, first out: the address just freed comes last.
    assert_eq!(lab.pod_add(&pod).unwrap().address(), "10.244.205.195");
}

fn interface_of(namespace: &str, pod: &str) -> String {
    cni_shim::host_interface_name("cali", namespace, pod)
}

#[test]
fn a_daemon_killed_under_traffic_comes_back_with_its_pods() {
    let lab = Lab::up(minikube("killed")).unwrap();
    let ping = background(
        &lab,
        "nginx-manual",
        &format!("ping -i 0.05 -c 120 -W 1 {NGINX}"),
    );
    thread::sleep(Duration::from_secs(1));
    lab.restart("minikube-m02", Kill::Hard).unwrap();
    let start = Instant::now();
    soon("a ping after the restart", || {
        run(&lab, "nginx-manual", &format!("ping -c 1 -W 0.2 {NGINX}"))
            .status
            .success()
    });
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?} after the restart",
        start.elapsed()
    );

    let said = text(&ping.wait_with_output().unwrap());
    let received: u32 = said
        .split(" received")
        .next()
        .unwrap()
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        received >= 80,
        "the flow that ran all the while got {received} of 120 answers:\n{said}"
    );
    lab.pod_check("nginx").unwrap();
    let next = lab
        .pod_add(&Pod::new("default", "next", "minikube-m02", []))
        .unwrap();
    assert_eq!(
        next.address(),
        "10.244.205.194",
        "no address is lost or given twice"
    );
}

#[test]
fn a_gentle_restart_also_keeps_the_pods() {
    let lab = Lab::up(minikube("gentle")).unwrap();
    for node in ["minikube-m02", "minikube-m03"] {
        lab.restart(node, Kill::Gently).unwrap();
    }
    ok(&lab, "nginx", "ping -c 1 -W 2 10.244.151.1");
    ok(&lab, "nginx", "ping -c 1 -W 2 8.8.8.8");
}

#[test]
fn tshark_finds_well_formed_ipip_with_correct_checksums() {
    let lab = Lab::up(minikube("tshark")).unwrap();
    let fields = "-T fields -e ip.src -e ip.dst -e ip.ttl -e ip.checksum.status -e icmp.checksum.status -e icmp.type";
    let capture = background(
        &lab,
        "minikube-m02",
        &format!("timeout 10 tshark -l -i eth0 -f ip[9]=4 -c 2 -o ip.check_checksum:TRUE {fields}"),
    );
    thread::sleep(Duration::from_secs(2));
    ok(&lab, "nginx-manual", &format!("ping -c 2 -W 2 {NGINX}"));
    let said = text(&capture.wait_with_output().unwrap());
    // Outer and inner: addresses, TTL 64 outside and 63 inside, both header checksums and that of ICMP good (status 1).
    let request = "172.16.30.8,10.244.151.1\t172.16.30.7,10.244.205.193\t64,63\t1,1\t1\t8";
    assert!(said.contains(request), "expected `{request}` in\n{said}");
}

#[test]
fn a_host_port_leads_to_its_pod_through_the_chained_portmap() {
    let mut config = minikube("portmap");
    let chain = "chain = [{ type = 'portmap', snat = true, capabilities = { portMappings = true } }, { type = 'tuning' }]";
    config.cni = toml::from_str(&format!("version = '1.0.0'\n{chain}")).unwrap();
    config.pods[0].ports = toml::from_str::<toml::Table>("p = [{ port = 80, host_port = 8080 }]")
        .unwrap()["p"]
        .clone()
        .try_into()
        .unwrap();
    let lab = Lab::up(config).unwrap();
    let mut server = background(&lab, "nginx", "python3 -m http.server -d /usr/share/doc 80");
    soon("the server listens", || {
        text(&run(&lab, "nginx", "ss -ltn")).contains(":80")
    });
    for from in ["8.8.8.8", "nginx-manual", "minikube-m02"] {
        let script = "import urllib.request,sys; sys.exit(urllib.request.urlopen('http://172.16.30.7:8080/',timeout=3).status != 200)";
        let output = lab.exec(from, &["python3", "-c", script]).unwrap();
        assert!(output.status.success(), "from {from}: {}", text(&output));
    }
    let _ = server.kill();
    let _ = server.wait();
}

#[test]
fn a_policy_is_live_without_a_restart_and_withdrawn_without_one() {
    let lab = Lab::up(minikube("policy")).unwrap();
    let deny = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../configs/policy/default-deny-ingress.yaml"
    ));
    let reaches = || {
        run(&lab, "nginx-manual", &format!("ping -c 1 -W 0.3 {NGINX}"))
            .status
            .success()
    };
    assert!(reaches());
    lab.apply(deny).unwrap();
    soon("the policy denies", || !reaches());
    lab.delete(deny).unwrap();
    soon("the policy is gone", reaches);
}

#[test]
fn the_command_line_brings_a_lab_up_and_takes_it_down() {
    let program = lab::binaries::Binaries::find().unwrap().vswitchctl;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lab.toml");
    fs::write(&file, toml::to_string(&minikube("cli")).unwrap()).unwrap();
    let ctl = |arguments: &str| {
        let arguments = arguments.split(' ').filter(|word| !word.is_empty());
        Command::new(&program)
            .arg("lab")
            .args(arguments)
            .output()
            .unwrap()
    };
    let up = format!("up -f {}", file.display());
    assert!(ctl(&up).status.success());
    let twice = ctl(&up);
    assert!(
        !twice.status.success() && text(&twice).contains("already up"),
        "{}",
        text(&twice)
    );
    let status: serde_json::Value =
        serde_json::from_slice(&ctl("--lab cli status -o json").stdout).unwrap();
    assert_eq!(status["pods"][0]["address"], NGINX);
    assert!(
        text(&ctl("--lab cli ctl minikube-m02 -- show routes"))
            .contains("blackhole 10.244.205.192/26")
    );
    assert_eq!(
        ctl("--lab cli exec nginx -- test -e /nonexistent")
            .status
            .code(),
        Some(1)
    );
    assert!(ctl("--lab cli down").status.success());
    assert!(!ctl("--lab cli status").status.success());
    assert!(
        ctl("--lab cli down").status.success(),
        "down twice is no error"
    );
}
