//! A lane's first word: whether its frames are relayed, and how many the program has seen.
//!
//! The upper 24 bits are 0 (closed) or the generation the lane is open under, packed as [`of_generation`] does. The lower 40 bits count. They overflow after 13 days of a million frames a second on one lane, and then into the
//! generation: the lane closes, unless that very generation is put in force at that moment.

/// The lower bits: frames seen.
pub(super) const SEEN_BITS: u32 = 40;
const SEEN_MASK: u64 = (1 << SEEN_BITS) - 1;

/// Frames go to the daemon.
pub(super) const CLOSED: u64 = 0;

/// What is never a lane's state: the generation in force when nothing is to be relayed.
pub(super) const NEVER: u64 = u64::MAX;

/// A generation as a state: not closed. The same for generations 0xff_ffff apart.
pub(super) fn of_generation(generation: u32) -> u64 {
    u64::from(generation) % 0xff_ffff + 1
}

/// The word of a state and a count.
pub(super) fn pack(state: u64, seen: u64) -> u64 {
    state << SEEN_BITS | seen & SEEN_MASK
}

/// The count of a word.
pub(super) fn seen(word: u64) -> u64 {
    word & SEEN_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_neither_closed_nor_never() {
        for generation in [0, 1, 0xff_fffd, 0xff_fffe, 0xff_ffff, 1 << 24, u32::MAX] {
            let state = of_generation(generation);
            assert!(state != CLOSED && state < 1 << 24, "{generation:#x}");
            assert_eq!(pack(state, u64::MAX) >> SEEN_BITS, state);
        }
        assert_ne!(NEVER, pack(NEVER, 0) >> SEEN_BITS, "no state is that wide");
        assert_ne!(of_generation(7), of_generation(8));
        assert_eq!(of_generation(7), of_generation(7 + 0xff_ffff));
    }

    #[test]
    fn a_word_holds_a_state_and_a_count() {
        let word = pack(of_generation(0x1234), 5);
        assert_eq!(word, 0x0012_3500_0000_0005);
        assert_eq!(seen(word + 1), 6);
        assert_eq!(seen(pack(NEVER, SEEN_MASK)), SEEN_MASK);
    }
}
