//! Control: broken policy files, daemons and plugins killed at the worst moment.

#![forbid(unsafe_code)]

mod netns_common;

use std::{
    collections::BTreeSet,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use cni_shim::{
    Request, Response,
    steps::{DIE_AFTER, Step},
};
use lab::{Kill, Lab, cni::conflist, config::Pod, sandbox::feed};
use netns_common::{M02, MANUAL, NGINX, Running, listens, minikube, ok, pings, show, soon, text};
use serde_json::{Value, json};

const DENY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: deny, namespace: default }
spec: { podSelector: { matchLabels: { run: nginx } }, policyTypes: [Ingress] }
";

fn write_policy(lab: &Lab, yaml: &str) {
    lab.sandbox()
        .write("/run/lab/manifests/policy.yaml", yaml)
        .unwrap();
}

fn policy_errors(lab: &Lab) -> Vec<String> {
    let status = show(lab, M02, "status").remove(0);
    let errors = status["policy_errors"].as_array().unwrap();
    errors
        .iter()
        .map(|error| error.as_str().unwrap().into())
        .collect()
}

#[test]
fn a_broken_policy_file_is_reported_and_changes_nothing_until_it_is_mended() {
    let lab = Lab::up(minikube("control-policy")).unwrap();
    write_policy(&lab, DENY);
    soon("the policy is in force", || {
        !pings(&lab, "nginx-manual", NGINX)
    });

    write_policy(&lab, &DENY.replace("podSelector: {", "podSelektor: {"));
    soon("the error is shown", || !policy_errors(&lab).is_empty());
    let errors = policy_errors(&lab);
    assert!(
        errors
            .iter()
            .any(|error| error.contains("policy.yaml:5:") && error.contains("podSelektor")),
        "file, line and field: {errors:?}"
    );
    assert!(
        !pings(&lab, "nginx-manual", NGINX),
        "the last good policy is in force"
    );
    lab.restart(M02, Kill::Hard).unwrap();
    assert!(!pings(&lab, "nginx-manual", NGINX), "also after a restart");
    assert!(!policy_errors(&lab).is_empty(), "the error as well");

    write_policy(&lab, &DENY.replace("run: nginx", "run: nobody"));
    soon("the mended policy is in force", || {
        pings(&lab, "nginx-manual", NGINX)
    });
    assert_eq!(policy_errors(&lab), [""; 0]);
}

fn generation(lab: &Lab) -> u64 {
    show(lab, M02, "status")[0]["generation"].as_u64().unwrap()
}

#[test]
fn other_flows_do_not_notice_a_change_of_policy() {
    let lab = Lab::up(minikube("control-others")).unwrap();
    let line = format!("ping -n -i 0.01 -c 300 -W 1 {MANUAL}");
    let flow = Running::start(&lab, "nginx", &line);
    let before = generation(&lab);
    for change in 0..5 {
        write_policy(
            &lab,
            &DENY.replace("run: nginx", &format!("run: other{change}")),
        );
        // Longer than the daemons wait for a burst of changes to end.
        thread::sleep(Duration::from_millis(500));
    }
    let said = flow.finish();
    assert!(said.contains("300 received"), "{said}");
    assert!(generation(&lab) >= before + 5, "each change was published");
}

fn used(lab: &Lab, node: &str) -> u64 {
    let rows = show(lab, node, "blocks");
    rows.iter().filter_map(|row| row["used"].as_u64()).sum()
}

