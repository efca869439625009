//! From the model to the table: everything that can be worked out before the first packet.
//!
//! 1. Endpoints that no policy can tell apart are one [`identity`]: same namespace, same
//!    labels, same named ports. An address leads to its identity by one hash lookup.
//! 2. Every scope (which pods?) is resolved once into a list of identities.
//! 3. Identities selected by the same policies share one [`program`] per direction: per
//!    tier, a map from the peer's identity and a [prefix map](prefixes) from the peer's address to
//!    a [port map](ports), which yields the first rule that matches.
//!
//! So a verdict costs the same however many pods, policies and rules there are.

mod identity;
mod ports;
mod prefixes;
mod program;
mod scope;

use rustc_hash::FxHashMap;

pub(crate) use identity::{Identities, Owner, Served};
pub(crate) use program::{TierProgram, Traffic};

use self::program::{Builder, Selected};
use self::scope::Scopes;
use crate::model::{Cluster, Policy, Tier};
use crate::table::{Reasons, Table};
use crate::verdict::Direction;

/// Compiles the table of this cluster. Every endpoint of the cluster can be a subject.
///
/// Cost: about pods + policies x identities of the namespaces they name.
#[must_use]
pub fn compile(cluster: &Cluster) -> Table {
    let identities = Identities::of(cluster);
    let tiers = cluster.tiers_in_order();
    let mut scopes = Scopes::new(cluster, &identities);
    let mut reasons = Reasons::default();
    let mut names = identities.names.clone();
    let mut builder = Builder {
        scopes: &mut scopes,
        reasons: &mut reasons,
        names: &mut names,
    };
    let ingress = compile_direction(Direction::Ingress, &tiers, identities.len(), &mut builder);
    let egress = compile_direction(Direction::Egress, &tiers, identities.len(), &mut builder);
    Table {
        addresses: identities.addresses,
        served: identities.served,
        ingress,
        egress,
        reasons,
    }
}

/// What every identity must pass in one direction.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    /// Which program, by identity.
    pub(crate) of_identity: Vec<u32>,
    /// The tiers of each program, in order.
    pub(crate) programs: Vec<Box<[TierProgram]>>,
}

fn compile_direction(
    direction: Direction,
    tiers: &[(Tier, Vec<&Policy>)],
    identities: usize,
    builder: &mut Builder<'_, '_>,
) -> Programs {
    let selected = select(direction, tiers, identities, builder.scopes);
    let mut known: FxHashMap<Vec<Selected>, u32> = FxHashMap::default();
    let mut programs = Programs::default();
    for selection in selected {
        let id = *known.entry(selection).or_insert_with_key(|selection| {
            let program = builder.program(direction, tiers, selection);
            programs.programs.push(program);
            u32::try_from(programs.programs.len() - 1).expect("fewer than 2^32 programs")
        });
        programs.of_identity.push(id);
    }
    programs
}

/// For every identity, the policies that select it in this direction, in order.
fn select(
    direction: Direction,
    tiers: &[(Tier, Vec<&Policy>)],
    identities: usize,
    scopes: &mut Scopes<'_>,
) -> Vec<Vec<Selected>> {
    let mut selected = vec![Vec::new(); identities];
    for (tier, (_, policies)) in tiers.iter().enumerate() {
        for (position, policy) in policies.iter().enumerate() {
            if policy.rules(direction).is_none() {
                continue;
            }
            for identity in scopes.resolve(&policy.subject).iter() {
                selected[*identity as usize].push(Selected { tier, position });
            }
        }
    }
    selected
}

impl Programs {
    /// The tiers an identity must pass, in order; none when no policy selects it.
    #[inline]
    pub(crate) fn of(&self, identity: u32) -> &[TierProgram] {
        &self.programs[self.of_identity[identity as usize] as usize]
    }
}
