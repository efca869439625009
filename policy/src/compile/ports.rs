//! Port indexes: which columns mean traffic at one of its ends.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::names::{Name, Served};
use super::rows::{RowBook, Rows};
use super::stretches::{Group, Stretches};
use super::traffic::{Cover, Spot, of};

/// Rows by protocol, point and the names under which the point's port is served.
#[derive(Debug)]
pub(crate) struct PortIndex {
    /// The row of protocols without an entry.
    others: u32,
    lines: Box<[Line]>,
}

/// The points of a protocol.
#[derive(Debug)]
struct Line {
    protocol: u8,
    by_point: Stretches<u32>,
    /// Columns besides, by name.
    by_name: FxHashMap<Name, u32>,
    /// What is taken away again; most programs have none.
    exceptions: Option<Box<Exceptions>>,
}

#[derive(Debug)]
struct Exceptions {
    by_point: Stretches<u32>,
    by_name: FxHashMap<Name, u32>,
}

/// Which columns the covers of an end belong to.
pub(super) type Covers<'c> = Vec<(u32, &'c Cover)>;

impl PortIndex {
    /// The index of these covers.
    pub(super) fn of(covers: &Covers<'_>, rows: &mut RowBook) -> Self {
        let protocols: BTreeSet<u8> = covers
            .iter()
            .flat_map(|(_, cover)| &cover.protocols)
            .copied()
            .collect();
        let everywhere = covers.iter().filter(|(_, cover)| cover.others);
        let others = rows.of(everywhere.map(|(column, _)| *column));
        let lines = protocols
            .into_iter()
            .map(|protocol| Line::of(protocol, covers, rows));
        Self {
            others,
            lines: lines.collect(),
        }
    }

    /// What the index holds of this traffic at an end that serves these ports.
    #[inline]
    pub(crate) fn find<'p>(
        &'p self,
        spot: Spot,
        served: &'p [Served],
        rows: &'p Rows,
    ) -> Found<'p> {
        let line = self
            .lines
            .iter()
            .find(|line| line.protocol == spot.protocol);
        let Some(line) = line else {
            return Found {
                row: rows.row(self.others),
                named: None,
            };
        };
        let row = rows.row(line.by_point.at(spot.point));
        let has_more = !line.by_name.is_empty() || line.exceptions.is_some();
        let named = has_more.then_some(Named {
            line,
            spot,
            served,
            rows,
        });
        Found { row, named }
    }
}

/// The columns that mean some traffic.
pub(crate) struct Found<'p> {
    row: &'p [u64],
    named: Option<Named<'p>>,
}

impl Found<'_> {
    /// A word of them.
    #[inline]
    pub(crate) fn word(&self, at: usize) -> u64 {
        match &self.named {
            None => self.row[at],
            Some(named) => named.word(self.row[at], at),
        }
    }
}

/// Where names have a say.
struct Named<'p> {
    line: &'p Line,
    spot: Spot,
    served: &'p [Served],
    rows: &'p Rows,
}

impl Named<'_> {
    fn word(&self, by_point: u64, at: usize) -> u64 {
        let mut meant = by_point | self.columns(&self.line.by_name, at);
        if let Some(exceptions) = &self.line.exceptions {
            let row = exceptions.by_point.at(self.spot.point);
            meant &= !self.rows.row(row)[at] & !self.columns(&exceptions.by_name, at);
        }
        meant
    }

    fn columns(&self, by_name: &FxHashMap<Name, u32>, at: usize) -> u64 {
        let Spot { protocol, point } = self.spot;
        let here = |own: &&Served| own.protocol == protocol && u32::from(own.port) == point;
        let found = self
            .served
            .iter()
            .filter(here)
            .filter_map(|own| by_name.get(&own.name));
        found.fold(0, |bits, row| bits | self.rows.row(*row)[at])
    }
}

impl Line {
    fn of(protocol: u8, covers: &Covers<'_>, rows: &mut RowBook) -> Self {
        let group = |column: u32, ranges| Group {
            ranges,
            columns: vec![column],
        };
        let own = |(column, cover): &(u32, &Cover)| group(*column, cover.of_protocol(protocol));
        let except =
            |(column, cover): &(u32, &Cover)| group(*column, of(&cover.not_ranges, protocol));
        let nothing = super::rows::row(rows.rows.words(), []);
        let by_name = rows_by_name(covers, protocol, |cover| &cover.names, rows);
        let not_by_name = rows_by_name(covers, protocol, |cover| &cover.not_names, rows);
        let excepted: Vec<_> = covers.iter().map(except).collect();
        let has_exceptions =
            !not_by_name.is_empty() || excepted.iter().any(|group| !group.ranges.is_empty());
        let meant: Vec<_> = covers.iter().map(own).collect();
        Self {
            protocol,
            by_point: Stretches::of(&meant, &nothing, rows),
            by_name,
            exceptions: has_exceptions.then(|| {
                Box::new(Exceptions {
                    by_point: Stretches::of(&excepted, &nothing, rows),
                    by_name: not_by_name,
                })
            }),
        }
    }
}

fn rows_by_name(
    covers: &Covers<'_>,
    protocol: u8,
    names: impl Fn(&Cover) -> &Vec<(u8, Name)>,
    rows: &mut RowBook,
) -> FxHashMap<Name, u32> {
    let mut columns: BTreeMap<Name, BTreeSet<u32>> = BTreeMap::new();
    for (column, cover) in covers {
        for (_, name) in names(cover).iter().filter(|(own, _)| *own == protocol) {
            columns.entry(*name).or_default().insert(*column);
        }
    }
    columns
        .into_iter()
        .map(|(name, columns)| (name, rows.of(columns)))
        .collect()
}
