//! A growing array in pages.

use std::sync::Arc;

/// Items of a page.
const PAGE: usize = 128;

/// An array whose clones share their pages. Items beyond what was ever set read as the default.
///
/// A change of a shared array copies the list of pages and one page.
#[derive(Clone, Debug)]
pub(crate) struct Pages<T> {
    pages: Arc<Vec<Arc<[T]>>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self {
            pages: Arc::new(Vec::new()),
        }
    }
}

impl<T: Clone + Default> Pages<T> {
    /// The item of this number; `None` beyond the last page.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let page = self.pages.get(number as usize / PAGE)?;
        Some(&page[number as usize % PAGE])
    }

    /// Sets an item.
    pub(crate) fn set(&mut self, number: u32, item: T) {
        let pages = Arc::make_mut(&mut self.pages);
        let page = number as usize / PAGE;
        while pages.len() <= page {
            pages.push(vec![T::default(); PAGE].into());
        }
        Arc::make_mut(&mut pages[page])[number as usize % PAGE] = item;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_does_not_see_later_changes() {
        let mut pages = Pages::default();
        pages.set(3, 'a');
        let before = pages.clone();
        pages.set(3, 'b');
        pages.set(1000, 'c');
        assert_eq!((before.get(3), before.get(1000)), (Some(&'a'), None));
        assert_eq!((pages.get(3), pages.get(1000)), (Some(&'b'), Some(&'c')));
        assert_eq!(pages.get(1001), Some(&char::default()));
    }
}
