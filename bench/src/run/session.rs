//! A run: worlds are built side by side and measured in turn, A B C, C B A, so that what drifts hits all alike.

use std::time::Duration;

use super::{
    contender::{Contender, Peer, Topology},
    error::{Error, Result},
    interrupt,
    machine::{self, Machine},
    probe::Probe,
    progress::Progress,
    report::{Chapter, Entry, Failure, Report, VERSION},
    world::{self, Materials, World},
};

/// How long the bench listens to the machine before a round.
const REST: Duration = Duration::from_millis(500);

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where.
    pub topologies: Vec<Topology>,
    /// Against whom.
    pub peers: Vec<Peer>,
    /// What.
    pub probes: Vec<Probe>,
    /// How often.
    pub rounds: usize,
    /// How long each.
    pub length: Duration,
}

impl Plan {
    fn contenders(&self, topology: Topology, materials: &Materials) -> Vec<Contender> {
        let baseline = materials.baseline.as_ref().map(|_| Contender::Baseline);
        let peers = self
            .peers
            .iter()
            .flat_map(|peer| peer.contenders(topology))
            .copied();
        [Contender::Vswitchd]
            .into_iter()
            .chain(baseline)
            .chain(peers)
            .collect()
    }

    /// A report of this plan in which nothing has been measured yet.
    #[must_use]
    pub fn empty_report(&self) -> Report {
        Report {
            version: VERSION,
            machine: Machine::this(),
            rounds: self.rounds,
            seconds: self.length.as_secs_f64(),
            chapters: Vec::new(),
        }
    }
}

/// Measures all of it. A contender that cannot be had, or a measurement that fails, is noted and the run goes on.
///
/// # Errors
/// vswitchd's own world cannot be built, or the bench was interrupted; what was measured until then is in the report.
pub fn run(
    plan: &Plan,
    materials: &Materials,
    progress: &Progress,
    report: &mut Report,
) -> Result<()> {
    world::sweep();
    for topology in plan.topologies.iter().copied() {
        let mut chapter = Chapter {
            topology: topology.name().into(),
            title: topology.title().into(),
            ..Chapter::default()
        };
        let worlds = build(plan, topology, materials, progress, &mut chapter.contenders)?;
        let measured = measure(plan, &worlds, &mut chapter, progress);
        report.chapters.push(chapter);
        measured?;
    }
    Ok(())
}

/// Measures the user's own pair, with nothing to compare it with.
///
/// # Errors
/// The bench was interrupted; what was measured until then is in the report.
pub fn run_pair(plan: &Plan, world: World, progress: &Progress, report: &mut Report) -> Result<()> {
    let entry = Entry {
        name: world.contender.name().into(),
        about: world.about.clone(),
        absent: None,
    };
    let mut chapter = Chapter {
        topology: "pair".into(),
        title: "Two namespaces of the user's".into(),
        contenders: vec![entry],
        ..Chapter::default()
    };
    let measured = measure(plan, &[world], &mut chapter, progress);
    report.chapters.push(chapter);
    measured
}

/// Builds the worlds of a topology side by side, and notes who is there and who is not.
fn build(
    plan: &Plan,
    topology: Topology,
    materials: &Materials,
    progress: &Progress,
    entries: &mut Vec<Entry>,
) -> Result<Vec<World>> {
    let mut worlds = Vec::new();
    for contender in plan.contenders(topology, materials) {
        progress.building(topology, contender);
        let built = World::build(contender, topology, materials);
        // An interrupt from a terminal ends the programs that build a world, too.
        interrupt::check()?;
        entries.push(entry(contender, &built));
        match built {
            Ok(world) => worlds.push(world),
            Err(error) if contender == Contender::Vswitchd => return Err(error),
            Err(_) => {}
        }
    }
    Ok(worlds)
}

fn entry(contender: Contender, built: &Result<World>) -> Entry {
    let (about, absent) = match built {
        Ok(world) => (world.about.clone(), None),
        Err(error) => (String::new(), Some(error.to_string())),
    };
    Entry {
        name: contender.name().into(),
        about,
        absent,
    }
}

fn measure(
    plan: &Plan,
    worlds: &[World],
    chapter: &mut Chapter,
    progress: &Progress,
) -> Result<()> {
    progress.begin(
        &chapter.topology,
        plan.rounds * plan.probes.len() * worlds.len(),
    );
    for round in 0..plan.rounds {
        chapter.busy_at_rest_cpus.push(machine::busy_at_rest(REST));
        for probe in &plan.probes {
            for world in in_turn(worlds, round) {
                interrupt::check()?;
                progress.step(round, plan.rounds, world.contender, *probe);
                match probe.measure(world, plan.length) {
                    Ok(figures) => figures.iter().for_each(|(metric, value)| {
                        chapter.record(metric, world.contender.name(), round, *value);
                    }),
                    Err(Error::Interrupted) => return Err(Error::Interrupted),
                    Err(error) => chapter.failures.push(Failure {
                        contender: world.contender.name().into(),
                        probe: probe.name().into(),
                        round,
                        message: error.to_string(),
                    }),
                }
            }
        }
    }
    progress.end();
    Ok(())
}

/// First to last in even rounds, last to first in odd ones.
fn in_turn<T>(worlds: &[T], round: usize) -> Vec<&T> {
    let forwards = worlds.iter();
    if round.is_multiple_of(2) {
        forwards.collect()
    } else {
        forwards.rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_round_goes_backwards() {
        assert_eq!(in_turn(&["a", "b", "c"], 0), [&"a", &"b", &"c"]);
        assert_eq!(in_turn(&["a", "b", "c"], 1), [&"c", &"b", &"a"]);
    }
}
