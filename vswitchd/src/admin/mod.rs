//! The admin socket: the CNI plugin and `vswitchctl` ask, the engine and the view answer.
//!
//! [`socket`] makes the socket and decides who may speak; [`server`] moves lines; [`Desk`] decides
//! who answers what.

pub mod health;
mod policy;
pub mod server;
pub mod socket;
mod trace;

use std::{sync::Arc, time::Instant};

use ::policy::ask::Roster;
use arc_swap::ArcSwap;
use cni_shim::capture::Capture;
use cni_shim::protocol::{Request, Response, error_code};
use crossbeam_channel::Sender;
use serde_json::{Map, Value};
use tokio::sync::{Notify, oneshot};

use crate::{
    control::{Live, Message, View},
    flow_log::{self, Flows},
    log,
    metrics::Meters,
    tap::{Begun, Flight, Hub, TapError},
};

const NOT_RECORDING: &str =
    "the flight recorder is off; [recorder] enabled = true in the daemon's file turns it on";

/// One row of a table; its keys, in order, are the columns.
pub type Row = Map<String, Value>;

/// The tables of `show`: its name, the view, what the workers know, at most so many rows.
pub type Tables =
    dyn Fn(&str, &View, &dyn Live, Option<usize>) -> Result<Vec<Row>, String> + Send + Sync;

/// What the daemon knows to be wrong with itself.
pub type Examination = dyn Fn(&View) -> Vec<Row> + Send + Sync;

/// Who answers what.
#[derive(Clone)]
pub struct Desk {
    /// Where the engine listens.
    pub engine: Sender<Message>,
    /// What the engine left to look at.
    pub view: Arc<ArcSwap<View>>,
    /// What only the workers know.
    pub live: Arc<dyn Live>,
    /// The tables of `show`.
    pub tables: Arc<Tables>,
    /// The doctor.
    pub doctor: Arc<Examination>,
    /// The captures.
    pub taps: Arc<Hub>,
    /// Told when a client asks the daemon to end.
    pub shutdown: Arc<Notify>,
    /// Where answers are counted.
    pub meters: Arc<Meters>,
    /// What is written to the log.
    pub log: log::Control,
    /// The flow log, and the flows of this moment.
    pub flows: Arc<Flows>,
}

impl Desk {
    /// Answers one request, and counts it. Whatever may block does so away from the socket's thread.
    pub async fn answer(&self, request: Request) -> Response {
        let (name, start) = (request.name(), Instant::now());
        let response = self.decide(request).await;
        self.meters.answered(name, &response, start.elapsed());
        response
    }

    async fn decide(&self, request: Request) -> Response {
        match request {
            Request::Show { what, limit } => self.apart(move |desk| desk.show(&what, limit)).await,
            Request::Explain { from, to, traffic } => {
                self.about_policy(move |roster| {
                    policy::explain(roster, &from, &to, traffic.as_deref())
                })
                .await
            }
            Request::Matrix {
                namespaces,
                traffic,
                addresses,
            } => {
                self.about_policy(move |roster| {
                    policy::matrix(roster, namespaces, &traffic, addresses)
                })
                .await
            }
            Request::Eval { first_line, lines } => {
                self.about_policy(move |roster| policy::eval(roster, first_line, &lines))
                    .await
            }
            Request::Trace { probe } => self.apart(move |desk| trace::answer(desk, &probe)).await,
            Request::Flows {
                after,
                limit,
                pod,
                verdict,
                labels,
            } => {
                let query = flow_log::Query {
                    after,
                    limit,
                    pod,
                    verdict,
                    labels,
                };
                self.apart(move |desk| desk.query_flows(&query)).await
            }
            Request::ActiveFlows { limit, pod } => {
                self.apart(move |desk| Response::Table {
                    rows: desk.flows.active(limit, pod.as_deref()),
                })
                .await
            }
            Request::Doctor {} => self.apart(Self::examine).await,
            Request::Log { filter } => self.log_filter(filter.as_deref()),
            Request::Shutdown {} => {
                self.shutdown.notify_one();
                let text = "vswitchd ends".into();
                Response::Text { text }
            }
            request => self.ask_engine(request).await,
        }
    }

