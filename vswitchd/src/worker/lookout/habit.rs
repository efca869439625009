//! Something done because it has paid lately.

/// So much confidence at most: failures in a row until it is given up.
const MOST: i8 = 4;
/// Occasions until something that was given up is tried again.
const TRY_AGAIN: u8 = 64;

/// Keeps or breaks with what has paid or failed.
pub(super) struct Habit {
    /// Above 0: worth it.
    confidence: i8,
    /// Occasions let pass since it was given up.
    passed: u8,
}

impl Habit {
    pub(super) fn new() -> Self {
        Self {
            confidence: MOST,
            passed: 0,
        }
    }

    /// Whether to do it this time.
    #[inline]
    pub(super) fn is_worth_it(&self) -> bool {
        self.confidence > 0
    }

    /// It was worth it.
    #[inline]
    pub(super) fn paid(&mut self) {
        self.confidence = MOST.min(self.confidence + 1);
    }

    /// It was not.
    #[inline]
    pub(super) fn failed(&mut self) {
        self.confidence -= 1;
    }

    /// It was not done and might have been worth it. After many such occasions
    /// it gets one more try.
    #[inline]
    pub(super) fn remind(&mut self) {
        self.passed += 1;
        if self.passed == TRY_AGAIN {
            self.passed = 0;
            self.confidence = self.confidence.max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_up_after_a_few_failures_and_tried_again_after_many_occasions() {
        let mut habit = Habit::new();
        for _ in 0..MOST {
            assert!(habit.is_worth_it());
            habit.failed();
        }
        assert!(!habit.is_worth_it());
        for _ in 1..TRY_AGAIN {
            habit.remind();
            assert!(!habit.is_worth_it());
        }
        habit.remind();
        assert!(habit.is_worth_it());
        habit.failed();
        assert!(!habit.is_worth_it(), "one try");
    }

    #[test]
    fn success_makes_it_last() {
        let mut habit = Habit::new();
        (0..100).for_each(|_| habit.paid());
        for _ in 0..MOST {
            assert!(habit.is_worth_it());
            habit.failed();
        }
        assert!(!habit.is_worth_it(), "past success does not count for ever");
    }
}
