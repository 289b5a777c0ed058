//! Lists that usually have one element.
//!
//! The crate `smallvec` has such a list too. This one is a hundred lines of safe code; what `smallvec` would cost was not measured.

/// A list whose first element needs no allocation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SmallVec1<T> {
    first: Option<T>,
    /// Empty while there is no first element.
    more: Vec<T>,
}

impl<T> Default for SmallVec1<T> {
    fn default() -> Self {
        SmallVec1 {
            first: None,
            more: Vec::new(),
        }
    }
}

impl<T> SmallVec1<T> {
    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()).saturating_add(self.more.len())
    }

    /// The element, if there is exactly one.
    pub(crate) fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.more.is_empty())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.more)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.more)
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        match at.checked_sub(1) {
            Some(at) => self.more.get(at),
            None => self.first.as_ref(),
        }
    }

    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        match at.checked_sub(1) {
            Some(at) => self.more.get_mut(at),
            None => self.first.as_mut(),
        }
    }

    /// Adds an element at the end.
    pub(crate) fn push(&mut self, element: T) -> &mut T {
        if self.first.is_none() {
            return self.first.insert(element);
        }
        let last = self.more.len();
        self.more.push(element);
        #[expect(clippy::indexing_slicing, reason = "it was just pushed")]
        &mut self.more[last]
    }

    /// Inserts an element at `at`, or at the end if the list is shorter.
    pub(crate) fn insert(&mut self, at: usize, element: T) {
        match at.checked_sub(1) {
            Some(before) if before < self.more.len() => self.more.insert(before, element),
            Some(_) => {
                self.push(element);
            }
            None => {
                if let Some(second) = self.first.replace(element) {
                    self.more.insert(0, second);
                }
            }
        }
    }

    /// The number of elements at the beginning for which `before` holds.
    pub(crate) fn partition_point(&self, mut before: impl FnMut(&T) -> bool) -> usize {
        match &self.first {
            Some(first) if before(first) => self.more.partition_point(before).saturating_add(1),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_a_list(steps in prop::collection::vec((0..6_usize, any::<bool>()), 0..12)) {
            let (mut few, mut list) = (SmallVec1::default(), Vec::new());
            for (number, (at, end)) in steps.into_iter().enumerate() {
                if end {
                    prop_assert_eq!(*few.push(number), number);
                    list.push(number);
                } else {
                    few.insert(at, number);
                    list.insert(at.min(list.len()), number);
                }
                prop_assert_eq!(few.len(), list.len());
                prop_assert_eq!(few.only().is_some(), list.len() == 1);
                prop_assert_eq!(few.is_empty(), list.is_empty());
                prop_assert!(few.iter().eq(&list));
                prop_assert!(few.iter_mut().map(|number| *number).eq(list.iter().copied()));
                for at in 0..=list.len() {
                    prop_assert_eq!(few.get(at), list.get(at));
                    prop_assert_eq!(few.get_mut(at).copied(), list.get(at).copied());
                }
            }
        }

        #[test]
        fn insertion_point_keeps_order(mut sorted in prop::collection::vec(0..20_u32, 0..8), wanted in 0..20_u32) {
            sorted.sort_unstable();
            let mut few = SmallVec1::default();
            for number in &sorted {
                few.push(*number);
            }
            let expected = sorted.partition_point(|number| *number < wanted);
            prop_assert_eq!(few.partition_point(|number| *number < wanted), expected);
        }
    }
}
