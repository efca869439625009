use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;

use super::*;

/// What the daemon has sent when it goes: what came of the capture, and how much is in the file.
fn capture_that_ends(is_live: bool, is_told: bool, rest: &[u8]) -> (anyhow::Result<()>, u64) {
    let (mut daemon, client) = UnixStream::pair().unwrap();
    let stats = Stats {
        matched: 7,
        lost: 1,
    };
    Record::Stats(stats).write(&mut daemon).unwrap();
    daemon.write_all(rest).unwrap();
    let session = Session::of(BufReader::new(client), is_live).unwrap();
    if is_told {
        session.end();
    }
    drop(daemon);
    let file = tempfile::NamedTempFile::new().unwrap();
    let sink = Sink::file(file.path(), WHOLE_FRAME, "").unwrap();
    let came = pump(session, sink, None).map(|_| ());
    (came, file.path().metadata().unwrap().len())
}

#[test]
fn a_capture_whose_daemon_goes_is_no_success_and_its_file_is_whole() {
    let (came, len) = capture_that_ends(true, false, &[]);
    let said = format!("{:#}", came.unwrap_err());
    assert!(said.contains("vswitchd ended the capture"), "{said}");
    assert!(said.contains("0 captured, 7 matched, 1 lost"), "{said}");
    assert!(len > 0, "what there was is written");
    let (came, _) = capture_that_ends(true, true, &[1, 0]);
    let said = format!("{:#}", came.unwrap_err());
    assert!(said.contains("reading from vswitchd"), "{said}");
}

#[test]
fn a_capture_that_was_ended_and_a_dump_are_successes() {
    for (is_live, is_told) in [(true, true), (false, false)] {
        let (came, _) = capture_that_ends(is_live, is_told, &[]);
        came.unwrap();
    }
}
