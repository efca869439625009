//! Taps on real interfaces, stage by stage, as tshark and capinfos read what is recorded.

#![forbid(unsafe_code)]

mod netns_common;

use lab::Lab;
use netns_common::{
    M02, M03, MANUAL, NGINX, Running, listens, minikube, ok,
    policing::{connects, pod, policy, put},
    run, soon,
    tap::{Tap, vswitchctl},
    text, without_ipv6,
};

/// What a test asks tshark for.
const FIELDS: [&str; 4] = ["frame.interface_name", "ip.src", "ip.dst", "frame.comment"];

fn up(name: &str) -> Lab {
    let lab = Lab::up(minikube(name)).unwrap();
    without_ipv6(&lab);
    lab
}

/// How many of the lines begin so.
fn count(lines: &[String], begin: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(begin)).count()
}

#[test]
fn rx_and_tx_of_a_pod_are_recorded_with_names_and_nanoseconds() {
    let lab = up("tap-rx-tx");
    let tap = Tap::start(&lab, M02, "nginx --stage rx,tx -f icmp");
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -c 3 -i 0.2 {NGINX}"),
    );
    let (recorded, summary) = tap.finish();
    let seen = recorded.fields(&FIELDS);
    // Requests come in by the uplink inside IPIP, which `icmp` does not look into, and leave to the pod.
    let [request, reply] = [
        format!("default/nginx:tx|{MANUAL}|{NGINX}|"),
        format!("default/nginx:rx|{NGINX}|{MANUAL}|"),
    ];
    for pair in seen.chunks(2) {
        assert!(pair[0].starts_with(&request), "{seen:?}");
        assert!(pair[1].starts_with(&reply), "{seen:?}");
        assert!(pair[1].contains("default/nginx > "), "{seen:?}");
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert!(
        summary.contains("6 captured, 6 matched, 0 lost"),
        "{summary}"
    );
    let infos = recorded.capinfos();
    assert!(
        infos.contains("File timestamp precision:  nanoseconds (9)"),
        "{infos}"
    );
    let times = recorded.fields(&["frame.time_epoch"]);
    let nanos = |time: &String| time.split_once('.').unwrap().1.to_owned();
    assert!(
        times.iter().any(|time| !nanos(time).ends_with("000")),
        "{times:?}"
    );
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn the_uplink_shows_the_tunnel_and_the_host_its_packets() {
    let lab = up("tap-ports");
    let uplink = Tap::start(&lab, M02, "--uplink --stage rx,tx --direction in");
    let host = Tap::start(&lab, M02, "--host --stage rx,tx");
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -c 2 -i 0.2 {NGINX}"),
    );
    ok(&lab, M02, &format!("ping -n -c 2 -i 0.2 {NGINX}"));
    let (uplink, _) = uplink.finish();
    let tunnelled = uplink.fields(&["frame.interface_name", "ip.src", "icmp.type"]);
    let outer_and_inner = format!("uplink:rx|{},{MANUAL}|8", netns_common::M03_ADDRESS);
    assert_eq!(count(&tunnelled, &outer_and_inner), 2, "{tunnelled:?}");
    assert_eq!(count(&tunnelled, "uplink:tx"), 0, "{tunnelled:?}");
    let (host, _) = host.finish();
    let seen = host.fields(&["frame.interface_name", "eth.src", "icmp.type"]);
    assert_eq!(count(&seen, "host:rx|00:00:00:00:00:00|8"), 2, "{seen:?}");
    assert_eq!(count(&seen, "host:tx|00:00:00:00:00:00|0"), 2, "{seen:?}");
    // One link type in every file, so that tcpdump reads it, too.
    let mut tcpdump = std::process::Command::new("tcpdump");
    let output = tcpdump.arg("-nr").arg(host.path()).output().unwrap();
    assert_eq!(
        text(&output).matches("ICMP echo").count(),
        4,
        "{}",
        text(&output)
    );
}

#[test]
fn the_stages_inside_the_walk_show_the_packet_and_what_was_said_of_it() {
    let lab = up("tap-walk");
    let tap = Tap::start(
        &lab,
        M03,
        "nginx-manual --stage post-policy,pre-encap -f icmp",
    );
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -c 2 -i 0.2 {NGINX}"),
    );
    let (recorded, _) = tap.finish();
    let seen = recorded.fields(&["frame.interface_name", "ip.src", "ip.ttl", "frame.comment"]);
    // The request goes into the tunnel, a hop less to go; the reply has come out of it.
    let from = "default/nginx-manual";
    assert_eq!(
        count(&seen, &format!("{from}:post-policy|{MANUAL}|64|")),
        2,
        "{seen:?}"
    );
    assert_eq!(
        count(&seen, &format!("{from}:pre-encap|{MANUAL}|63|")),
        2,
        "{seen:?}"
    );
    assert_eq!(
        count(&seen, &format!("uplink:post-policy|{NGINX}|63|")),
        2,
        "{seen:?}"
    );
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert!(
        seen[0].contains("egress allowed: no policy selects"),
        "{seen:?}"
    );
    assert!(seen[2].contains("conntrack "), "{seen:?}");
}

