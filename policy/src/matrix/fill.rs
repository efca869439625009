//! Judging every pair.

use std::net::IpAddr;

use thiserror::Error;

use super::{Cell, Grid, Sample, groups};
use crate::ask::{Judge, Party, Roster};

/// The most cells that are filled: pairs of ends times kinds of traffic.
pub const MAX_CELLS: usize = 4_000_000;

/// Who is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Only pods of these namespaces; none = all.
    pub namespaces: Vec<String>,
    /// These addresses as well.
    pub addresses: Vec<IpAddr>,
    /// The nodes as well.
    pub nodes: bool,
}

/// More cells than [`MAX_CELLS`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{ends} ends and {kinds} kinds of traffic are {} questions; at most {MAX_CELLS} are answered \
     at once: name fewer namespaces or ports",
    ends * ends * kinds
)]
pub struct TooLarge {
    /// How many ends.
    pub ends: usize,
    /// How many kinds of traffic.
    pub kinds: usize,
}

/// The truth tables of these kinds of traffic; kinds with the same table share one.
///
/// Cost: two verdicts for each cell.
///
/// # Errors
/// There would be more than [`MAX_CELLS`].
pub fn matrix(judge: &Judge, who: &Ends, samples: &[Sample]) -> Result<Vec<Grid>, TooLarge> {
    let parties = ends(judge.roster(), who);
    checked(parties.len(), samples.len())?;
    let mut grids: Vec<Grid> = Vec::new();
    for sample in samples {
        let grid = grid(judge, &parties, sample);
        let same = |other: &&mut Grid| other.groups == grid.groups && other.cells == grid.cells;
        match grids.iter_mut().find(same) {
            Some(other) => other.traffic.extend(grid.traffic),
            None => grids.push(grid),
        }
    }
    Ok(grids)
}

/// Refuses a question that is too large.
pub(crate) fn checked(ends: usize, kinds: usize) -> Result<(), TooLarge> {
    let cells = ends.saturating_mul(ends).saturating_mul(kinds);
    match cells > MAX_CELLS {
        true => Err(TooLarge { ends, kinds }),
        false => Ok(()),
    }
}

/// The ends asked about, pods first.
pub(crate) fn ends(roster: &Roster, who: &Ends) -> Vec<Party> {
    let wanted = |party: &Party| {
        let namespace = party.pod().map(|key| &key.namespace);
        who.namespaces.is_empty() || namespace.is_some_and(|own| who.namespaces.contains(own))
    };
    let mut parties = roster.policed();
    parties.retain(wanted);
    if who.nodes {
        parties.extend(roster.nodes());
    }
    parties.extend(who.addresses.iter().map(|address| roster.at(*address)));
    parties
}

fn grid(judge: &Judge, parties: &[Party], sample: &Sample) -> Grid {
    let count = parties.len();
    let mut cells = Vec::with_capacity(count * count);
    for from in parties {
        cells.extend(parties.iter().map(|to| cell(judge, from, to, sample)));
    }
    let at = |from: usize, to: usize| cells[from * count + to];
    let groups = groups(count, at);
    let between = |from: &[usize], to: &[usize]| match from == to && from.len() > 1 {
        true => at(from[0], from[1]),
        false => at(from[0], to[0]),
    };
    let row = |from: &Vec<usize>| groups.iter().map(|to| between(from, to)).collect();
    let names = |group: &Vec<usize>| group.iter().map(|one| parties[*one].to_string()).collect();
    Grid {
        traffic: vec![sample.name.clone()],
        cells: groups.iter().map(row).collect(),
        groups: groups.iter().map(names).collect(),
    }
}

fn cell(judge: &Judge, from: &Party, to: &Party, sample: &Sample) -> Cell {
    match judge.rule(from, to, &sample.kind) {
        Ok(ruling) => Cell::of(ruling.egress.allowed(), ruling.ingress.allowed()),
        Err(_) => Cell::Apart,
    }
}
