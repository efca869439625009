//! Lines in, lines out: one JSON request a line, one JSON response a line, several per connection.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use cni_shim::protocol::{MAX_LINE_BYTES, Request, Response, error_code, from_line, to_line};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};
use tracing::{debug, warn};

use super::{Desk, error, socket::may_speak};
use crate::tap::{Begun, Flight};

/// Longest request, in bytes: a GC of very many attachments fits.
const MAX_REQUEST_BYTES: u64 = if MAX_LINE_BYTES < 8 << 20 {
    MAX_LINE_BYTES as u64
} else {
    8 << 20
};
/// After a failed accept (no descriptors left), this long is waited.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves connections for ever.
pub async fn serve(listener: UnixListener, desk: Desk) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &desk).await {
                        debug!(%error, "a client hung up");
                    }
                });
            }
            Err(error) => {
                warn!(%error, "accepting a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(mut stream: UnixStream, desk: &Desk) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    if !may_speak(&peer) {
        warn!(
            uid = peer.uid(),
            "a process of another user was turned away"
        );
        let message = "only root and the daemon's own user may ask".into();
        return say(&mut stream, &error(error_code::INTERNAL, message)).await;
    }
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        let read = (&mut stream)
            .take(MAX_REQUEST_BYTES)
            .read_line(&mut line)
            .await?;
        if read == 0 {
            return Ok(());
        }
        let response = match from_line::<Request>(&line) {
            Ok(Request::Capture(capture)) => match desk.capture(capture).await {
                Ok(begun) => return stream_records(stream.into_inner(), begun).await,
                Err(refusal) => refusal,
            },
            Ok(Request::Recorded { seconds }) => match desk.recorder(seconds) {
                Ok(flight) => return recorded(stream.into_inner(), flight, seconds).await,
                Err(refusal) => refusal,
            },
            Ok(request) => desk.answer(request).await,
            Err(reason) => error(
                error_code::DECODING_FAILURE,
                format!("not a request: {reason}"),
            ),
        };
        say(stream.get_mut(), &response).await?;
        if !line.ends_with('\n') {
            return Ok(()); // cut off, or too long to be in step again
        }
    }
}

/// Answers, and lets the recorder write.
async fn recorded(
    mut stream: UnixStream,
    flight: Arc<Flight>,
    seconds: Option<u64>,
) -> io::Result<()> {
    say(&mut stream, &Response::Capturing {}).await?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    let written = tokio::task::spawn_blocking(move || flight.dump_to(stream, seconds)).await;
    written.map_err(io::Error::other)?
}

/// Answers, and gives the connection to the capture.
async fn stream_records(stream: UnixStream, begun: Begun) -> io::Result<()> {
    // Where this fails, the capture ends, and that waits for the workers: never on a thread that serves others.
    let serve = move || {
        let mut stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.write_all(to_line(&Response::Capturing {})?.as_bytes())?;
        begun.serve(stream).map_err(io::Error::other)
    };
    let served = tokio::task::spawn_blocking(serve).await;
    served.map_err(io::Error::other)?
}

async fn say(stream: &mut UnixStream, response: &Response) -> io::Result<()> {
    stream.write_all(to_line(response)?.as_bytes()).await
}

#[cfg(test)]
mod tests;
