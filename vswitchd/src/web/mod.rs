//! HTTP: `/metrics` for Prometheus, `/livez` and `/readyz` for kubelet. Nothing else is there, and
//! nothing can be changed by it.
//!
//! Whoever reaches the address may read; the admin socket is for those who may do more. Connections
//! are few, short and carry one request each, see [`server`].

mod health;
mod places;
mod server;

pub use health::{Check, Prober};
pub use server::serve;

use std::sync::Arc;

use hyper::{Method, StatusCode};
use tokio::sync::Mutex;

use crate::metrics::{self, Exporter};

/// What is served.
#[derive(Clone)]
pub struct Site {
    /// One scrape at a time: its cost does not multiply with impatient clients.
    exporter: Arc<Mutex<Exporter>>,
    prober: Arc<Prober>,
}

/// An answer before it is HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Page {
    status: StatusCode,
    content_type: &'static str,
    body: String,
}

const PLAIN: &str = "text/plain; charset=utf-8";

impl Site {
    /// A site of these numbers and these probes.
    #[must_use]
    pub fn new(exporter: Exporter, prober: Prober) -> Self {
        Self {
            exporter: Arc::new(Mutex::new(exporter)),
            prober: Arc::new(prober),
        }
    }

    async fn page(&self, method: &Method, path: &str, query: &str) -> Page {
        if method != Method::GET && method != Method::HEAD {
            let said = format!("expected GET or HEAD, found {method}\n");
            return Page::plain(StatusCode::METHOD_NOT_ALLOWED, said);
        }
        match path {
            "/metrics" => self.metrics().await,
            "/livez" => health::page("livez", &[self.prober.alive().await], query),
            "/readyz" => health::page("readyz", &self.prober.ready().await, query),
            _ => {
                let said =
                    format!("there is no {path:?}; there are /metrics, /livez and /readyz\n");
                Page::plain(StatusCode::NOT_FOUND, said)
            }
        }
    }

    async fn metrics(&self) -> Page {
        let exporter = self.exporter.clone().lock_owned().await;
        let text = tokio::task::spawn_blocking(move || exporter.text()).await;
        let said = match text {
            Ok(Ok(body)) => {
                return Page {
                    status: StatusCode::OK,
                    content_type: metrics::CONTENT_TYPE,
                    body,
                };
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Page::plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{said}\n"))
    }
}

impl Page {
    fn plain(status: StatusCode, body: String) -> Self {
        Self {
            status,
            content_type: PLAIN,
            body,
        }
    }
}

#[cfg(test)]
mod tests;
