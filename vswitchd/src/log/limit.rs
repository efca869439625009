//! Repetition: the same line again and again is written a few times, then counted, then summed up.
//!
//! "The same" is the same place in the code with the same text and fields. A place whose text differs
//! each time has a limit of its own, so that nothing fills a disk. Debug and trace lines are asked for
//! by somebody who is looking, and pass.

use std::{
    collections::HashMap,
    fmt::{self, Write},
    hash::{DefaultHasher, Hasher},
    sync::{Arc, Mutex, MutexGuard},
};

use tracing::{
    Event, Level, Metadata,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Filter};

/// Lines of the same text written in one period.
const SAME: u32 = 5;
/// Lines of one place written in one period, whatever they say; texts are remembered for so many.
const OF_ONE_PLACE: u32 = 200;
/// Bytes of a message in a summary, and of its fields.
const TEXT_BYTES: usize = 200;
/// What summaries are logged under; nothing else is.
pub(super) const TARGET: &str = "vswitchd::repeated";

/// Decides which lines are written; one for all threads.
#[derive(Clone, Default)]
pub(super) struct Limiter(Arc<Mutex<HashMap<Identifier, Place>>>);

/// A place in the code, in this period.
struct Place {
    metadata: &'static Metadata<'static>,
    written: u32,
    /// Held back with a text that was not remembered any more.
    beyond: u64,
    texts: HashMap<u64, Text>,
}

/// A text of a place.
#[derive(Default)]
struct Text {
    message: String,
    written: u32,
    held_back: u64,
}

/// What is said of lines that were held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    level: Level,
    target: &'static str,
    message: String,
    count: u64,
}

impl Limiter {
    /// Begins a new period, and writes what was held back in the one before.
    pub(super) fn sum_up(&self) {
        for summary in self.turn_over() {
            summary.write();
        }
    }

    fn turn_over(&self) -> Vec<Summary> {
        let places = std::mem::take(&mut *self.places());
        places.into_values().flat_map(Place::summaries).collect()
    }

    /// Whether this line is to be written.
    fn passes(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == TARGET {
            return true;
        }
        let mut reading = Reading::default();
        event.record(&mut reading);
        let mut places = self.places();
        let place = places.entry(metadata.callsite()).or_insert_with(|| Place {
            metadata,
            written: 0,
            beyond: 0,
            texts: HashMap::new(),
        });
        place.passes(&reading)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        // Counts are right enough at every moment.
        self.0.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl<S> Filter<S> for Limiter {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.passes(event)
    }
}

impl Place {
    fn passes(&mut self, reading: &Reading) -> bool {
        let known = self.texts.len();
        let text = match self.texts.entry(reading.hash.finish()) {
            std::collections::hash_map::Entry::Occupied(text) => text.into_mut(),
            std::collections::hash_map::Entry::Vacant(_) if known >= OF_ONE_PLACE as usize => {
                self.beyond += 1;
                return false;
            }
            std::collections::hash_map::Entry::Vacant(free) => free.insert(Text {
                message: reading.text(),
                ..Text::default()
            }),
        };
        if text.written == SAME || self.written == OF_ONE_PLACE {
            text.held_back += 1;
            return false;
        }
        text.written += 1;
        self.written += 1;
        true
    }

    fn summaries(self) -> impl Iterator<Item = Summary> {
        let (level, target) = (*self.metadata.level(), self.metadata.target());
        let summary = move |message, count| Summary {
            level,
            target,
            message,
            count,
        };
        let beyond = (self.beyond > 0).then(|| {
            let (file, line) = (self.metadata.file(), self.metadata.line());
            let place = format!("{}:{}", file.unwrap_or(target), line.unwrap_or_default());
            summary(format!("lines of {place}"), self.beyond)
        });
        let texts = self.texts.into_values().filter(|text| text.held_back > 0);
        texts
            .map(move |text| summary(text.message, text.held_back))
            .chain(beyond)
    }
}

impl Summary {
    fn write(&self) {
        let Self {
            target: from,
            message,
            count,
            ..
        } = self;
        match self.level {
            Level::ERROR => {
                tracing::error!(target: TARGET, count, from, "{message} … and {count} more");
            }
            Level::WARN => {
                tracing::warn!(target: TARGET, count, from, "{message} … and {count} more");
            }
            _ => tracing::info!(target: TARGET, count, from, "{message} … and {count} more"),
        }
    }
}

/// A line as it is told apart: the hash of all its fields, and what the summary says of it.
#[derive(Default)]
struct Reading {
    hash: DefaultHasher,
    message: String,
    /// ` NAME=VALUE` of each other field: what tells this line from others of its place.
    fields: String,
}

impl Reading {
    fn text(&self) -> String {
        [self.message.as_str(), &self.fields].concat()
    }
}

impl Visit for Reading {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.hash.write(field.name().as_bytes());
        // Neither writer fails.
        let _ = write!(Hashed(&mut self.hash), "{value:?}");
        let _ = match field.name() {
            "message" => write!(Short(&mut self.message), "{value:?}"),
            name => write!(Short(&mut self.fields), " {name}={value:?}"),
        };
    }
}

struct Hashed<'a>(&'a mut DefaultHasher);

impl Write for Hashed<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// Keeps the beginning.
struct Short<'a>(&'a mut String);

impl Write for Short<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = TEXT_BYTES.saturating_sub(self.0.len()).min(text.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Ok(())
    }
}
