//! Stretches: what holds from one point to the next.

use std::collections::BTreeMap;

use super::rows::{RowBook, clear, set};

/// A point on a line that has a first and a last one.
pub(crate) trait Point: Copy + Ord {
    /// The first.
    const FIRST: Self;
    /// The one after; `None` after the last.
    fn after(self) -> Option<Self>;
    /// The one before; `None` before the first.
    fn before(self) -> Option<Self>;
}

macro_rules! point {
    ($($number:ty),*) => {$(
        impl Point for $number {
            const FIRST: Self = 0;
            fn after(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}
point!(u32, u128);

/// Which value holds where: first points in ascending order, the first of all among them.
#[derive(Clone, Debug)]
pub(crate) struct Stretches<K> {
    starts: Box<[K]>,
    values: Box<[u32]>,
}

/// All points from the first to the second, both included; none when it ends before it begins.
pub(crate) type Range<K> = (K, K);

/// Columns that hold on the same ranges.
#[derive(Clone, Debug)]
pub(super) struct Group<K> {
    pub(super) ranges: Vec<Range<K>>,
    pub(super) columns: Vec<u32>,
}

impl<K: Point> Stretches<K> {
    /// The number of the row that holds everywhere in each stretch: the columns of the groups that
    /// cover it, and those of `always`.
    ///
    /// Cost: about the columns that begin or end somewhere, and a row for each stretch.
    pub(super) fn of(groups: &[Group<K>], always: &[u64], rows: &mut RowBook) -> Self {
        let mut edges: BTreeMap<K, Vec<(bool, usize)>> = BTreeMap::new();
        edges.insert(K::FIRST, Vec::new());
        for (group, Group { ranges, .. }) in groups.iter().enumerate() {
            for (start, end) in ranges.iter().filter(|(start, end)| start <= end) {
                edges.entry(*start).or_default().push((true, group));
                if let Some(after) = end.after() {
                    edges.entry(after).or_default().push((false, group));
                }
            }
        }
        let mut held = Held::new(always);
        let (mut starts, mut values) = (Vec::new(), Vec::new());
        for (point, changes) in edges {
            for (begins, group) in changes {
                for column in &groups[group].columns {
                    held.count(*column, begins);
                }
            }
            let row = rows.number(&held.row);
            if values.last() != Some(&row) {
                starts.push(point);
                values.push(row);
            }
        }
        Self {
            starts: starts.into(),
            values: values.into(),
        }
    }

    /// What holds at this point. Cost: the logarithm of the number of stretches.
    #[inline]
    pub(crate) fn at(&self, point: K) -> u32 {
        self.values[self.starts.partition_point(|start| *start <= point) - 1]
    }
}

/// The columns that hold at a point, with how many ranges say so.
struct Held {
    row: Vec<u64>,
    counts: Vec<u32>,
}

impl Held {
    fn new(always: &[u64]) -> Self {
        Self {
            row: always.to_vec(),
            counts: vec![0; always.len() * super::rows::WORD],
        }
    }

    fn count(&mut self, column: u32, begins: bool) {
        let count = &mut self.counts[column as usize];
        if begins {
            *count += 1;
            set(&mut self.row, column);
        } else {
            *count -= 1;
            if *count == 0 {
                clear(&mut self.row, column);
            }
        }
    }
}

/// What is left of a range when these are taken out.
pub(crate) fn without<K: Point>((start, end): (K, K), holes: &[(K, K)]) -> Vec<(K, K)> {
    let mut holes: Vec<_> = holes.iter().filter(|(from, to)| from <= to).collect();
    holes.sort_unstable();
    let (mut left, mut next) = (Vec::new(), Some(start));
    for (from, to) in holes {
        let Some(begin) = next.filter(|begin| *begin <= end) else {
            return left;
        };
        if let Some(last) = from.before().filter(|last| *last >= begin) {
            left.push((begin, last.min(end)));
        }
        next = to.after().map(|after| after.max(begin));
    }
    left.extend(next.filter(|begin| *begin <= end).map(|begin| (begin, end)));
    left
}

/// What two lists of ranges have in common.
pub(crate) fn common<K: Point>(one: &[Range<K>], other: &[Range<K>]) -> Vec<Range<K>> {
    let mut found = Vec::new();
    for (from, to) in one {
        for (start, end) in other {
            let (start, end) = (*from.max(start), *to.min(end));
            if start <= end {
                found.push((start, end));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn group(ranges: &[(u32, u32)], columns: &[u32]) -> Group<u32> {
        Group {
            ranges: ranges.to_vec(),
            columns: columns.to_vec(),
        }
    }

    #[test]
    fn a_stretch_has_the_columns_of_every_group_that_covers_it() {
        let mut rows = RowBook::new(4);
        let groups = [
            group(&[(10, 20), (18, 25), (u32::MAX, u32::MAX)], &[0]),
            group(&[(15, 30), (20, 10)], &[1, 2]),
        ];
        let stretches = Stretches::of(&groups, &[0b1000], &mut rows);
        assert_eq!(*stretches.starts, [0, 10, 15, 26, 31, u32::MAX]);
        let row = |point| rows.rows.row(stretches.at(point))[0];
        assert_eq!(
            [0, 10, 15, 26, 31].map(row),
            [0b1000, 0b1001, 0b1111, 0b1110, 0b1000]
        );
        assert_eq!(row(u32::MAX), 0b1001);
    }

    #[test]
    fn holes_may_overlap_and_reach_the_ends() {
        assert_eq!(
            without((0u32, 9), &[(0, 1), (5, 6), (6, 7)]),
            [(2, 4), (8, 9)]
        );
        assert_eq!(without((3u32, 9), &[(0, u32::MAX)]), []);
        assert_eq!(without((3u32, u32::MAX), &[(9, u32::MAX)]), [(3, 8)]);
        assert_eq!(without((3u32, 9), &[(20, 30)]), [(3, 9)]);
    }

    proptest! {
        #[test]
        fn stretches_say_what_a_scan_says(
            ranges in prop::collection::vec((0u32..30, 0u32..30, 0u32..5), 0..12),
        ) {
            let groups: Vec<_> = ranges.iter().map(|(a, b, c)| group(&[(*a, *b)], &[*c])).collect();
            let mut rows = RowBook::new(5);
            let stretches = Stretches::of(&groups, &[0], &mut rows);
            for point in 0..32 {
                let covers = |(from, to, _): &&(u32, u32, u32)| *from <= point && point <= *to;
                let scan = super::super::rows::row(1, ranges.iter().filter(covers).map(|r| r.2));
                prop_assert_eq!(rows.rows.row(stretches.at(point)), scan);
            }
        }

        #[test]
        fn without_leaves_exactly_the_rest(
            range in (0u32..30, 0u32..30),
            holes in prop::collection::vec((0u32..30, 0u32..30), 0..6),
        ) {
            let left = without(range, &holes);
            let inside = |(from, to): &(u32, u32), point| *from <= point && point <= *to;
            for point in 0..32 {
                let rest = inside(&range, point) && !holes.iter().any(|hole| inside(hole, point));
                prop_assert_eq!(left.iter().any(|piece| inside(piece, point)), rest);
            }
        }
    }
}
