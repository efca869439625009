//! A hash map of fixed depth: 64 branches of 64 sorted leaves.

use std::array;
use std::sync::Arc;

/// Children of the root, and leaves of a branch.
const FAN_OUT: usize = 64;

/// A key with a hash whose upper bits are well mixed.
pub(crate) trait Key: Copy + Ord {
    /// The hash.
    fn hash(self) -> u64;
}

/// 2^64 divided by the golden ratio, odd: Knuth's multiplicative hash.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Key for u32 {
    #[inline]
    fn hash(self) -> u64 {
        u64::from(self).wrapping_mul(GOLDEN)
    }
}

impl Key for u128 {
    #[inline]
    fn hash(self) -> u64 {
        let folded = (self as u64) ^ ((self >> 64) as u64).rotate_left(29);
        folded.wrapping_mul(GOLDEN)
    }
}

type Leaf<K, V> = Option<Arc<[(K, V)]>>;
type Branch<K, V> = [Leaf<K, V>; FAN_OUT];

/// A map whose clones share what they have in common.
///
/// A lookup follows two pointers and searches a leaf of about `len / 4096` entries; a change of a
/// shared map copies one root, one branch and one leaf.
#[derive(Clone, Debug)]
pub(crate) struct Map<K, V> {
    root: Arc<[Arc<Branch<K, V>>; FAN_OUT]>,
    len: usize,
}

impl<K: Key, V: Copy> Default for Map<K, V> {
    fn default() -> Self {
        let empty: Arc<Branch<K, V>> = Arc::new(array::from_fn(|_| None));
        Self {
            root: Arc::new(array::from_fn(|_| Arc::clone(&empty))),
            len: 0,
        }
    }
}

impl<K: Key, V: Copy> Map<K, V> {
    /// The value of a key.
    #[inline]
    pub(crate) fn get(&self, key: K) -> Option<V> {
        let (branch, leaf) = place(key);
        let leaf = self.root[branch][leaf].as_deref()?;
        let found = leaf.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(leaf[found].1)
    }

    /// Sets the value of a key.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let leaf = self.leaf(key);
        let entries = leaf.as_deref().unwrap_or_default();
        let changed: Arc<[(K, V)]> = match entries.binary_search_by_key(&key, |(key, _)| *key) {
            Ok(at) => {
                let mut changed: Arc<[(K, V)]> = Arc::from(entries);
                Arc::make_mut(&mut changed)[at].1 = value;
                changed
            }
            Err(at) => {
                let (before, after) = entries.split_at(at);
                let entry = (key, value);
                let all = before.iter().chain([&entry]).chain(after);
                let changed = all.copied().collect();
                self.len += 1;
                changed
            }
        };
        *self.leaf(key) = Some(changed);
    }

    /// Takes a key out; false when it was not in.
    pub(crate) fn remove(&mut self, key: K) -> bool {
        if self.get(key).is_none() {
            return false;
        }
        let leaf = self.leaf(key);
        let entries = leaf.as_deref().unwrap_or_default();
        let rest: Arc<[(K, V)]> = entries.iter().filter(|(k, _)| *k != key).copied().collect();
        *leaf = Some(rest).filter(|rest| !rest.is_empty());
        self.len -= 1;
        true
    }

    /// How many keys are in.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The leaf of a key, no longer shared with a clone.
    fn leaf(&mut self, key: K) -> &mut Leaf<K, V> {
        let (branch, leaf) = place(key);
        &mut Arc::make_mut(&mut Arc::make_mut(&mut self.root)[branch])[leaf]
    }
}

#[inline]
fn place<K: Key>(key: K) -> (usize, usize) {
    let hash = key.hash();
    ((hash >> 58) as usize, (hash >> 52) as usize % FAN_OUT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clone_does_not_see_later_changes() {
        let mut map = Map::default();
        map.insert(1u32, 'a');
        let before = map.clone();
        map.insert(1, 'b');
        map.insert(2, 'c');
        map.remove(1);
        assert_eq!((before.get(1), before.get(2)), (Some('a'), None));
        assert_eq!((map.get(1), map.get(2), map.len()), (None, Some('c'), 1));
    }

    #[test]
    fn consecutive_addresses_spread_over_the_leaves() {
        let mut map = Map::default();
        for address in 0x0af4_0000u32..0x0af4_0000 + 100_000 {
            map.insert(address, ());
        }
        let leaves = map.root.iter().flat_map(|branch| branch.iter().flatten());
        let longest = leaves.map(|leaf| leaf.len()).max();
        assert!(longest <= Some(64), "{longest:?} in one leaf of 4096");
    }

    proptest! {
        #[test]
        fn it_is_a_map(changes in prop::collection::vec((0u128..40, prop::option::of(0u8..9)), 0..200)) {
            let (mut map, mut model) = (Map::default(), BTreeMap::new());
            for (key, value) in changes {
                let key = key << 90 | key;
                match value {
                    Some(value) => {
                        map.insert(key, value);
                        model.insert(key, value);
                    }
                    None => assert_eq!(map.remove(key), model.remove(&key).is_some()),
                }
                assert_eq!(map.len(), model.len());
                for key in (0..40).map(|key| key << 90 | key) {
                    assert_eq!(map.get(key), model.get(&key).copied());
                }
            }
        }
    }
}
