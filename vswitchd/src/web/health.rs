//! The probes of Kubernetes: is the daemon alive, and may pods be given to this node?
//!
//! Alive is the engine: without it every ADD hangs, and only a restart helps. Ready is everything a
//! new pod needs; what is not ready is named. 200 is yes, 503 is no, as kubelet and the API
//! server's own `/readyz` have it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use cni_shim::protocol::{Request, Response, error_code};
use crossbeam_channel::Sender;
use hyper::StatusCode;
use tokio::{net::UnixStream, sync::oneshot, time::timeout};

use super::Page;
use crate::control::{Live, Message, View, WorkerReport};

/// How long the engine may take to answer; kubelet's own patience is 1 s unless a manifest says more.
const PATIENCE: Duration = Duration::from_millis(900);

/// Who is asked.
pub struct Prober {
    /// Where the engine listens.
    pub engine: Sender<Message>,
    /// What the engine left to look at.
    pub view: Arc<ArcSwap<View>>,
    /// What the workers use.
    pub live: Arc<dyn Live>,
    /// The admin socket, which the CNI plugin needs.
    pub socket: PathBuf,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, in `-` and lower case.
    pub name: &'static str,
    /// What is wrong; `None` = it is well.
    pub trouble: Option<String>,
}

impl Check {
    fn new(name: &'static str, trouble: Option<String>) -> Self {
        Self { name, trouble }
    }
}

impl Prober {
    /// Does the engine answer within [`PATIENCE`]? Whatever it says, it lives.
    pub async fn alive(&self) -> Check {
        Check::new("engine", self.ask_engine().await.err())
    }

    /// Everything a new pod needs.
    pub async fn ready(&self) -> Vec<Check> {
        let found = Refusal::of(self.ask_engine().await);
        let socket = Check::new("socket", self.socket_trouble().await);
        let view = self.view.load();
        let state = &view.desired;
        let down = (!state.uplink.up).then(|| format!("{} is down", state.uplink.name));
        vec![
            Check::new("engine", found.engine),
            socket,
            Check::new("addresses", found.addresses),
            Check::new("uplink", down.or(found.uplink)),
            Check::new("state", view.publish_error.clone()),
            Check::new("workers", behind(&self.live.workers(), view.generation)),
            Check::new("policy", rejected(&state.policy_errors)),
        ]
    }

    /// What the engine says of an ADD that would come now.
    async fn ask_engine(&self) -> Result<Response, String> {
        let (reply, answer) = oneshot::channel();
        let question = Message::Request(Box::new(Request::Status {}), reply);
        let sent = self.engine.send(question);
        sent.map_err(|_| "the engine has ended".to_owned())?;
        let answer = timeout(PATIENCE, answer).await;
        let answer =
            answer.map_err(|_| format!("the engine does not answer within {PATIENCE:?}"))?;
        answer.map_err(|_| "the engine is ending".to_owned())
    }

    /// Its file may have been removed under the daemon; then the plugin finds nobody.
    async fn socket_trouble(&self) -> Option<String> {
        let connected = timeout(PATIENCE, UnixStream::connect(&self.socket)).await;
        let reason = match connected {
            Ok(Ok(_)) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {PATIENCE:?}"),
        };
        Some(format!("{}: {reason}", self.socket.display()))
    }
}

/// Why the engine would refuse an ADD, under the check that it belongs to.
#[derive(Default)]
struct Refusal {
    engine: Option<String>,
    addresses: Option<String>,
    uplink: Option<String>,
}

impl Refusal {
    fn of(answer: Result<Response, String>) -> Self {
        let mut found = Self::default();
        let (place, why) = match answer {
            Err(silence) => (&mut found.engine, silence),
            Ok(Response::Error { code, message, .. }) => match code {
                error_code::NOT_AVAILABLE => (&mut found.addresses, message),
                error_code::LIMITED_CONNECTIVITY => (&mut found.uplink, message),
                _ => (&mut found.engine, message),
            },
            Ok(_) => return found,
        };
        *place = Some(why);
        found
    }
}

fn behind(workers: &[WorkerReport], newest: u64) -> Option<String> {
    let late = workers.iter().enumerate();
    let late = late.filter(|(_, worker)| worker.generation < newest);
    let said: Vec<String> = late
        .map(|(index, worker)| format!("worker {index} uses generation {}", worker.generation))
        .collect();
    (!said.is_empty()).then(|| format!("the newest is {newest}, {}", said.join(", ")))
}

fn rejected(errors: &[String]) -> Option<String> {
    let first = errors.first()?;
    let more = match errors.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Some(format!(
        "the last good policies are in force: {first}{more}"
    ))
}

/// A line for each thing that is not well; for everything with `?verbose`.
pub(super) fn page(probe: &str, checks: &[Check], query: &str) -> Page {
    let verbose = query.split('&').any(|word| word == "verbose");
    let failed = checks.iter().any(|check| check.trouble.is_some());
    let shown = checks
        .iter()
        .filter(|check| verbose || check.trouble.is_some());
    let mut body: String = shown.map(line).collect();
    let (status, verdict) = match failed {
        true => (StatusCode::SERVICE_UNAVAILABLE, format!("{probe} failed\n")),
        false if verbose => (StatusCode::OK, format!("{probe} passed\n")),
        false => (StatusCode::OK, "ok\n".to_owned()),
    };
    body.push_str(&verdict);
    Page::plain(status, body)
}

/// As the API server writes it; a reason stays on its line.
fn line(check: &Check) -> String {
    match &check.trouble {
        None => format!("[+] {} ok\n", check.name),
        Some(trouble) => format!("[-] {}: {}\n", check.name, trouble.replace('\n', " ")),
    }
}
