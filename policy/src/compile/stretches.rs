//! Stretches: what holds from one point to the next.

use std::collections::BTreeMap;

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

/// Something that covers all points from the first to the second, both included.
pub(crate) type Range<K> = (K, K, u32);

impl<K: Point> Stretches<K> {
    /// Cuts overlapping ranges into stretches. `value` is told which ranges cover a stretch, by
    /// their third part in ascending order, each once, and says what holds there. A range that
    /// ends before it begins covers nothing.
    pub(crate) fn of(
        ranges: &[Range<K>],
        mut value: impl FnMut(&mut dyn Iterator<Item = u32>) -> u32,
    ) -> Self {
        let mut edges: BTreeMap<K, Vec<(bool, u32)>> = BTreeMap::new();
        edges.insert(K::FIRST, Vec::new());
        for (start, end, mark) in ranges.iter().filter(|(start, end, _)| start <= end) {
            edges.entry(*start).or_default().push((true, *mark));
            if let Some(after) = end.after() {
                edges.entry(after).or_default().push((false, *mark));
            }
        }
        let mut covering = BTreeMap::new();
        let (mut starts, mut values) = (Vec::new(), Vec::new());
        for (point, changes) in edges {
            for (begins, mark) in changes {
                count(&mut covering, begins, mark);
            }
            let found = value(&mut covering.keys().copied());
            if values.last() != Some(&found) {
                starts.push(point);
                values.push(found);
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

fn count(covering: &mut BTreeMap<u32, usize>, begins: bool, mark: u32) {
    let held = covering.entry(mark).or_default();
    if begins {
        *held += 1;
    } else {
        *held -= 1;
        if *held == 0 {
            covering.remove(&mark);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONE: u32 = u32::MAX;

    fn lowest(ranges: &[Range<u32>]) -> Stretches<u32> {
        Stretches::of(ranges, |covering| covering.next().unwrap_or(NONE))
    }

    #[test]
    fn the_lowest_mark_wins_where_ranges_overlap() {
        let stretches = lowest(&[(10, 20, 5), (15, 30, 2), (u32::MAX, u32::MAX, 1)]);
        assert_eq!(*stretches.starts, [0, 10, 15, 31, u32::MAX]);
        assert_eq!(*stretches.values, [NONE, 5, 2, NONE, 1]);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_covers_nothing() {
        assert_eq!(*lowest(&[(20, 10, 1)]).values, [NONE]);
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
            let stretches = lowest(&ranges);
            for point in 0..32 {
                let covers = |(from, to, _): &&Range<u32>| *from <= point && point <= *to;
                let scan = ranges.iter().filter(covers).map(|range| range.2).min();
                prop_assert_eq!(stretches.at(point), scan.unwrap_or(NONE));
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
