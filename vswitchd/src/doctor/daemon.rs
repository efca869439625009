//! What the running daemon says: is it well, do other nodes answer, do pods' MTUs fit?

use std::{net::Ipv4Addr, path::Path, time::Duration};

use cni_shim::{Client, ClientError, Request, Response};
use ipnet::Ipv4Net;
use packet::ethernet::MacAddr;
use serde_json::Value;

use super::{Finding, Level, duplicates, peers::Peer};
use crate::{host::TUNNEL, show::Row};

/// A doctor does not wait for ever.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of the outer header.
const IPIP_BYTES: u64 = 20;

/// The daemon's answers; all empty when it was left out.
#[derive(Debug, Default)]
pub(super) struct Answers {
    reachable: Option<Finding>,
    health: Vec<Row>,
    status: Row,
    ports: Vec<Row>,
    endpoints: Vec<Row>,
    nodes: Vec<Row>,
    routes: Vec<Row>,
}

/// Asks everything at once.
pub(super) fn ask(socket: &Path) -> Answers {
    converse(socket).unwrap_or_else(|error| Answers {
        reachable: Some(unreachable(&error)),
        ..Answers::default()
    })
}

fn converse(socket: &Path) -> Result<Answers, ClientError> {
    let mut client = Client::connect_with_timeout(socket, PATIENCE)?;
    let ready = ready(&client.call(&Request::Status {})?);
    let health = rows(client.call(&Request::Doctor {})?);
    let mut table = |what: &str| {
        let what = what.to_owned();
        client.call(&Request::Show { what, limit: None }).map(rows)
    };
    Ok(Answers {
        reachable: Some(ready),
        health,
        status: table("status")?.into_iter().next().unwrap_or_default(),
        ports: table("ports")?,
        endpoints: table("endpoints")?,
        nodes: table("nodes")?,
        routes: table("routes")?,
    })
}

fn rows(response: Response) -> Vec<Row> {
    match response {
        Response::Table { rows } => rows,
        _ => Vec::new(),
    }
}

fn unreachable(error: &ClientError) -> Finding {
    let advice = if error.is_unreachable() {
        "start it: vswitchd --config FILE; or name its socket with --socket"
    } else {
        "see its log; if it hangs, restart it: pods keep their wiring"
    };
    Finding::broken("daemon", error.to_string(), advice)
}

fn ready(response: &Response) -> Finding {
    match response {
        Response::Ready {} => Finding::ok("daemon", "running, ready for pods"),
        Response::Error { message, .. } => Finding::broken(
            "daemon",
            format!("running, but a CNI ADD would fail: {message}"),
            "the findings of its own below say more",
        ),
        other => Finding::broken(
            "daemon",
            format!("expected an answer to Status, found {other:?}"),
            "is it the same version as this vswitchctl?",
        ),
    }
}

impl Answers {
    /// The uplink it uses.
    pub(super) fn uplink(&self) -> Option<String> {
        let uplink = self.status.get("uplink").and_then(Value::as_str);
        uplink.map(str::to_owned)
    }

    /// It answers, well or not.
    pub(super) fn is_running(&self) -> bool {
        !self.status.is_empty()
    }

