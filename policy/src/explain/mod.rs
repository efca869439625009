//! Why a connection may or may not be opened, as a story.
//!
//! [`explain`] walks tiers, policies and rules as the [oracle](crate::oracle) does, asking the
//! oracle's own questions, and writes down what it sees: which policies select the end, which rule
//! decided, and of the rules that did not match, [what is missing](Miss). The story's `Display` is
//! what `vswitchctl policy explain` prints.

mod card;
mod miss;
mod overview;
mod story;
mod text;
mod wish;

pub use card::Card;
pub use miss::Miss;
pub use overview::overview;
pub use story::{Ending, Explanation, PolicyStory, RuleStory, Story, TierStory, explain};

#[cfg(test)]
mod tests;
