//! The time of a CNI ADD: the median of a few pods, one after the other.

use super::Figures;
use crate::run::{error::Result, interrupt, stats, world::World};

const PODS: usize = 5;

/// Nothing for a world without a plugin.
pub(super) fn measure(world: &World) -> Result<Figures> {
    let Some(starts) = world.pod_starts() else {
        return Ok(Vec::new());
    };
    let mut times = Vec::new();
    for number in 0..PODS {
        interrupt::check()?;
        times.push(starts.time_one(number)?.as_secs_f64() * 1e3);
    }
    Ok(stats::Summary::of(&times)
        .map(|summary| ("cni-add", summary.median))
        .into_iter()
        .collect())
}
