//! Connections: a bounded number, one request each, and an end to each.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::{
    Page, Site,
    places::{Places, is_this_node},
};

/// For the request's headers.
const HEADERS: Duration = Duration::from_secs(3);
/// For all of a connection: a client that does not read is hung up on.
const EXCHANGE: Duration = Duration::from_secs(10);
/// Bytes of headers at most.
const HEADER_BYTES: usize = 16 << 10;
/// After a failed accept (no descriptors left), this long is waited.
const PAUSE: Duration = Duration::from_millis(100);
/// An address that is taken is tried again this often.
const AGAIN: Duration = Duration::from_secs(5);

/// Serves for ever. An address that cannot be had is no reason to leave pods without a network: it
/// is said, and tried again until it can.
pub async fn serve(address: SocketAddr, site: Site) {
    let listener = listen(address).await;
    info!(%address, "metrics and probes");
    serve_on(listener, site, Places::new(is_this_node)).await;
}

pub(super) async fn serve_on(listener: TcpListener, site: Site, places: Places) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(stream, peer, &site, &places).await,
            Err(error) => {
                warn!(%error, "accepting a connection for metrics");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Who gets no place is hung up on.
async fn admit(stream: TcpStream, peer: SocketAddr, site: &Site, places: &Places) {
    let Ok(here) = stream.local_addr() else {
        return; // it has hung up
    };
    let Some(place) = places.take(peer.ip(), here.ip()).await else {
        debug!(%peer, "no room for another client of the metrics");
        return;
    };
    let site = site.clone();
    tokio::spawn(async move {
        converse(stream, site).await;
        drop(place);
    });
}

async fn listen(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(reason) => refused(address, &reason),
        }
        sleep(AGAIN).await;
    }
}

fn refused(address: SocketAddr, reason: &io::Error) {
    error!(%address, %reason, "no metrics and no probes yet: the address cannot be listened at");
}

async fn converse(stream: TcpStream, site: Site) {
    let service = service_fn(move |request: Request<Incoming>| {
        let site = site.clone();
        async move {
            let (path, query) = (request.uri().path(), request.uri().query());
            let page = site.page(request.method(), path, query.unwrap_or_default());
            Ok::<_, Infallible>(response(page.await))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(EXCHANGE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "a client of the metrics hung up"),
        Err(_) => debug!("a client of the metrics took longer than {EXCHANGE:?}"),
    }
}

/// For HEAD, hyper leaves the body out.
fn response(page: Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(page.body));
    *response.status_mut() = page.status;
    let content_type = HeaderValue::from_static(page.content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