#[test]
fn a_drop_is_recorded_with_its_reason_policy_and_peers() {
    let lab = up("tap-drop");
    for (name, app) in [("web", "web"), ("asker", "asker")] {
        lab.pod_add(&pod(name, M03, app)).unwrap();
    }
    let spec = "podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]";
    put(&lab, &policy("web-is-closed", "", spec));
    let web = lab.address("web").unwrap().to_string();
    let asker = lab.address("asker").unwrap().to_string();
    let tap = Tap::start(&lab, M03, "default/web --drops --reason policy_ingress");
    let other = Tap::start(&lab, M03, "default/web --reason no_route,policy_egress");
    assert_ne!(connects(&lab, "asker", &web, 80), "open");
    let (recorded, _) = tap.finish();
    let seen = recorded.fields(&[&FIELDS[..], &["eth.src", "tcp.flags.syn"]].concat());
    assert!(!seen.is_empty());
    let mac = netns_common::mac(&lab, "asker", "eth0");
    for line in &seen {
        assert!(
            line.starts_with(&format!("default/asker:drop|{asker}|{web}|")),
            "{line}"
        );
        for part in [
            "dropped: policy_ingress",
            "ingress denied: no ingress rule matched, end of tier default",
            "default/web-is-closed",
            "default/asker > default/web",
            &format!("{mac}|1"),
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
    let (recorded, summary) = other.finish();
    assert_eq!(recorded.fields(&FIELDS), [""; 0], "{summary}");
}

#[test]
fn a_super_segment_is_one_packet_of_its_true_length() {
    let lab = up("tap-gso");
    lab.pod_add(&pod("near", M02, "near")).unwrap();
    let tap = Tap::start(
        &lab,
        M02,
        "near --stage rx,post-policy -s 96 --direction out",
    );
    let server = Running::start(&lab, "nginx", "iperf3 -s -1");
    listens(&lab, "nginx", 5201);
    ok(
        &lab,
        "near",
        &format!("iperf3 -n 20M --connect-timeout 3000 -c {NGINX}"),
    );
    server.finish();
    let (recorded, summary) = tap.finish();
    assert!(summary.contains(" 0 lost"), "{summary}");
    let seen = recorded.fields(&[
        "frame.interface_name",
        "frame.cap_len",
        "frame.len",
        "frame.comment",
    ]);
    for stage in ["rx", "post-policy"] {
        let large = seen.iter().filter(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            cells[0] == format!("default/near:{stage}")
                && cells[1] == "96"
                && cells[2].parse::<usize>().unwrap() > 30_000
                && cells[3].contains("super-segment, cut by ")
        });
        assert!(large.count() > 100, "{stage}: {} in all", seen.len());
    }
}

#[test]
fn a_tap_follows_the_name_of_its_pod() {
    let lab = up("tap-name");
    lab.pod_add(&pod("web", M02, "web")).unwrap();
    let tap = Tap::start(&lab, M02, "default/web --stage rx -f icmp");
    ok(&lab, "web", &format!("ping -n -c 1 {NGINX}"));
    lab.pod_delete("web").unwrap();
    lab.pod_add(&pod("other", M02, "other")).unwrap();
    ok(&lab, "other", &format!("ping -n -c 1 {NGINX}"));
    lab.pod_add(&pod("web", M02, "web")).unwrap();
    ok(&lab, "web", "ping -n -c 1 8.8.8.8");
    let (recorded, _) = tap.finish();
    let seen = recorded.fields(&["frame.interface_name", "ip.dst"]);
    let mine: Vec<&String> = seen
        .iter()
        .filter(|line| line.starts_with("default/web:rx"))
        .collect();
    assert_eq!(mine.len(), 2, "{seen:?}");
    assert!(
        !seen.iter().any(|line| line.starts_with("default/other:rx")),
        "{seen:?}"
    );
}

#[test]
fn what_cannot_be_captured_is_refused_with_a_sentence() {
    let lab = up("tap-refused");
    for (line, expected) in [
        ("nginx -f tcp[", "syntax error"),
        (
            "nobody",
            "there is no pod nobody on this node; there are default/nginx",
        ),
        ("--port cali0", "there is no port cali0 on this node"),
        (
            "nginx --reason boredom",
            "there is no drop reason \"boredom\"",
        ),
        ("--all --direction in", "a direction needs a pod or a port"),
        (
            "nginx --stage sideways",
            "expected one of rx, post-policy, pre-encap, tx, drop",
        ),
        ("nginx --duration soon", "expected a time such as"),
        ("", "whose frames?"),
    ] {
        let mut command = vswitchctl(&lab, M02);
        let output = command
            .arg("capture")
            .args(line.split_whitespace())
            .output()
            .unwrap();
        assert!(!output.status.success(), "{line}");
        assert!(
            text(&output).contains(expected),
            "{line}: {}",
            text(&output)
        );
    }
    soon("no tap is left", || {
        netns_common::show(&lab, M02, "taps").is_empty()
    });
    assert!(run(&lab, "nginx", "true").status.success());
}
