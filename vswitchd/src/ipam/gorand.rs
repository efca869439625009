//! Go's `math/rand` generator, as far as Calico's choice of a block needs it.
//!
//! The generator is an additive lagged Fibonacci sequence, `y[n] = y[n-607] + y[n-273] mod 2^64`.
//! Go seeds it from a table of 607 words that is itself a late state of the same sequence: seeded
//! with 1 by a Lehmer generator and run for 7.8e12 steps. That table is derived here rather than
//! copied: the sequence is linear, so the state after N steps is `x^N mod (x^607 - x^334 - 1)`
//! applied to the first one, and x^N takes 43 squarings.

use std::sync::OnceLock;

/// Words of state.
const LEN: usize = 607;
/// Distance of the second term.
const TAP: usize = 273;
/// Where Go's generator starts to write.
const FEED: usize = LEN - TAP;
/// Modulus of the Lehmer generator that spreads a seed, 2^31 - 1.
const LEHMER_MODULUS: u64 = (1 << 31) - 1;
/// Steps between the seed 1 and Go's table.
const TABLE_STEPS: u64 = 7_800_000_000_000;

type Words = [u64; LEN];

/// A generator seeded like `rand.New(rand.NewSource(seed))`.
pub(super) struct GoRand {
    state: Box<Words>,
    tap: usize,
    feed: usize,
}

impl GoRand {
    pub(super) fn new(seed: u32) -> Self {
        let seed = match u64::from(seed) % LEHMER_MODULUS {
            0 => 89_482_311,
            seed => seed,
        };
        let mut state = Box::new(spread(seed, 40, 20));
        for (word, table) in state.iter_mut().zip(table()) {
            *word ^= table;
        }
        Self {
            state,
            tap: 0,
            feed: FEED,
        }
    }

    /// Go's `Uint32`: the upper 32 of the lower 63 bits.
    pub(super) fn next_u32(&mut self) -> u32 {
        let word = self.next_u64() << 1 >> 32;
        u32::try_from(word).unwrap_or_default() // a u64 shifted right by 32 fits
    }

    fn next_u64(&mut self) -> u64 {
        self.tap = (self.tap + LEN - 1) % LEN;
        self.feed = (self.feed + LEN - 1) % LEN;
        let word = self.state[self.feed].wrapping_add(self.state[self.tap]);
        self.state[self.feed] = word;
        word
    }
}

/// 607 words from a seed: three Lehmer values each, shifted by `high`, `middle` and 0 bits.
fn spread(seed: u64, high: u32, middle: u32) -> Words {
    let mut value = seed;
    let mut next = || {
        value = 48_271 * value % LEHMER_MODULUS;
        value
    };
    for _ in 0..20 {
        next();
    }
    std::array::from_fn(|_| (next() << high) ^ (next() << middle) ^ next())
}

/// Go's table, derived once per process (some 20 ms).
fn table() -> &'static Words {
    static TABLE: OnceLock<Box<Words>> = OnceLock::new();
    TABLE.get_or_init(derive_table)
}

fn derive_table() -> Box<Words> {
    let first = spread(1, 20, 10);
    // The sequence in its own order: the state is written backwards from FEED.
    let sequence: Words = std::array::from_fn(|j| first[(FEED + LEN - 1 - j) % LEN]);
    let mut factor = power_of_x(TABLE_STEPS);
    let mut table = Box::new([0; LEN]);
    let steps_mod_len = usize::try_from(TABLE_STEPS % LEN as u64).unwrap_or_default();
    for j in 0..LEN {
        let terms = factor.iter().zip(&sequence);
        let word = terms.fold(0u64, |sum, (a, b)| sum.wrapping_add(a.wrapping_mul(*b)));
        table[(FEED + 2 * LEN - 1 - steps_mod_len - j) % LEN] = word;
        factor = times_x(&factor);
    }
    table
}

/// `x^exponent mod (x^607 - x^334 - 1)`, coefficients mod 2^64, lowest first.
fn power_of_x(exponent: u64) -> Box<Words> {
    let mut result = Box::new([0; LEN]);
    result[0] = 1;
    for bit in (0..u64::BITS - exponent.leading_zeros()).rev() {
        result = square(&result);
        if exponent >> bit & 1 == 1 {
            result = times_x(&result);
        }
    }
    result
}

fn times_x(p: &Words) -> Box<Words> {
    let carry = p[LEN - 1];
    let mut shifted = Box::new([0; LEN]);
    shifted[1..].copy_from_slice(&p[..LEN - 1]);
    shifted[0] = carry;
    shifted[FEED] = shifted[FEED].wrapping_add(carry);
    shifted
}

fn square(p: &Words) -> Box<Words> {
    let mut wide = vec![0u64; 2 * LEN - 1];
    for (i, a) in p.iter().enumerate().filter(|(_, a)| **a != 0) {
        wide[2 * i] = wide[2 * i].wrapping_add(a.wrapping_mul(*a));
        let twice = a << 1; // each mixed product stands there twice
        for (sum, b) in wide[2 * i + 1..].iter_mut().zip(&p[i + 1..]) {
            *sum = sum.wrapping_add(twice.wrapping_mul(*b));
        }
    }
    for i in (LEN..wide.len()).rev() {
        let carry = wide[i];
        wide[i - LEN] = wide[i - LEN].wrapping_add(carry);
        wide[i - TAP] = wide[i - TAP].wrapping_add(carry);
    }
    let mut result = Box::new([0; LEN]);
    result.copy_from_slice(&wide[..LEN]);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumping_ahead_equals_stepping() {
        let mut stepped = Box::new([0; LEN]);
        stepped[0] = 1;
        for _ in 0..2_000 {
            stepped = times_x(&stepped);
        }
        assert_eq!(power_of_x(2_000), stepped);
    }

    #[test]
    fn the_derived_table_gives_gos_well_known_first_numbers() {
        // rand.New(rand.NewSource(1)): Int63 = 5577006791947779410, 8674665223082153551, ...
        let mut go = GoRand::new(1);
        assert_eq!(go.next_u64() & (u64::MAX >> 1), 5_577_006_791_947_779_410);
        assert_eq!(go.next_u64() & (u64::MAX >> 1), 8_674_665_223_082_153_551);
        assert_eq!(go.next_u64() & (u64::MAX >> 1), 6_129_484_611_666_145_821);
    }
}