#[test]
fn a_daemon_killed_amid_many_starts_gives_no_address_twice_and_loses_none() {
    let lab = Lab::up(minikube("control-storm")).unwrap();
    let before = used(&lab, M02);
    thread::scope(|scope| {
        let starters: Vec<_> = (0..4)
            .map(|starter| {
                let lab = &lab;
                scope.spawn(move || {
                    let pods =
                        (0..6).map(|n| Pod::new("default", &format!("pod-{starter}-{n}"), M02, []));
                    pods.for_each(|pod| start_at_last(lab, &pod));
                })
            })
            .collect();
        while starters.iter().any(|starter| !starter.is_finished()) {
            thread::sleep(Duration::from_millis(150));
            lab.restart(M02, Kill::Hard).unwrap();
        }
    });
    let pods = lab.pod_list();
    let on_m02: Vec<_> = pods.iter().filter(|pod| pod.pod.node == M02).collect();
    let addresses: BTreeSet<&str> = on_m02.iter().map(|pod| pod.address()).collect();
    assert_eq!((on_m02.len(), addresses.len()), (25, 25), "{addresses:?}");

    // What ADDs that failed left behind goes with GC; then every address is accounted for.
    let valid = pods.iter().map(|pod| cni_shim::Attachment {
        container_id: pod.container_id.clone(),
        ifname: "eth0".into(),
    });
    let collected = lab
        .ask(
            M02,
            &Request::Gc {
                valid: valid.collect(),
            },
        )
        .unwrap();
    assert!(
        matches!(collected, Response::Collected { .. }),
        "{collected:?}"
    );
    assert_eq!(used(&lab, M02), before + 24);
    for pod in &on_m02 {
        lab.pod_check(&pod.pod.key()).unwrap();
        assert!(
            pings(&lab, "nginx-manual", pod.address()),
            "{}",
            pod.pod.key()
        );
    }
}

