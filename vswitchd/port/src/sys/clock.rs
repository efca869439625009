//! What the kernel thinks of its own clock.

use std::io;

use super::check;

/// `adjtimex(2)` without changing anything: `TIME_ERROR` or another state, and the largest error in microseconds.
pub(crate) fn state() -> io::Result<(libc::c_int, libc::c_long)> {
    // SAFETY: `timex` is a C struct of integers; all zeroes is a valid value, and `modes` 0 only asks.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `timex` is live, writable and of the type the call takes.
    let state = check(unsafe { libc::adjtimex(&raw mut timex) })?;
    Ok((state, timex.maxerror))
}
