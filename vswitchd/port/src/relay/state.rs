//! A lane's first word: whether its frames are relayed, and how many the program has seen.
//!
//! The upper 24 bits are 0 (closed), [`DRAINING`], or the generation the lane is open under, packed as [`of_generation`]
//! does. The lower 40 bits count. They overflow after 13 days of a million frames a second on one lane, and then into the
//! generation: the lane closes, unless that very generation is put in force at that moment.

/// The lower bits: frames seen.
pub(super) const SEEN_BITS: u32 = 40;
const SEEN_MASK: u64 = (1 << SEEN_BITS) - 1;

/// Frames go to the daemon.
pub(super) const CLOSED: u64 = 0;
/// Frames are dropped and counted.
pub(super) const DRAINING: u64 = 0xff_ffff;

/// What is never a lane's state: the generation in force when nothing is to be relayed.
pub(super) const NEVER: u64 = u64::MAX;

/// A generation as a state: neither closed nor draining. The same for generations 0xff_fffe apart.
pub(super) fn of_generation(generation: u32) -> u64 {
    u64::from(generation) % (DRAINING - 1) + 1
}

/// The word of a state and a count.
pub(super) fn pack(state: u64, seen: u64) -> u64 {
    state << SEEN_BITS | seen & SEEN_MASK
}

/// The count of a word.
pub(super) fn seen(word: u64) -> u64 {
    word & SEEN_MASK
}

/// The state of a word.
pub(super) fn of(word: u64) -> u64 {
    word >> SEEN_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_neither_closed_nor_draining_nor_never() {
        for generation in [0, 1, 0xff_fffd, 0xff_fffe, 0xff_ffff, 1 << 24, u32::MAX] {
            let state = of_generation(generation);
            assert!(state != CLOSED && state < DRAINING, "{generation:#x}");
            assert_eq!(of(pack(state, u64::MAX)), state);
        }
        const { assert!(NEVER > DRAINING) };
        assert_ne!(of_generation(7), of_generation(8));
        assert_eq!(of_generation(7), of_generation(7 + 0xff_fffe));
    }

    #[test]
    fn a_word_holds_a_state_and_a_count() {
        let word = pack(of_generation(0x1234), 5);
        assert_eq!(word, 0x0012_3500_0000_0005);
        assert_eq!((of(word), seen(word + 1)), (0x1235, 6));
        assert_eq!(seen(pack(DRAINING, SEEN_MASK)), SEEN_MASK);
    }
}
