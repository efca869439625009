//! A small blocking client of the daemon socket.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::protocol::{self, MAX_LINE_BYTES, Request, Response};

/// How long an answer may take. Attach waits for every worker, so this is generous.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Why an exchange with the daemon failed. A refusal by the daemon is not one of these: that is
/// [`Response::Error`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: the daemon is not running, or the path is wrong.
    #[error("cannot reach vswitchd at {}: {source}; is the daemon running?", path.display())]
    Connect {
        /// The socket tried.
        path: PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The daemon took the request and did not answer in time.
    #[error("vswitchd at {} did not answer within {timeout:?}", path.display())]
    Timeout {
        /// The socket.
        path: PathBuf,
        /// How long was waited.
        timeout: Duration,
    },
    /// The daemon hung up before answering.
    #[error("vswitchd at {} closed the connection without an answer", path.display())]
    Closed {
        /// The socket.
        path: PathBuf,
    },
    /// Sending or receiving failed.
    #[error("talking to vswitchd at {}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The kernel's reason.
        source: std::io::Error,
    },
    /// The answer is not one this client understands: another version of the daemon?
    #[error("vswitchd at {} answered something unreadable: {source}", path.display())]
    Malformed {
        /// The socket.
        path: PathBuf,
        /// What was wrong with the line.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// True when the daemon certainly never saw the request.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. })
    }
}

/// One connection. Any number of [`Client::call`]s, one after another.
///
/// After an error the connection is out of step and must be dropped.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    timeout: Duration,
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects, to wait up to [`DEFAULT_TIMEOUT`] for each answer. Connecting itself does not
    /// wait: without a daemon it fails at once.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, ClientError> {
        Self::connect_with_timeout(path, DEFAULT_TIMEOUT)
    }

    /// Connects, to wait up to `timeout` (not zero) for each answer.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect_with_timeout(
        path: impl AsRef<Path>,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let path = path.as_ref().to_path_buf();
        let stream = UnixStream::connect(&path)
            .and_then(|stream| {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                Ok(stream)
            })
            .map_err(|source| ClientError::Connect {
                path: path.clone(),
                source,
            })?;
        Ok(Self {
            path,
            timeout,
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request and waits for its response. A refusal is `Ok(Response::Error { .. })`.
    ///
    /// # Errors
    /// Every [`ClientError`] but `Connect`.
    pub fn call(&mut self, request: &Request) -> Result<Response, ClientError> {
        let line = protocol::to_line(request).map_err(|source| self.malformed(source))?;
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .map_err(|source| self.failed(source))?;
        self.read_response()
    }

    /// The connection itself, to read what follows an answer; it is waited for without a limit.
    ///
    /// # Errors
    /// The kernel refuses to forget the limit.
    pub fn into_stream(self) -> std::io::Result<BufReader<UnixStream>> {
        self.stream.get_ref().set_read_timeout(None)?;
        self.stream.get_ref().set_write_timeout(None)?;
        Ok(self.stream)
    }

    fn read_response(&mut self) -> Result<Response, ClientError> {
        let mut line = String::new();
        let mut limited = self.stream.by_ref().take(MAX_LINE_BYTES as u64);
        let read = limited
            .read_line(&mut line)
            .map_err(|source| self.failed(source))?;
        if read == 0 {
            return Err(ClientError::Closed {
                path: self.path.clone(),
            });
        }
        protocol::from_line(&line).map_err(|source| self.malformed(source))
    }

    fn malformed(&self, source: serde_json::Error) -> ClientError {
        ClientError::Malformed {
            path: self.path.clone(),
            source,
        }
    }

    fn failed(&self, source: std::io::Error) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => ClientError::Timeout {
                path,
                timeout: self.timeout,
            },
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => ClientError::Closed { path },
            _ => ClientError::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    /// A daemon that reads one line and writes `answer`.
    fn daemon(answer: &'static str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            reader.read_line(&mut String::new()).unwrap();
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        });
        (dir, path)
    }

    #[test]
    fn an_answer_is_read_to_the_end_of_its_line() {
        let (_dir, path) = daemon("{\"result\":\"ready\"}\n");
        let answer = Client::connect(path)
            .unwrap()
            .call(&Request::Status {})
            .unwrap();
        assert_eq!(answer, Response::Ready {});
    }

    #[test]
    fn without_a_daemon_connecting_fails_at_once_and_says_so() {
        let error = Client::connect("/nonexistent/vswitchd.sock").unwrap_err();
        assert!(error.is_unreachable());
        assert!(
            error.to_string().contains("is the daemon running?"),
            "{error}"
        );
    }

    #[test]
    fn a_daemon_that_hangs_up_is_told_apart_from_a_silent_one() {
        let (_dir, path) = daemon("");
        let error = Client::connect(path)
            .unwrap()
            .call(&Request::Status {})
            .unwrap_err();
        assert!(matches!(error, ClientError::Closed { .. }), "{error}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let _listener = UnixListener::bind(&path).unwrap();
        let mut client = Client::connect_with_timeout(path, Duration::from_millis(20)).unwrap();
        let error = client.call(&Request::Status {}).unwrap_err();
        assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    }

    #[test]
    fn a_strange_answer_is_malformed() {
        let (_dir, path) = daemon("{\"result\":\"party\"}\n");
        let error = Client::connect(path)
            .unwrap()
            .call(&Request::Status {})
            .unwrap_err();
        assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
    }
}
