//! The site over a real socket, with a made-up engine behind it.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use cni_shim::protocol::Response;
use crossbeam_channel::Receiver;
use packet::ethernet::MacAddr;
use tokio::net::{TcpListener, TcpSocket, UnixListener};

use super::{
    places::{OF_ONE, OTHERS, Places},
    *,
};
use crate::{
    control::{
        ConntrackRow, DesiredState, DropRow, Live, Message, PortCounters, Seed, Segmentation,
        Uplink, View, WorkerReport,
    },
    metrics::Meters,
};

struct OneWorker {
    generation: u64,
}

impl Live for OneWorker {
    fn drops(&self) -> Vec<DropRow> {
        Vec::new()
    }
    fn conntrack(&self, _: usize) -> Vec<ConntrackRow> {
        panic!("no probe asks the workers");
    }
    fn port_counters(&self) -> Vec<PortCounters> {
        Vec::new()
    }
    fn flows(&self, _: &mut dyn FnMut(usize, u32, &dataplane::conntrack::Flow)) {}

    fn now(&self) -> dataplane::Time {
        dataplane::Time::default()
    }

    fn port_drops(&self) -> Vec<crate::control::PortDropRow> {
        Vec::new()
    }

    fn workers(&self) -> Vec<WorkerReport> {
        vec![WorkerReport {
            generation: self.generation,
            counters: Arc::default(),
            load: Default::default(),
        }]
    }
    fn segmentation(&self) -> Segmentation {
        Segmentation::Kernel
    }
}

fn view() -> View {
    let text =
        "node = \"n\"\naddress = \"10.0.0.1/24\"\n[[pool]]\nname = \"p\"\ncidr = \"10.9.0.0/16\"";
    let config = crate::config::parse(Path::new("t"), text).unwrap();
    let seed = Seed {
        address: config.address.unwrap(),
        tunnel_address: "10.9.0.0".parse().unwrap(),
        uplink: Uplink {
            name: "eth0".into(),
            index: 2,
            mac: MacAddr([2; 6]),
            mtu_bytes: 1500,
            up: true,
        },
    };
    View {
        desired: DesiredState::new(&config, seed).unwrap(),
        generation: 5,
        blocks: Vec::new(),
        unattached: 0,
        publish_error: None,
        started: SystemTime::now(),
    }
}

/// Answers as a busy or idle engine does.
fn engine(inbox: Receiver<Message>, delay: Duration, says: Response) {
    std::thread::spawn(move || {
        while let Ok(Message::Request(_, reply)) = inbox.recv() {
            std::thread::sleep(delay);
            let _ = reply.send(says.clone());
        }
    });
}

/// A node, and what a client finds at its address.
struct House {
    view: View,
    generation: u64,
    engine_delay: Duration,
    engine_says: Response,
    socket_is_there: bool,
}

impl House {
    fn well() -> Self {
        Self {
            view: view(),
            generation: 5,
            engine_delay: Duration::ZERO,
            engine_says: Response::Ready {},
            socket_is_there: true,
        }
    }

    fn visited<T: Send + 'static>(
        self,
        client: impl FnOnce(SocketAddr) -> T + Send + 'static,
    ) -> T {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s.sock");
        let (sender, inbox) = crossbeam_channel::unbounded();
        engine(inbox, self.engine_delay, self.engine_says);
        let view = Arc::new(ArcSwap::from_pointee(self.view));
        let live: Arc<dyn Live> = Arc::new(OneWorker {
            generation: self.generation,
        });
        let exporter = Exporter {
            view: view.clone(),
            live: live.clone(),
            meters: Arc::new(Meters::new().unwrap()),
            max_flows: 1024,
            flow_log_lost: Arc::new(|| None),
        };
        let prober = Prober {
            engine: sender,
            view,
            live,
            socket: socket.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let there = self.socket_is_there;
        runtime.block_on(async {
            let _admin = there.then(|| UnixListener::bind(&socket).unwrap());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let site = Site::new(exporter, prober);
            tokio::spawn(server::serve_on(listener, site, Places::new(is_kubelet)));
            tokio::task::spawn_blocking(move || client(address))
                .await
                .unwrap()
        })
    }
}

/// In these tests the other loopback addresses are other machines.
fn is_kubelet(peer: IpAddr, _: IpAddr) -> bool {
    peer == IpAddr::from([127, 0, 0, 1])
}

