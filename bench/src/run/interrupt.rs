//! Ctrl-C and SIGTERM: the run stops at the next look, and everything it made is unmade on the way out.
//!
//! A second signal ends the process at once; the sandboxes go with it, because their keepers live by its pipes.

use std::{
    io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use nix::libc::{SIGHUP, SIGINT, SIGTERM};

use super::error::{Error, Result};

static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Listens to the signals from now on.
///
/// # Errors
/// The kernel refuses the handlers.
pub fn watch() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&STOP))?;
        signal_hook::flag::register(signal, Arc::clone(&STOP))?;
    }
    Ok(())
}

/// Looks whether to stop.
///
/// # Errors
/// [`Error::Interrupted`]: yes.
pub fn check() -> Result<()> {
    if STOP.load(Relaxed) {
        return Err(Error::Interrupted);
    }
    Ok(())
}