    /// The other nodes, as it knows them.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let others = self.nodes.iter();
        let others = others.filter(|row| row.get("local") == Some(&Value::Bool(false)));
        others.filter_map(|row| self.peer(row)).collect()
    }

    fn peer(&self, row: &Row) -> Option<Peer> {
        let (address, _) = word(row, "ipv4").split_once('/')?;
        let tunnel: Ipv4Addr = word(row, "tunnel_address").parse().ok()?;
        let leads_there = |route: &&Row| {
            let block: Option<Ipv4Net> = word(route, "dst").parse().ok();
            word(route, "owner") == word(row, "name") && block.is_some_and(|b| b.contains(&tunnel))
        };
        let mut routes = self.routes.iter();
        let route = routes.find(leads_there)?;
        let encapsulated = word(route, "dev") == TUNNEL;
        let outer = if encapsulated { IPIP_BYTES } else { 0 };
        let packet_bytes = number(row, "path_mtu").saturating_sub(outer);
        Some(Peer {
            name: word(row, "name").to_owned(),
            address: address.parse().ok()?,
            tunnel,
            encapsulated,
            resolved: row.get("mac").is_some_and(Value::is_string),
            packet_bytes: packet_bytes as usize,
        })
    }

    /// The uplink, and this node's addresses on it.
    pub(super) fn own_address(&self) -> Option<(String, Ipv4Addr, MacAddr)> {
        let mut nodes = self.nodes.iter();
        let own = nodes.find(|row| row.get("local") == Some(&Value::Bool(true)))?;
        let (address, _) = word(own, "ipv4").split_once('/')?;
        let mac = word(own, "mac").parse().ok()?;
        Some((self.uplink()?, address.parse().ok()?, mac))
    }

    /// Two pods with one address.
    fn shared_addresses(&self) -> Vec<Finding> {
        let owner = |row: &Row| {
            let address = word(row, "address").to_owned();
            (address, word(row, "endpoint").to_owned())
        };
        let addressed = self.endpoints.iter();
        let addressed = addressed.filter(|row| row.contains_key("address"));
        let owners: Vec<(String, String)> = addressed.map(owner).collect();
        duplicates::among_pods(&owners)
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.reachable.iter().cloned().collect();
        findings.extend(self.health.iter().filter_map(of_health));
        findings.extend(self.shared_addresses());
        findings.extend(self.wide_pods());
        findings
    }

    /// Pods whose MTU was right for another uplink.
    fn wide_pods(&self) -> Option<Finding> {
        let uplink = self.status.get("uplink_mtu").and_then(Value::as_u64)?;
        let fits = uplink.saturating_sub(IPIP_BYTES);
        let wide = self
            .endpoints
            .iter()
            .filter(|row| number(row, "mtu") > fits);
        let names: Vec<&str> = wide.map(|row| word(row, "endpoint")).collect();
        (!names.is_empty()).then(|| {
            Finding::warn(
                "pod MTU",
                format!(
                    "above {fits}, what the uplink carries: {}",
                    names.join(", ")
                ),
                "path MTU discovery serves them, slower; delete the pods to have them made anew",
            )
        })
    }

    /// Clouds and firewalls filter by protocol, and few know of number 4.
    pub(super) fn protocol_4(&self) -> Finding {
        let subject = "protocol 4";
        let advice = "let IP protocol 4 (IPIP) pass between the nodes in security groups and \
                      firewalls; `tcpdump -ni UPLINK ip proto 4` on both sides shows where it ends";
        let mut ports = self.ports.iter();
        let uplink = ports.find(|row| word(row, "kind") == "uplink");
        let counted = uplink.map(|row| (number(row, "rx_frames"), number(row, "tx_frames")));
        match counted {
            Some((0, sent)) if sent > 0 => Finding::warn(
                subject,
                format!("{sent} frames were sent to other nodes and none came back"),
                advice,
            ),
            Some((received, _)) if received > 0 => {
                Finding::ok(subject, format!("{received} frames came from other nodes"))
            }
            _ => Finding::new(
                Level::Ok,
                subject,
                "nothing sent to other nodes yet, so not known to pass between them",
                advice,
            ),
        }
    }
}

/// A row of the daemon's own examination: `check`, `status` and `sentence`; or one of ours.
fn of_health(row: &Row) -> Option<Finding> {
    let level = match row.get("status").or(row.get("level"))?.as_str()? {
        "ok" => Level::Ok,
        "warn" => Level::Warn,
        _ => Level::Broken,
    };
    let subject = row.get("check").or(row.get("subject"))?.as_str()?;
    let sentence = row.get("sentence").or(row.get("found"))?.as_str()?;
    let advice = match level {
        Level::Ok => "",
        _ => advice_on(subject),
    };
    let advice = row.get("advice").and_then(Value::as_str).unwrap_or(advice);
    Some(Finding::new(level, subject, sentence, advice))
}