/// A connection from `from` on which nothing is said.
fn silent(from: [u8; 4], address: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Handle::current();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Whether the other side hangs up before it would for silence alone.
fn is_turned_away(mut stream: TcpStream) -> bool {
    let soon = Some(Duration::from_secs(1));
    stream.set_read_timeout(soon).unwrap();
    matches!(stream.read(&mut [0]), Ok(0))
}

/// Status code, headers, body.
fn ask(address: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let (status, _, body) = ask(address, &format!("GET {path} HTTP/1.1\r\nHost: n\r\n\r\n"));
    (status, body)
}

#[test]
fn a_node_that_is_well_passes_both_probes() {
    House::well().visited(|address| {
        assert_eq!(get(address, "/livez"), (200, "ok\n".into()));
        assert_eq!(get(address, "/readyz"), (200, "ok\n".into()));
        let (status, body) = get(address, "/readyz?verbose");
        assert_eq!(status, 200);
        assert_eq!(
            body,
            "[+] engine ok\n[+] socket ok\n[+] addresses ok\n[+] uplink ok\n[+] state ok\n\
             [+] workers ok\n[+] policy ok\nreadyz passed\n"
        );
    });
}

#[test]
fn whatever_is_not_ready_is_named_and_the_daemon_is_alive_all_the_same() {
    let mut house = House::well();
    house.view.desired.uplink.up = false;
    house.view.publish_error = Some("port cali1: no such device".into());
    house.view.desired.policy_errors = vec!["a.yaml:3:1: what\nis this".into(), "b".into()];
    house.generation = 4;
    house.socket_is_there = false;
    house.visited(|address| {
        let (status, body) = get(address, "/readyz");
        assert_eq!(status, 503);
        let lines: Vec<&str> = body.lines().collect();
        assert!(lines[0].starts_with("[-] socket: /"), "{body}");
        assert_eq!(
            lines[1..],
            [
                "[-] uplink: eth0 is down",
                "[-] state: port cali1: no such device",
                "[-] workers: the newest is 5, worker 0 uses generation 4",
                "[-] policy: the last good policies are in force: a.yaml:3:1: what is this (and 1 more)",
                "readyz failed",
            ]
        );
        assert!(get(address, "/readyz?verbose").1.contains("[+] engine ok\n"));
        assert_eq!(get(address, "/livez").0, 200);
    });
}

#[test]
fn a_node_whose_engine_refuses_every_add_is_alive_and_not_ready() {
    for (code, message, line) in [
        (
            50,
            "every block is full",
            "[-] addresses: every block is full",
        ),
        (51, "uplink eth0 is down", "[-] uplink: uplink eth0 is down"),
        (5, "the disk is full", "[-] engine: the disk is full"),
    ] {
        let mut house = House::well();
        house.engine_says = Response::Error {
            code,
            message: message.into(),
            details: String::new(),
        };
        house.visited(move |address| {
            let expected = (503, format!("{line}\nreadyz failed\n"));
            assert_eq!(get(address, "/readyz"), expected);
            assert_eq!(get(address, "/livez"), (200, "ok\n".into()));
        });
    }
}

#[test]
fn an_engine_that_does_not_answer_is_not_alive_and_kubelet_hears_it_within_a_second() {
    let mut house = House::well();
    house.engine_delay = Duration::from_millis(1500);
    house.visited(|address| {
        let start = Instant::now();
        let (status, body) = get(address, "/livez");
        let took = start.elapsed();
        assert_eq!(status, 503);
        assert_eq!(
            body,
            "[-] engine: the engine does not answer within 900ms\nlivez failed\n"
        );
        assert!(took < Duration::from_millis(1400), "{took:?}");
    });
}

#[test]
fn metrics_say_what_format_they_are_in_and_head_leaves_them_out() {
    House::well().visited(|address| {
        let (status, head, body) = ask(address, "GET /metrics HTTP/1.1\r\nHost: n\r\n\r\n");
        assert_eq!(status, 200);
        assert!(
            head.contains("content-type: text/plain; version=0.0.4"),
            "{head}"
        );
        assert!(body.contains("vswitchd_build_info{"), "{body}");
        let (status, _, body) = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: n\r\n\r\n");
        assert_eq!((status, body.as_str()), (200, ""));
    });
}

#[test]
fn nothing_else_is_there_and_nothing_can_be_changed() {
    House::well().visited(|address| {
        let (status, body) = get(address, "/shutdown");
        assert_eq!(status, 404);
        assert!(body.contains("/metrics, /livez and /readyz"), "{body}");
        let post = ask(address, "POST /metrics HTTP/1.1\r\nHost: n\r\n\r\n");
        assert_eq!(post.0, 405);
        assert_eq!(ask(address, "nonsense\r\n\r\n").0, 400);
    });
}

#[test]
fn clients_that_say_nothing_are_hung_up_on_and_hold_nobody_up_for_long() {
    House::well().visited(|address| {
        // More than there is room for.
        let silent: Vec<TcpStream> = (0..40)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let start = Instant::now();
        assert_eq!(get(address, "/livez").0, 200);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(9), "{took:?}");
        for mut stream in silent {
            let timeout = Some(Duration::from_secs(9));
            stream.set_read_timeout(timeout).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
        }
    });
}

#[test]
fn strangers_that_say_nothing_do_not_hold_up_kubelet() {
    House::well().visited(|address| {
        let mut held = Vec::new();
        for host in 2..40 {
            held.push(silent([127, 0, 0, host], address));
        }
        let start = Instant::now();
        assert_eq!(get(address, "/livez").0, 200);
        assert_eq!(get(address, "/readyz").0, 200);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(is_turned_away(held.swap_remove(OTHERS)), "one too many");
    });
}

#[test]
fn one_address_takes_a_few_places_and_leaves_the_rest_to_others() {
    House::well().visited(|address| {
        let held: Vec<TcpStream> = (0..OF_ONE)
            .map(|_| silent([127, 0, 0, 2], address))
            .collect();
        assert!(is_turned_away(silent([127, 0, 0, 2], address)));
        assert!(!is_turned_away(silent([127, 0, 0, 3], address)));
        drop(held);
    });
}
