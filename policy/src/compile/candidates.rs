//! Candidates: the rules that may decide, in order.

use rustc_hash::FxHashMap;

/// "No rule": greater than every position, so that a minimum ignores it.
pub(crate) const NONE: u32 = u32::MAX;

/// Lists of rule positions, each list once, by number.
///
/// A list ends with the first rule whose match its index entries prove; the rules before it need
/// a [check](super::check). In most programs no rule does and a list is one position long.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    /// First position of each list, or [`NONE`].
    first: Vec<u32>,
    lists: Vec<Box<[u32]>>,
}

impl Candidates {
    /// The first position of a list.
    #[inline]
    pub(crate) fn first(&self, list: u32) -> u32 {
        self.first[list as usize]
    }

    /// The first position of a list that is greater than this one.
    pub(crate) fn after(&self, list: u32, position: Option<u32>) -> u32 {
        let list = &self.lists[list as usize];
        let from = position.map_or(0, |last| list.partition_point(|next| *next <= last));
        list.get(from).copied().unwrap_or(NONE)
    }
}

/// Makes [`Candidates`].
#[derive(Clone, Debug)]
pub(super) struct CandidateLists {
    known: FxHashMap<Box<[u32]>, u32>,
    pub(super) made: Candidates,
}

impl Default for CandidateLists {
    fn default() -> Self {
        let mut lists = Self {
            known: FxHashMap::default(),
            made: Candidates {
                first: Vec::new(),
                lists: Vec::new(),
            },
        };
        let empty = lists.of(&mut std::iter::empty(), |_| true);
        debug_assert_eq!(empty, 0, "list 0 is empty");
        lists
    }
}

impl CandidateLists {
    /// The number of the list of these ascending positions, cut after the first that is `certain`.
    pub(super) fn of(
        &mut self,
        positions: &mut dyn Iterator<Item = u32>,
        certain: impl Fn(u32) -> bool,
    ) -> u32 {
        let mut list = Vec::new();
        for position in positions {
            list.push(position);
            if certain(position) {
                break;
            }
        }
        if let Some(known) = self.known.get(list.as_slice()) {
            return *known;
        }
        let number = u32::try_from(self.made.lists.len()).expect("fewer than 2^32 lists");
        let list: Box<[u32]> = list.into();
        self.made.first.push(list.first().copied().unwrap_or(NONE));
        self.made.lists.push(list.clone());
        self.known.insert(list, number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_with_the_first_certain_rule_and_is_kept_once() {
        let mut lists = CandidateLists::default();
        let certain = |position| position >= 4;
        let list = lists.of(&mut [1, 3, 4, 7].into_iter(), certain);
        assert_eq!(lists.of(&mut [1, 3, 4, 9].into_iter(), certain), list);
        let made = &lists.made;
        assert_eq!(made.first(list), 1);
        let walk = [None, Some(1), Some(3), Some(4)].map(|last| made.after(list, last));
        assert_eq!(walk, [1, 3, 4, NONE]);
        assert_eq!(
            (made.first(0), made.after(0, None)),
            (NONE, NONE),
            "list 0 is empty"
        );
    }
}
