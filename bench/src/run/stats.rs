//! Medians, spreads, and ratios of pairs.

use serde::{Deserialize, Serialize};

/// What a few repeated values come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The value in the middle, or between the two in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// Of these values; of none, none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = values
            .iter()
            .copied()
            .filter(|value| value.is_finite())
            .collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[half]
        } else {
            sorted[half - 1].midpoint(sorted[half])
        };
        Some(Self { median, min, max })
    }

    /// Of the ratios `ours / theirs`, round by round: drift of the machine between rounds cancels out. Rounds in which
    /// either is missing, or theirs is 0, do not count.
    #[must_use]
    pub fn of_ratios(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Option<Self> {
        let ratio = |(ours, theirs): (&Option<f64>, &Option<f64>)| Some((*ours)? / (*theirs)?);
        Self::of(
            &ours
                .iter()
                .zip(theirs)
                .filter_map(ratio)
                .collect::<Vec<_>>(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between_the_two_in_the_middle() {
        assert_eq!(
            Summary::of(&[4.0, 1.0, 2.0, 10.0]),
            Some(Summary {
                median: 3.0,
                min: 1.0,
                max: 10.0
            })
        );
        assert_eq!(
            Summary::of(&[5.0]),
            Some(Summary {
                median: 5.0,
                min: 5.0,
                max: 5.0
            })
        );
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        // The machine was twice as fast in the second round; the ratio is the same in both.
        let ratio = Summary::of_ratios(&[Some(5.0), Some(10.0)], &[Some(10.0), Some(20.0)]);
        assert_eq!(
            ratio,
            Some(Summary {
                median: 0.5,
                min: 0.5,
                max: 0.5
            })
        );
    }

    #[test]
    fn a_round_without_a_pair_does_not_count() {
        let ratio =
            Summary::of_ratios(&[Some(1.0), None, Some(3.0)], &[None, Some(2.0), Some(6.0)]);
        assert_eq!(
            ratio,
            Some(Summary {
                median: 0.5,
                min: 0.5,
                max: 0.5
            })
        );
        assert_eq!(Summary::of_ratios(&[Some(1.0)], &[Some(0.0)]), None);
    }
}
