//! Is the clock kept? Asked of the kernel, changed by nobody here.

use std::{io, time::Duration};

use crate::sys::clock;

/// What the kernel says of its clock (adjtimex(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// Somebody disciplines it.
    pub synchronised: bool,
    /// How far off it may be, as whoever disciplines it says.
    pub max_error: Duration,
}

/// Asks the kernel. Needs no privilege.
///
/// # Errors
/// The system call is filtered (seccomp).
pub fn clock_state() -> io::Result<ClockState> {
    let (state, max_error) = clock::state()?;
    Ok(ClockState {
        synchronised: state != libc::TIME_ERROR,
        max_error: Duration::from_micros(u64::try_from(max_error).unwrap_or_default()),
    })
}
