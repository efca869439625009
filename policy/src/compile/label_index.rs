//! An index of identities by label: who may satisfy a selector, without asking everybody.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use crate::model::{Labels, Selector};

/// Identities by key and value of their labels.
#[derive(Debug, Default)]
pub(super) struct LabelIndex {
    keys: HashMap<String, HashMap<String, BTreeSet<u32>>>,
}

/// Identities among which are all that satisfy a selector.
#[derive(Debug)]
pub(super) struct Candidates<'i> {
    pub(super) identities: Cow<'i, BTreeSet<u32>>,
    /// Every one of them satisfies it.
    pub(super) exact: bool,
}

impl LabelIndex {
    /// Adds an identity.
    pub(super) fn add(&mut self, identity: u32, labels: &Labels) {
        for (key, value) in labels {
            if !self.keys.contains_key(key) {
                self.keys.insert(key.clone(), HashMap::default());
            }
            let values = self.keys.get_mut(key).expect("just inserted");
            match values.get_mut(value) {
                Some(identities) => drop(identities.insert(identity)),
                None => drop(values.insert(value.clone(), [identity].into())),
            }
        }
    }

    /// Takes an identity out.
    pub(super) fn remove(&mut self, identity: u32, labels: &Labels) {
        for (key, value) in labels {
            let values = self.keys.get_mut(key).expect("an indexed key");
            let identities = values.get_mut(value).expect("an indexed value");
            identities.remove(&identity);
            if identities.is_empty() {
                values.remove(value);
            }
            if values.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    /// Who may satisfy the selector; `None` when only a look at everybody can tell.
    pub(super) fn candidates(&self, selector: &Selector) -> Option<Candidates<'_>> {
        match selector {
            Selector::In(key, values) => {
                let held = self.keys.get(key);
                let found = held.map(|held| values.iter().filter_map(|value| held.get(value)));
                Some(union(found.into_iter().flatten()))
            }
            Selector::Has(key) => Some(union(
                self.keys.get(key).into_iter().flat_map(|v| v.values()),
            )),
            Selector::All(parts) => {
                let indexed = parts.iter().filter_map(|part| self.candidates(part));
                let fewest = indexed.min_by_key(|found| found.identities.len())?;
                let exact = fewest.exact && parts.len() == 1;
                Some(Candidates { exact, ..fewest })
            }
            Selector::Any(parts) => {
                let indexed: Option<Vec<_>> =
                    parts.iter().map(|part| self.candidates(part)).collect();
                let indexed = indexed?;
                let exact = indexed.iter().all(|found| found.exact);
                let all = indexed.iter().flat_map(|found| found.identities.iter());
                let identities = Cow::Owned(all.copied().collect());
                Some(Candidates { identities, exact })
            }
            _ => None,
        }
    }
}

fn union<'i>(mut sets: impl Iterator<Item = &'i BTreeSet<u32>>) -> Candidates<'i> {
    let exact = true;
    let Some(first) = sets.next() else {
        let identities = Cow::Owned(BTreeSet::new());
        return Candidates { identities, exact };
    };
    let Some(second) = sets.next() else {
        let identities = Cow::Borrowed(first);
        return Candidates { identities, exact };
    };
    let all = [first, second].into_iter().chain(sets);
    let identities = Cow::Owned(all.flatten().copied().collect());
    Candidates { identities, exact }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> LabelIndex {
        let mut index = LabelIndex::default();
        for (identity, pairs) in [
            (1, &[("app", "web"), ("env", "prod")][..]),
            (2, &[("app", "db"), ("env", "prod")]),
            (3, &[("app", "web")]),
        ] {
            let owned = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            index.add(identity, &owned.collect());
        }
        index
    }

    fn found(index: &LabelIndex, selector: &Selector) -> Option<(Vec<u32>, bool)> {
        let found = index.candidates(selector)?;
        Some((found.identities.iter().copied().collect(), found.exact))
    }

    #[test]
    fn values_and_keys_are_found_exactly() {
        let index = index();
        let values = ["web", "db", "none"].map(str::to_owned).into();
        let any_app = Selector::In("app".to_owned(), values);
        assert_eq!(found(&index, &any_app), Some((vec![1, 2, 3], true)));
        let env = Selector::Has("env".to_owned());
        assert_eq!(found(&index, &env), Some((vec![1, 2], true)));
        assert_eq!(
            found(&index, &Selector::equals("no", "body")),
            Some((vec![], true))
        );
    }

    #[test]
    fn a_conjunction_is_found_by_its_rarest_part() {
        let not_old = Selector::Not(Box::new(Selector::Has("old".to_owned())));
        let parts = vec![
            not_old.clone(),
            Selector::equals("app", "web"),
            Selector::Has("env".to_owned()),
        ];
        assert_eq!(
            found(&index(), &Selector::All(parts)),
            Some((vec![1, 3], false))
        );
        assert_eq!(found(&index(), &not_old), None);
        assert_eq!(found(&index(), &Selector::everything()), None);
    }

    #[test]
    fn what_is_removed_is_found_no_more() {
        let mut index = index();
        let labels = [("app".to_owned(), "web".to_owned())].into();
        index.remove(3, &labels);
        assert_eq!(
            found(&index, &Selector::equals("app", "web")),
            Some((vec![1], true))
        );
    }
}
