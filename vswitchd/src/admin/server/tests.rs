//! A socket with a made-up engine behind it.

use std::{sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use cni_shim::{Client, protocol::Attachment};
use packet::ethernet::MacAddr;
use tokio::sync::Notify;

use super::*;
use crate::{
    admin::{Row, socket},
    control::{
        ConntrackRow, DesiredState, DropRow, Live, Message, PortCounters, PortDropRow, Seed,
        Segmentation, Uplink, View,
    },
};

struct Nothing;

impl Live for Nothing {
    fn drops(&self) -> Vec<DropRow> {
        Vec::new()
    }
    fn conntrack(&self, _: usize) -> Vec<ConntrackRow> {
        Vec::new()
    }
    fn port_counters(&self) -> Vec<PortCounters> {
        Vec::new()
    }
    fn flows(&self, _: &mut dyn FnMut(usize, u32, &dataplane::conntrack::Flow)) {}

    fn now(&self) -> dataplane::Time {
        dataplane::Time::default()
    }

    fn port_drops(&self) -> Vec<PortDropRow> {
        Vec::new()
    }
    fn workers(&self) -> Vec<crate::control::WorkerReport> {
        Vec::new()
    }
    fn segmentation(&self) -> Segmentation {
        Segmentation::Kernel
    }
}

fn view() -> View {
    let text =
        "node = \"n\"\naddress = \"10.0.0.1/24\"\n[[pool]]\nname = \"p\"\ncidr = \"10.9.0.0/16\"";
    let config = crate::config::parse(std::path::Path::new("t"), text).unwrap();
    let uplink = Uplink {
        name: "eth0".into(),
        index: 2,
        mac: MacAddr([2; 6]),
        mtu_bytes: 1500,
        up: true,
    };
    let seed = Seed {
        address: config.address.unwrap(),
        tunnel_address: "10.9.0.0".parse().unwrap(),
        uplink,
    };
    View {
        desired: DesiredState::new(&config, seed).unwrap(),
        generation: 1,
        blocks: Vec::new(),
        unattached: 0,
        publish_error: None,
        started: SystemTime::now(),
    }
}

/// Runs `client` against a server whose engine answers every request with `Ready`.
fn with_server(client: impl FnOnce(&std::path::Path) + Send + 'static) {
    with_desk(|_| {}, client);
}

/// The same, with a desk that `furnish` has added to.
fn with_desk(furnish: impl FnOnce(&Desk), client: impl FnOnce(&std::path::Path) + Send + 'static) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.sock");
    let (engine, inbox) = crossbeam_channel::unbounded();
    std::thread::spawn(move || {
        while let Ok(Message::Request(_, reply)) = inbox.recv() {
            let _ = reply.send(Response::Ready {});
        }
    });
    let tables = |what: &str, _: &View, _: &dyn Live, _: Option<usize>| match what {
        "nodes" => Ok(vec![Row::from_iter([("name".to_owned(), "n".into())])]),
        other => Err(format!("no table {other}")),
    };
    let view = Arc::new(ArcSwap::from_pointee(view()));
    let live: Arc<dyn Live> = Arc::new(Nothing);
    let desk = Desk {
        engine,
        flows: crate::flow_log::Flows::start(None, None, view.clone(), live.clone()).unwrap(),
        view,
        live,
        tables: Arc::new(tables),
        doctor: Arc::new(|_| Vec::new()),
        taps: crate::tap::idle(),
        shutdown: Arc::new(Notify::new()),
        meters: Arc::new(crate::metrics::Meters::new().unwrap()),
        log: crate::log::Control::new("info").unwrap().0,
    };
    furnish(&desk);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = socket::open(&path).unwrap();
        tokio::spawn(serve(listener, desk));
        tokio::task::spawn_blocking(move || client(&path))
            .await
            .unwrap();
    });
}

#[test]
fn a_connection_carries_several_exchanges() {
    with_server(|path| {
        let mut client = Client::connect(path).unwrap();
        assert_eq!(
            client.call(&Request::Status {}).unwrap(),
            Response::Ready {}
        );
        let valid: Vec<Attachment> = Vec::new();
        assert_eq!(
            client.call(&Request::Gc { valid }).unwrap(),
            Response::Ready {}
        );
        let show = |what: &str| Request::Show {
            what: what.into(),
            limit: None,
        };
        assert!(
            matches!(client.call(&show("nodes")).unwrap(), Response::Table { rows } if rows.len() == 1)
        );
        let wrong = client.call(&show("cats")).unwrap();
        assert!(matches!(wrong, Response::Error { message, .. } if message == "no table cats"));
    });
}

#[test]
fn nonsense_is_answered_and_the_connection_goes_on() {
    use std::io::{BufRead, Write};
    with_server(|path| {
        let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        let mut answers = io::BufReader::new(stream.try_clone().unwrap()).lines();
        (&stream)
            .write_all(b"{\"op\":\"dance\"}\n{\"op\":\"status\"}\n")
            .unwrap();
        assert!(answers.next().unwrap().unwrap().contains("not a request"));
        assert_eq!(answers.next().unwrap().unwrap(), "{\"result\":\"ready\"}");
    });
}

