//! The tables of `vswitchctl show`: one file each, pure functions of what the daemon knows.
//!
//! The daemon makes rows ([`table`]); they travel as JSON; the CLI, which knows the same
//! [`TABLES`], draws them. A new table is a new file and one line in [`TABLES`].

mod blocks;
mod conntrack;
mod counters;
mod drops;
mod endpoints;
mod gateway;
mod nodes;
mod pod_drops;
mod pools;
mod ports;
mod routes;
mod status;
mod taps;
mod workers;

pub use conntrack::DEFAULT_LIMIT as DEFAULT_CONNTRACK_LIMIT;
pub(crate) use endpoints::full_name;
pub use gateway::DefaultRoute;

use serde_json::{Map, Value};

use crate::control::{Live, View};

/// One row: the same keys in the same order in every row of a table.
pub type Row = Map<String, Value>;

/// How a table is drawn for people.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Headers and aligned columns.
    Columns,
    /// A line of its own making for each row; columns with `-o wide`.
    Lines(fn(&Row) -> String),
    /// `key: value` lines; there is one row.
    Record,
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The word after `show`.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Keys of a row, in order.
    pub columns: &'static [&'static str],
    /// How many of them `-o table` shows, from the first; `-o wide` shows all.
    pub narrow: usize,
    /// How it is drawn.
    pub form: Form,
    /// Does `-o table` show this row?
    pub matters: fn(&Row) -> bool,
    rows: fn(&Source<'_>) -> Vec<Row>,
}

/// Every table, as `show --help` lists them.
pub const TABLES: &[&Table] = &[
    &nodes::TABLE,
    &pools::TABLE,
    &blocks::TABLE,
    &ports::TABLE,
    &endpoints::TABLE,
    &routes::TABLE,
    &conntrack::TABLE,
    &drops::TABLE,
    &pod_drops::TABLE,
    &counters::TABLE,
    &workers::TABLE,
    &status::TABLE,
    &taps::TABLE,
];

/// What rows are made of.
struct Source<'a> {
    view: &'a View,
    live: &'a dyn Live,
    limit: Option<usize>,
    /// Asked only by the table that needs it: it is a question to the kernel.
    default_route: &'a dyn Fn() -> Option<DefaultRoute>,
}

/// The table of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name).copied()
}

/// The names of all tables, for messages.
#[must_use]
pub fn names() -> String {
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    names.join(", ")
}

/// The rows of the table `what`, at most `limit` of them. `routes` asks the kernel for the default
/// route of the calling thread's network namespace; `conntrack` waits for the workers.
///
/// # Errors
/// There is no such table; the message names all there are.
pub fn table(
    what: &str,
    view: &View,
    live: &dyn Live,
    limit: Option<usize>,
) -> Result<Vec<Row>, String> {
    table_with(what, view, live, limit, &gateway::default_route)
}

/// As [`table`], with the default route as given.
///
/// # Errors
/// As [`table`].
pub fn table_with(
    what: &str,
    view: &View,
    live: &dyn Live,
    limit: Option<usize>,
    default_route: &dyn Fn() -> Option<DefaultRoute>,
) -> Result<Vec<Row>, String> {
    let table =
        find(what).ok_or_else(|| format!("there is no table {what:?}; there are {}", names()))?;
    let source = Source {
        view,
        live,
        limit,
        default_route,
    };
    let mut rows = (table.rows)(&source);
    rows.truncate(limit.unwrap_or(usize::MAX));
    Ok(rows)
}

/// Every row matters.
fn always(_: &Row) -> bool {
    true
}

/// A row out of its cells.
fn row<const N: usize>(cells: [(&str, Value); N]) -> Row {
    let owned = cells.map(|(key, value)| (key.to_owned(), value));
    owned.into_iter().collect()
}

/// Anything that is displayed.
fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

/// Anything that is displayed; `None` is null.
fn maybe(value: Option<impl ToString>) -> Value {
    value.map_or(Value::Null, text)
}

#[cfg(test)]
mod tests;
