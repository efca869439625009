//! NetworkPolicy on real interfaces: from a pod's first packet on, by addresses, named ports, protocols and labels.

#![forbid(unsafe_code)]

mod netns_common;

use std::{
    thread,
    time::{Duration, Instant},
};

use lab::{
    Lab,
    config::{Pod, Port},
};
use netns_common::{
    M01, M01_ADDRESS, M02, M03, MANUAL, NGINX, OUTSIDE, PYTHON, Running,
    capture::Capture,
    drops::Drops,
    minikube, pings,
    policing::{connects, echo, pod, policy, put},
    scapy::Scapy,
    soon, without_ipv6,
};

/// The first free address of nginx's node.
const NEWCOMER: &str = "10.244.205.194";

/// The kernel's first question for the gateway is lost while the interface has no port yet.
const ARP_ASKS_AGAIN: Duration = Duration::from_millis(1300);

/// Sends to nginx from the moment it can, and says at its end how often it could and how often it was sent something.
const RESTLESS: &str = "
import select, socket, sys
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind(('', 5000))
line.setblocking(False)
sent = received = 0
while not select.select([sys.stdin], [], [], 0.0005)[0]:
    try:
        line.sendto(b'first', ('NGINX', 5000))
        sent += 1
    except OSError:
        pass
    try:
        line.recv(99)
        received += 1
    except OSError:
        pass
print(sent, received)
";

/// Starts a pod in which [`RESTLESS`] runs before it has an interface, while another node's pod sends to the address it is
/// going to have. Returns what it sent and was sent, and what of it reached nginx.
fn start_amid_traffic(lab: &Lab, newcomer: &Pod) -> (u64, u64, usize) {
    let at_nginx = Capture::start(lab, "nginx", "eth0", &format!("host {NEWCOMER}"));
    let flood = RESTLESS.replace("NGINX", NEWCOMER);
    let flood = Running::python(lab, "nginx-manual", &flood);
    let netns = newcomer.netns();
    let restless = thread::scope(|scope| {
        let restless = scope.spawn(|| {
            let there = lab.sandbox().path(format!("/run/netns/{netns}"));
            soon("the namespace", || there.exists());
            let script = RESTLESS.replace("NGINX", NGINX);
            let inside = lab.sandbox();
            let command = || inside.command(Some(&netns), &[PYTHON, "-c", &script]);
            let start = Instant::now();
            loop {
                // The name is there a moment before the namespace is.
                let mut running = Running::spawn(command());
                thread::sleep(Duration::from_millis(30));
                if running.0.try_wait().unwrap().is_none() || start.elapsed().as_secs() > 5 {
                    return running;
                }
            }
        });
        lab.pod_add(newcomer).unwrap();
        restless.join().unwrap()
    });
    assert_eq!(lab.address(&newcomer.key()).unwrap().to_string(), NEWCOMER);
    thread::sleep(ARP_ASKS_AGAIN);
    let said = restless.finish();
    let counts: Vec<u64> = said
        .split_whitespace()
        .map(|count| count.parse().unwrap_or_else(|_| panic!("{said}")))
        .collect();
    drop(flood);
    (counts[0], counts[1], at_nginx.frames().len())
}

#[test]
fn no_packet_of_a_new_pod_passes_before_its_policies_are_in_force() {
    let everybody = policy(
        "everybody",
        "",
        "podSelector: {}, policyTypes: [Ingress, Egress]",
    );
    let by_label = policy(
        "labelled",
        "",
        "podSelector: {matchLabels: {app: shy}}, policyTypes: [Ingress, Egress]",
    );
    for (name, policies) in [("policy-first", everybody), ("policy-shy", by_label)] {
        let lab = Lab::up(minikube(name)).unwrap();
        without_ipv6(&lab);
        put(&lab, &policies);
        let drops = Drops::of(&lab, M02);
        let (sent, received, at_nginx) = start_amid_traffic(&lab, &pod("shy", M02, "shy"));
        assert!(sent > 50, "{name}: {sent} sent");
        assert_eq!((received, at_nginx), (0, 0), "{name}");
        let risen = drops.risen();
        assert!(risen.contains_key("policy_egress"), "{name}: {risen:?}");
    }
}

/// The label is in force when ADD is answered: what is allowed by it passes at once.
#[test]
fn a_new_pod_is_allowed_by_its_label_from_the_start() {
    let lab = Lab::up(minikube("policy-label-start")).unwrap();
    let spec = "podSelector: {matchLabels: {run: nginx}}, \
                ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}]}]";
    put(&lab, &policy("friends", "", spec));
    lab.pod_add(&pod("friend", M02, "friend")).unwrap();
    assert!(pings(&lab, "friend", NGINX));
    lab.pod_add(&pod("stranger", M02, "stranger")).unwrap();
    assert!(!pings(&lab, "stranger", NGINX));
}

