//! Policies in tiers that nobody has defined.

use super::finding::{Findings, Remark};
use super::world::World;

pub(super) fn check(world: &World<'_>, findings: &mut Findings<'_>) {
    for policy in world.cluster.policies().values() {
        if !world.cluster.tiers().contains_key(&policy.tier) {
            let remark = Remark::warning(
                format!("tier {:?} is not defined", policy.tier),
                "The policy is judged after every other tier, and what it selects and does not \
                 allow is denied.",
                "define the tier, or name one that exists",
            );
            findings.about(policy, "spec.tier".to_owned(), remark);
        }
    }
}
