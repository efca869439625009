//! Rows of bits, one bit a column of a program.

use super::number;
use std::collections::HashMap;

/// Columns of a word.
pub(super) const WORD: usize = 64;

/// Rows of a program, each once, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    words: usize,
    bits: Vec<u64>,
}

impl Rows {
    /// The words of a row.
    #[inline]
    pub(crate) fn row(&self, number: u32) -> &[u64] {
        &self.bits[number as usize * self.words..][..self.words]
    }

    /// Words of every row.
    #[inline]
    pub(crate) fn words(&self) -> usize {
        self.words
    }
}

/// Makes [`Rows`].
#[derive(Debug)]
pub(super) struct RowBook {
    known: HashMap<Box<[u64]>, u32>,
    pub(super) rows: Rows,
}

impl RowBook {
    /// A book of rows with this many columns.
    pub(super) fn new(columns: usize) -> Self {
        let rows = Rows {
            words: columns.div_ceil(WORD),
            bits: Vec::new(),
        };
        Self {
            known: HashMap::default(),
            rows,
        }
    }

    /// The number of a row.
    pub(super) fn number(&mut self, row: &[u64]) -> u32 {
        if let Some(known) = self.known.get(row) {
            return *known;
        }
        let next = number(self.known.len());
        self.rows.bits.extend_from_slice(row);
        self.known.insert(row.into(), next);
        next
    }

    /// The number of the row of these columns.
    pub(super) fn of(&mut self, columns: impl IntoIterator<Item = u32>) -> u32 {
        let row = row(self.rows.words, columns);
        self.number(&row)
    }
}

/// The row of these columns.
pub(super) fn row(words: usize, columns: impl IntoIterator<Item = u32>) -> Vec<u64> {
    let mut row = vec![0; words];
    columns.into_iter().for_each(|column| set(&mut row, column));
    row
}

/// Sets a column's bit.
pub(super) fn set(row: &mut [u64], column: u32) {
    row[column as usize / WORD] |= 1 << (column as usize % WORD);
}

/// Clears a column's bit.
pub(super) fn clear(row: &mut [u64], column: u32) {
    row[column as usize / WORD] &= !(1 << (column as usize % WORD));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_are_one_and_columns_reach_beyond_a_word() {
        let mut book = RowBook::new(130);
        let some = book.of([0, 64, 129]);
        let other = book.of([1]);
        assert_eq!(book.of([129, 0, 64]), some);
        assert_eq!(book.rows.row(some), [1, 1, 2]);
        assert_eq!(book.rows.row(other), [2, 0, 0]);
    }
}