    /// Begins a capture, and counts it as answered.
    async fn capture(&self, capture: Capture) -> Result<Begun, Response> {
        let (name, start) = (Request::Capture(capture.clone()).name(), Instant::now());
        let desk = self.clone();
        // It asks for much memory.
        let begun = tokio::task::spawn_blocking(move || desk.taps.begin(capture, &desk.view)).await;
        let begun = begun.unwrap_or_else(|panic| Err(TapError::Thread(panic.into())));
        let begun = begun.map_err(|reason| reason.to_string());
        self.begun(name, start, begun)
    }

    /// The recorder that is to write what it has, counted as answered.
    fn recorder(&self, seconds: Option<u64>) -> Result<Arc<Flight>, Response> {
        let (name, start) = (Request::Recorded { seconds }.name(), Instant::now());
        let flight = self.taps.flight.get().cloned();
        self.begun(name, start, flight.ok_or_else(|| NOT_RECORDING.into()))
    }

    /// Counts what is answered by frames, or by a refusal.
    fn begun<T>(
        &self,
        name: &str,
        start: Instant,
        begun: Result<T, String>,
    ) -> Result<T, Response> {
        let begun = begun.map_err(|reason| error(error_code::UNSUPPORTED_FIELD, reason));
        let response = begun.as_ref().err().unwrap_or(&Response::Capturing {});
        self.meters.answered(name, response, start.elapsed());
        begun
    }

    async fn ask_engine(&self, request: Request) -> Response {
        let (reply, answer) = oneshot::channel();
        let ending = || error(error_code::TRY_AGAIN_LATER, "vswitchd is ending".into());
        if self
            .engine
            .send(Message::Request(Box::new(request), reply))
            .is_err()
        {
            return ending();
        }
        answer.await.unwrap_or_else(|_| ending())
    }

    async fn apart(&self, work: impl FnOnce(&Self) -> Response + Send + 'static) -> Response {
        let desk = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&desk)).await;
        done.unwrap_or_else(|panic| error(error_code::INTERNAL, panic.to_string()))
    }

    /// Asks the cluster in force. Such questions may be large: they are answered one at a time.
    async fn about_policy(
        &self,
        work: impl FnOnce(Roster) -> Result<Response, String> + Send + 'static,
    ) -> Response {
        self.apart(move |desk| {
            let _turn = policy::turn();
            work(policy::roster(&desk.view.load().desired))
                .unwrap_or_else(|message| error(error_code::UNSUPPORTED_FIELD, message))
        })
        .await
    }

    fn show(&self, what: &str, limit: Option<usize>) -> Response {
        match (self.tables)(what, &self.view.load(), &*self.live, limit) {
            Ok(rows) => Response::Table { rows },
            Err(message) => error(error_code::UNSUPPORTED_FIELD, message),
        }
    }

    fn log_filter(&self, filter: Option<&str>) -> Response {
        match filter.map_or(Ok(()), |filter| self.log.set_filter(filter)) {
            Ok(()) => Response::Text {
                text: self.log.filter(),
            },
            Err(reason) => error(error_code::UNSUPPORTED_FIELD, reason.to_string()),
        }
    }

    fn query_flows(&self, query: &flow_log::Query) -> Response {
        match self.flows.query(query) {
            Ok(flow_log::Answer {
                rows,
                next,
                lost,
                unlogged,
            }) => Response::Flows {
                rows,
                next,
                lost,
                unlogged,
            },
            Err(message) => error(error_code::UNSUPPORTED_FIELD, message),
        }
    }

    fn examine(&self) -> Response {
        let rows = (self.doctor)(&self.view.load());
        Response::Table { rows }
    }
}

fn error(code: u32, message: String) -> Response {
    Response::Error {
        code,
        message,
        details: String::new(),
    }
}
