//! The daemon's log: lines on standard error, for people or as JSON; what is written can be changed
//! while it runs, and what repeats itself is counted.
//!
//! No packet is in the log path. `packet`, `policy` and `dataplane` cannot log: none of them depends on
//! `tracing` (a test reads their manifests). A worker logs what happens to a device, once, never what
//! happens to a frame: that is counted.

mod filter;
mod limit;

pub use filter::FilterError;
pub(crate) use filter::parse as parse_filter;

use std::{io, sync::Arc, sync::Mutex, thread, time::Duration};

use tracing_subscriber::{
    EnvFilter, Layer, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};
use limit::Limiter;

/// Repetitions are summed up this often.
const PERIOD: Duration = Duration::from_secs(10);

/// The running log, to look at and to change.
#[derive(Clone)]
pub struct Control {
    filter: reload::Handle<EnvFilter, Registry>,
    text: Arc<Mutex<String>>,
    limiter: Limiter,
}

impl Control {
    /// A log that nobody writes to yet, and the filter that it is to have.
    ///
    /// # Errors
    /// The filter makes no sense.
    pub fn new(text: &str) -> Result<(Self, reload::Layer<EnvFilter, Registry>), FilterError> {
        let (layer, filter) = reload::Layer::new(filter::parse(text)?);
        let control = Self {
            filter,
            text: Arc::new(Mutex::new(text.to_owned())),
            limiter: Limiter::default(),
        };
        Ok((control, layer))
    }

    /// The filter in force, as it was given.
    #[must_use]
    pub fn filter(&self) -> String {
        self.text().clone()
    }

    /// Puts another filter in force, until the daemon ends.
    ///
    /// # Errors
    /// It makes no sense; the one before stays.
    pub fn set_filter(&self, text: &str) -> Result<(), FilterError> {
        let filter = filter::parse(text)?;
        let mut current = self.text();
        self.filter.reload(filter).map_err(|_| FilterError::Ended)?;
        text.clone_into(&mut current);
        drop(current); // the line below is judged by the new filter
        tracing::info!(filter = text, "log filter changed");
        Ok(())
    }

    /// Writes how often what was held back has happened.
    pub fn sum_up(&self) {
        self.limiter.sum_up();
    }

    fn text(&self) -> std::sync::MutexGuard<'_, String> {
        // A text is whole at every moment.
        self.text
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }
}

/// Starts the log of this process.
///
/// # Errors
/// The filter makes no sense, a log was started before, or there can be no thread.
pub fn start(log: &Log) -> anyhow::Result<Control> {
    let (control, filter) = Control::new(&log.level)?;
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines.with_filter(control.limiter.clone()))
        .try_init()
        .map_err(|error| anyhow::anyhow!("starting the log: {error}"))?;
    let limiter = control.limiter.clone();
    let sum_up = move || loop {
        thread::sleep(PERIOD);
        limiter.sum_up();
    };
    thread::Builder::new().name("log".into()).spawn(sum_up)?;
    Ok(control)
}

#[cfg(test)]
mod tests;