/// As the kubelet does: again and again, each time a new container.
fn start_at_last(lab: &Lab, pod: &Pod) {
    let start = Instant::now();
    while let Err(error) = lab.pod_add(pod) {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{}: {error}",
            pod.key()
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// One container, and the plugin run for it by hand.
struct Container<'a> {
    lab: &'a Lab,
    id: String,
    name: String,
}

impl<'a> Container<'a> {
    fn new(lab: &'a Lab, name: &str) -> Self {
        lab.sandbox()
            .run("a namespace", None, &["ip", "netns", "add", name])
            .unwrap();
        Self {
            lab,
            id: format!("container-of-{name}"),
            name: name.into(),
        }
    }

    fn plugin(&self, verb: &str, die_after: Option<Step>) -> Output {
        let list = conflist(&self.lab.config().cni, M02);
        let mut input = list["plugins"][0].clone();
        for key in ["name", "cniVersion"] {
            input[key] = list[key].clone();
        }
        if verb == "GC" {
            input["cni.dev/valid-attachments"] = json!(valid(self.lab));
        }
        let program = lab::binaries::Binaries::find().unwrap().vswitch;
        let mut command: Command = self
            .lab
            .sandbox()
            .command(Some(M02), &[program.as_os_str()]);
        command
            .env("CNI_COMMAND", verb)
            .env("CNI_CONTAINERID", &self.id)
            .env("CNI_NETNS", format!("/run/netns/{}", self.name))
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", "/opt/cni/bin")
            .env(
                "CNI_ARGS",
                format!("K8S_POD_NAMESPACE=default;K8S_POD_NAME={}", self.name),
            )
            .stderr(Stdio::null());
        if let Some(step) = die_after {
            command.env(DIE_AFTER, step.name());
        }
        feed(command, input.to_string().as_bytes()).unwrap()
    }

    fn add(&self) -> String {
        let output = self.plugin("ADD", None);
        assert!(output.status.success(), "{}: {}", self.name, text(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        let address = result["ips"][0]["address"].as_str().unwrap();
        address.strip_suffix("/32").unwrap().into()
    }

    fn del(&self) {
        let output = self.plugin("DEL", None);
        assert!(output.status.success(), "{}: {}", self.name, text(&output));
    }

    fn killed(&self, verb: &str, step: Step) {
        let output = self.plugin(verb, Some(step));
        assert!(
            !output.status.success(),
            "{verb} lives on after {}: {}",
            step.name(),
            text(&output)
        );
        assert!(
            output.stdout.is_empty(),
            "{verb} {}: {}",
            step.name(),
            text(&output)
        );
    }
}

/// What the runtime knows of: the lab's own pods.
fn valid(lab: &Lab) -> Vec<Value> {
    let pods = lab.pod_list().into_iter();
    pods.map(|pod| json!({ "containerID": pod.container_id, "ifname": "eth0" }))
        .collect()
}

/// Everything on the node that a pod leaves a trace in.
fn traces(lab: &Lab) -> (u64, usize, usize) {
    let links = ok(lab, M02, "ip -o link")
        .lines()
        .filter(|line| line.contains("cali"))
        .count();
    (used(lab, M02), show(lab, M02, "endpoints").len(), links)
}

#[test]
fn a_plugin_killed_at_any_step_of_add_is_healed_by_a_retry() {
    let lab = Lab::up(minikube("control-retry")).unwrap();
    let before = traces(&lab);
    for step in Step::ADD {
        let container = Container::new(&lab, &format!("retry-{}", step.name()));
        container.killed("ADD", step);
        if step == Step::Attached {
            // The daemon has a live pod: a second ADD must be refused, and DEL before it helps.
            assert!(!container.plugin("ADD", None).status.success());
            container.del();
        }
        let address = container.add();
        assert!(
            pings(&lab, "nginx-manual", &address),
            "after {}",
            step.name()
        );
        container.del();
        assert_eq!(traces(&lab), before, "after {}", step.name());
    }
}

#[test]
fn a_plugin_killed_at_any_step_is_healed_by_del_and_by_gc() {
    let lab = Lab::up(minikube("control-heal")).unwrap();
    let before = traces(&lab);
    for step in Step::ADD {
        for healer in ["DEL", "GC"] {
            let name = format!("{}-{}", healer.to_lowercase(), step.name());
            let container = Container::new(&lab, &name);
            container.killed("ADD", step);
            let output = container.plugin(healer, None);
            assert!(output.status.success(), "{name}: {}", text(&output));
            // A pair that the daemon never heard of dies with the pod's namespace.
            lab.sandbox()
                .run("the end", None, &["ip", "netns", "delete", &name])
                .unwrap();
            soon(&name, || traces(&lab) == before);
        }
    }
    for step in Step::DEL {
        let container = Container::new(&lab, &format!("half-{}", step.name()));
        container.add();
        container.killed("DEL", step);
        container.del();
        assert_eq!(traces(&lab), before, "after {}", step.name());
    }
    assert!(pings(&lab, "nginx", MANUAL));
    lab.pod_check("nginx").unwrap();
}

/// `nginx` may be asked at port 7000 by `nginx-manual` and may itself ask nobody.
const ONE_WAY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: one-way, namespace: default }
spec:
  podSelector: { matchLabels: { run: nginx } }
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{ podSelector: { matchLabels: { app: nginx-manual } } }]
      ports: [{ protocol: TCP, port: 7000 }]
";

#[test]
fn a_connection_that_policy_allows_one_way_survives_the_daemons_death() {
    let lab = Lab::up(minikube("control-connection")).unwrap();
    write_policy(&lab, ONE_WAY);
    soon("the policy is in force", || !pings(&lab, "nginx", MANUAL));
    let server = "
import socket, time
connection, _ = socket.create_server(('', 7000)).accept()
for number in range(250):
    connection.sendall(b'%d\\n' % number)
    time.sleep(0.01)
connection.close()
";
    let _server = Running::python(&lab, "nginx", server);
    listens(&lab, "nginx", 7000);
    let client = format!(
        "
import socket
connection = socket.create_connection(('{NGINX}', 7000), 5)
connection.settimeout(10)
said = connection.makefile().read()
assert said == ''.join('%d\\n' % number for number in range(250)), said
print('all of it')
"
    );
    let client = Running::python(&lab, "nginx-manual", &client);
    thread::sleep(Duration::from_millis(800));
    lab.restart(M02, Kill::Hard).unwrap();
    assert!(
        !pings(&lab, "nginx", MANUAL),
        "the policy is still in force"
    );
    let said = client.finish();
    assert!(said.contains("all of it"), "{said}");
}