#[test]
fn questions_about_policy_are_answered_from_the_state_in_force() {
    with_server(|path| {
        let mut client = Client::connect(path).unwrap();
        let explain = |to: &str| Request::Explain {
            from: "203.0.113.7".into(),
            to: to.into(),
            traffic: Some("80/tcp".into()),
        };
        let Response::Text { text } = client.call(&explain("10.0.0.1")).unwrap() else {
            panic!("no text");
        };
        assert!(text.contains("it is a node"), "the daemon's own: {text}");
        let refused = client.call(&explain("shop/web")).unwrap();
        assert!(
            matches!(&refused, Response::Error { message, .. } if message.contains("shop/web")),
            "{refused:?}"
        );
        let matrix = Request::Matrix {
            namespaces: Vec::new(),
            traffic: vec!["80/tcp".into()],
            addresses: vec!["203.0.113.7".parse().unwrap()],
        };
        let Response::Table { rows } = client.call(&matrix).unwrap() else {
            panic!("no table");
        };
        assert_eq!(rows[0]["groups"], serde_json::json!([["203.0.113.7"]]));
    });
}

/// The first line that comes back; the connection is closed after it.
fn answer_to(path: &std::path::Path, request: &Request) -> Response {
    use std::io::{BufRead, Write};
    let mut stream = std::os::unix::net::UnixStream::connect(path).unwrap();
    stream
        .write_all(to_line(request).unwrap().as_bytes())
        .unwrap();
    let mut line = Vec::new();
    let mut stream = io::BufReader::new(stream);
    stream.read_until(b'\n', &mut line).unwrap();
    from_line(std::str::from_utf8(&line).unwrap()).unwrap()
}

#[test]
fn captures_and_dumps_are_counted_as_every_other_request_is() {
    use cni_shim::capture::{Capture, Scope, Stage};
    let meters = Arc::new(std::sync::OnceLock::new());
    let kept = Arc::clone(&meters);
    let record = move |desk: &Desk| {
        kept.set(Arc::clone(&desk.meters)).unwrap();
        let config = crate::config::Recorder {
            mib_per_worker: 1,
            snap_len: 96,
            dump_on: Vec::new(),
            directory: None,
            before: Duration::from_secs(1),
            files: 1,
        };
        let directory = std::env::temp_dir();
        let flight = Flight::start(&desk.taps, &desk.view, &config, directory).unwrap();
        desk.taps.flight.set(flight).ok().unwrap();
    };
    with_desk(record, move |path| {
        let mut capture = Capture {
            scope: Scope::All,
            stages: vec![Stage::Rx],
            reasons: Vec::new(),
            direction: None,
            filter: Vec::new(),
            expression: String::new(),
            snap_len: 96,
        };
        let good = Request::Capture(capture.clone());
        assert_eq!(answer_to(path, &good), Response::Capturing {});
        capture.reasons.push("nonsense".into());
        let refused = answer_to(path, &Request::Capture(capture));
        assert!(matches!(refused, Response::Error { .. }), "{refused:?}");
        let dump = Request::Recorded { seconds: None };
        assert_eq!(answer_to(path, &dump), Response::Capturing {});
        let counted = |name, result| meters.get().unwrap().counted(name, result);
        assert_eq!(counted("capture", "success"), 1);
        assert_eq!(counted("capture", "error"), 1);
        assert_eq!(counted("recorded", "success"), 1);
    });
}

#[test]
fn a_dump_of_a_recorder_that_is_off_is_counted_as_refused() {
    let meters = Arc::new(std::sync::OnceLock::new());
    let kept = Arc::clone(&meters);
    let keep = move |desk: &Desk| kept.set(Arc::clone(&desk.meters)).unwrap();
    with_desk(keep, move |path| {
        let answer = answer_to(path, &Request::Recorded { seconds: None });
        assert!(
            matches!(&answer, Response::Error { message, .. } if message.contains("[recorder] enabled")),
            "{answer:?}"
        );
        assert_eq!(meters.get().unwrap().counted("recorded", "error"), 1);
    });
}

#[test]
fn a_capture_whose_client_has_gone_holds_up_nobody() {
    use cni_shim::capture::{Capture, Scope, Stage};
    let view = Arc::new(ArcSwap::from_pointee(view()));
    let capture = Capture {
        scope: Scope::All,
        stages: vec![Stage::Rx],
        reasons: Vec::new(),
        direction: None,
        filter: Vec::new(),
        expression: String::new(),
        snap_len: 64,
    };
    // Its end waits for a worker that does not answer.
    let begun = crate::tap::stuck().begin(capture, &view).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let asked = std::time::Instant::now();
        let served = tokio::spawn(stream_records(ours, begun));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(asked.elapsed() < Duration::from_secs(1));
        assert!(served.await.unwrap().is_err());
        assert!(asked.elapsed() >= Duration::from_secs(1), "nobody waited");
    });
}
