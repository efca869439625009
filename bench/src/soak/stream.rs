//! Pseudo-random bytes that sender and receiver make alike: byte `n` of a stream is a function of its seed and of `n`, so
//! a byte that is lost, doubled, moved or changed shows.

/// Bytes of one word of the generator.
const WORD: u64 = 8;

/// A stream at a position.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    seed: u64,
    at: u64,
}

impl Stream {
    /// From its first byte.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, at: 0 }
    }

    /// How many bytes have been made or checked.
    #[must_use]
    pub const fn position(self) -> u64 {
        self.at
    }

    /// Makes the next bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (word, skip) = self.word();
            let length = rest.len().min(word.len() - skip);
            let (head, tail) = rest.split_at_mut(length);
            head.copy_from_slice(&word[skip..skip + length]);
            self.at += length as u64;
            rest = tail;
        }
    }

    /// Compares the next bytes.
    ///
    /// # Errors
    /// The position of the first word that differs.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), u64> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (word, skip) = self.word();
            let length = rest.len().min(word.len() - skip);
            let (head, tail) = rest.split_at(length);
            if head != &word[skip..skip + length] {
                return Err(self.at);
            }
            self.at += length as u64;
            rest = tail;
        }
        Ok(())
    }

    /// The word the position is in, and how many of its bytes are behind.
    fn word(self) -> ([u8; WORD as usize], usize) {
        let word = mix(self.seed.wrapping_add(mix(self.at / WORD)));
        (word.to_le_bytes(), (self.at % WORD) as usize)
    }
}

/// The finaliser of splitmix64: every bit of the input changes half the bits of the output.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(seed: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        Stream::new(seed).fill(&mut bytes);
        bytes
    }

    #[test]
    fn a_stream_is_the_same_in_any_pieces() {
        let whole = bytes(7, 1000);
        let mut stream = Stream::new(7);
        for piece in [3, 1, 8, 100, 13, 875].iter().scan(0, |from, length| {
            *from += length;
            Some(*from - length..*from)
        }) {
            assert_eq!(stream.check(&whole[piece]), Ok(()));
        }
        assert_eq!(stream.position(), 1000);
    }

    #[test]
    fn any_difference_is_found_where_it_is() {
        let whole = bytes(7, 1000);
        let mut changed = whole.clone();
        changed[501] ^= 1;
        assert_eq!(Stream::new(7).check(&changed), Err(496));
        let lost = [&whole[..80], &whole[88..]].concat();
        assert_eq!(Stream::new(7).check(&lost), Err(80));
        assert!(Stream::new(8).check(&whole).is_err());
    }
}