#[test]
fn blocks_admit_all_but_their_exceptions_both_ways() {
    let lab = Lab::up(minikube("policy-blocks")).unwrap();
    let ingress = policy(
        "in",
        "",
        "podSelector: {matchLabels: {run: nginx}}, ingress: [{from: [{ipBlock: \
         {cidr: 10.244.0.0/16, except: [10.244.151.0/26]}}]}]",
    );
    let egress = policy(
        "out",
        "",
        &format!(
            "podSelector: {{matchLabels: {{app: nginx-manual}}}}, policyTypes: [Egress], \
             egress: [{{to: [{{ipBlock: {{cidr: 0.0.0.0/0, except: [{OUTSIDE}/32]}}}}]}}]"
        ),
    );
    assert!(pings(&lab, "nginx-manual", NGINX));
    assert!(pings(&lab, "nginx-manual", OUTSIDE));
    put(&lab, &(ingress + &egress));
    assert!(pings(&lab, M01, NGINX), "10.244.120.64 is in the block");
    assert!(!pings(&lab, "nginx-manual", NGINX), "excepted");
    assert!(pings(&lab, "nginx-manual", M01_ADDRESS));
    assert!(!pings(&lab, "nginx-manual", OUTSIDE), "excepted");
    assert!(pings(&lab, "nginx", MANUAL), "replies are no egress");
}

#[test]
fn a_named_port_is_each_pods_own() {
    let mut config = minikube("policy-named");
    for (name, port) in [("web-a", 8080), ("web-b", 9090)] {
        let mut web = pod(name, M02, "web");
        web.ports.push(Port {
            name: Some("http".into()),
            port,
            protocol: "TCP".into(),
            host_port: None,
        });
        config.pods.push(web);
    }
    let lab = Lab::up(config).unwrap();
    let _servers = ["web-a", "web-b"].map(|web| echo(&lab, web, &[8080, 9090]));
    let spec = "podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: http}]}]";
    put(&lab, &policy("http", "vswitchd/deny: reject", spec));
    for (web, open, denied) in [("web-a", 8080, 9090), ("web-b", 9090, 8080)] {
        let address = lab.address(web).unwrap().to_string();
        for from in ["nginx", "nginx-manual"] {
            let found = [open, denied].map(|port| connects(&lab, from, &address, port));
            assert_eq!(found, ["open", "ConnectionRefusedError"], "{from} {web}");
        }
    }
}

#[test]
fn sctp_has_ports_of_its_own() {
    let lab = Lab::up(minikube("policy-sctp")).unwrap();
    without_ipv6(&lab);
    let spec = "podSelector: {matchLabels: {run: nginx}}, ingress: [{ports: [{port: 5000, protocol: SCTP}]}]";
    put(&lab, &policy("sctp", "", spec));
    let mut scapy = Scapy::start(&lab, "nginx-manual");
    scapy.define("gw", "'ee:ee:ee:ee:ee:ee'");
    scapy.define("own", &format!("'{MANUAL}'"));
    scapy.define("victim", &format!("'{NGINX}'"));
    scapy.define("E", "Ether(src=me, dst=gw)/IP(src=own, dst=victim)");
    let init = |port: u16| {
        format!(
            "[E/SCTP(sport=4000,dport={port})/SCTPChunkInit(init_tag=7,n_out_streams=1,n_in_streams=1)]"
        )
    };
    let at_nginx = Capture::start(&lab, "nginx", "eth0", &format!("src host {MANUAL}"));
    let drops = Drops::of(&lab, M02);
    scapy.send(&init(5000));
    soon("the allowed one arrives", || at_nginx.frames().len() == 1);
    assert!(at_nginx.frames()[0].contains("sctp"));
    for denied in [
        init(5001),
        "[E/TCP(sport=4000,dport=5000,flags='S')]".into(),
        "[E/UDP(sport=4000,dport=5000)]".into(),
        "[E/ICMP()]".into(),
    ] {
        scapy.send(&denied);
    }
    drops.rose_by("all others", &[("policy_ingress", 4)]);
    assert_eq!(at_nginx.frames().len(), 1);
}

#[test]
fn a_label_that_changes_is_judged_anew_without_a_restart() {
    let lab = Lab::up(minikube("policy-labels")).unwrap();
    let spec = "podSelector: {matchLabels: {run: nginx}}, \
                ingress: [{from: [{podSelector: {matchLabels: {app: nginx-manual}}}]}]";
    put(&lab, &policy("friends", "", spec));
    assert!(pings(&lab, "nginx-manual", NGINX));
    let file = "/run/lab/manifests/lab-pod-default.nginx-manual.yaml";
    let was = std::fs::read_to_string(lab.sandbox().path(file)).unwrap();
    let label = |text: &str| lab.sandbox().write(file, text).unwrap();
    let changed = was.replace("\"app\": \"nginx-manual\"", "\"app\": \"renamed\"");
    assert_ne!(was, changed);
    label(&changed);
    soon("the stranger is denied", || {
        !pings(&lab, "nginx-manual", NGINX)
    });
    label(&was);
    soon("the friend is allowed again", || {
        pings(&lab, "nginx-manual", NGINX)
    });
    // The selected pod's own label.
    let file = "/run/lab/manifests/lab-pod-default.nginx.yaml";
    let was = std::fs::read_to_string(lab.sandbox().path(file)).unwrap();
    assert!(!pings(&lab, M03, NGINX), "no friend");
    let freed = was.replace("\"run\": \"nginx\"", "\"run\": \"free\"");
    lab.sandbox().write(file, &freed).unwrap();
    soon("no policy selects it", || pings(&lab, M03, NGINX));
}