/// What helps against what the daemon finds wrong with itself.
fn advice_on(check: &str) -> &'static str {
    match check {
        "state" => "it tries again every second; its log names the port",
        "policy" => "mend the manifest: it is read again as soon as it is saved",
        "uplink" => "ip link set UPLINK up, and see the cable or the virtual switch",
        "nat" => "install nftables, or set nat_outgoing = false and let a router translate",
        "addresses" => "delete pods, or give the node another block: `blocks` in its TOML",
        "segmentation" => {
            "see what else is attached to the uplink (`bpftool net`), then restart the daemon"
        }
        "peers" => "is that node up, and its address in this node's TOML right?",
        _ => "see the daemon's log",
    }
}

fn word<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(row: &Row, key: &str) -> u64 {
    row.get(key).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::net::UnixListener,
        thread,
    };

    use cni_shim::protocol::{from_line, to_line};
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().cloned().unwrap_or_default()
    }

    fn table(rows: &[Value]) -> Response {
        let rows = rows.iter().cloned().map(row).collect();
        Response::Table { rows }
    }

    /// A daemon that answers until its client hangs up.
    fn daemon(answer: fn(Request) -> Response) -> (tempfile::TempDir, thread::JoinHandle<()>) {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("sock")).unwrap();
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let response = to_line(&answer(from_line(&line).unwrap())).unwrap();
                stream.write_all(response.as_bytes()).unwrap();
            }
        };
        (directory, thread::spawn(serve))
    }

    fn troubled(request: Request) -> Response {
        match request {
            Request::Status {} => Response::Ready {},
            Request::Doctor {} => table(&[
                json!({"check": "policy", "status": "warn", "sentence": "deny.yaml:3:1: no"}),
                json!({"check": "uplink", "status": "ok", "sentence": "the uplink is up"}),
            ]),
            Request::Show { what, .. } => match what.as_str() {
                "status" => table(&[json!({"uplink": "ens5", "uplink_mtu": 1400})]),
                "ports" => table(&[json!({"kind": "uplink", "rx_frames": 0, "tx_frames": 9})]),
                _ => table(&[
                    json!({"endpoint": "default/nginx", "mtu": 1480}),
                    json!({"endpoint": "default/new", "mtu": 1380}),
                ]),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_daemon_knows_to_be_wrong_is_passed_on_with_advice() {
        let (directory, thread) = daemon(troubled);
        let answers = ask(&directory.path().join("sock"));
        thread.join().unwrap();
        assert_eq!(answers.uplink().as_deref(), Some("ens5"));
        let findings = answers.findings();
        let said: Vec<(Level, &str)> = findings
            .iter()
            .map(|finding| (finding.level, finding.subject.as_str()))
            .collect();
        assert_eq!(
            said,
            [
                (Level::Ok, "daemon"),
                (Level::Warn, "policy"),
                (Level::Ok, "uplink"),
                (Level::Warn, "pod MTU"),
            ]
        );
        assert_eq!(answers.protocol_4().level, Level::Warn);
        assert!(findings[1].advice.contains("as soon as it is saved"));
        assert!(
            findings[3].found.ends_with(": default/nginx"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_daemon_that_is_not_there_is_broken_and_the_socket_is_named() {
        let findings = ask(Path::new("/nonexistent/sock")).findings();
        assert_eq!(findings[0].level, Level::Broken);
        assert!(findings[0].found.contains("/nonexistent/sock"));
        assert!(findings[0].advice.starts_with("start it"));
    }

    #[test]
    fn a_daemon_that_was_left_out_is_not_missed() {
        assert_eq!(Answers::default().findings(), []);
        assert_eq!(Answers::default().protocol_4().level, Level::Ok);
    }
}
