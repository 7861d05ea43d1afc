//! What has been found out about the texts of an array, by their views.
//!
//! Equal views of one array are equal texts, and a page of a Parquet dictionary gives equal texts equal views. So
//! a few remembered ones save nearly all look-ups.

/// How many are remembered, each in one of two places; the one that was met last drives the other one on. So many fit
/// into a core's first cache.
const PLACES: usize = 1 << 10;

/// What is known of some views of one array.
pub(crate) struct Remembered<T> {
    views: Vec<u128>,
    found: Vec<Option<T>>,
}

impl<T: Copy> Remembered<T> {
    pub(crate) fn new() -> Self {
        Self { views: vec![0; PLACES], found: vec![None; PLACES] }
    }

    /// What is remembered of a view, or else what `find` finds out about it.
    #[inline]
    pub(crate) fn get<E>(&mut self, view: u128, find: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(known) = self.known(view) {
            return Ok(known);
        }
        let found = find()?;
        self.remember(view, found);
        Ok(found)
    }

    /// What is remembered of a view.
    #[inline]
    pub(crate) fn known(&self, view: u128) -> Option<T> {
        let place = place(view);
        if self.views[place] == view && self.found[place].is_some() {
            return self.found[place];
        }
        if self.views[place ^ 1] == view { self.found[place ^ 1] } else { None }
    }

    /// Remembers what was found out about a view that is not known.
    pub(crate) fn remember(&mut self, view: u128, found: T) {
        let place = place(view);
        (self.views[place ^ 1], self.found[place ^ 1]) = (self.views[place], self.found[place]);
        (self.views[place], self.found[place]) = (view, Some(found));
    }
}

/// Views of one dictionary differ by their offset, short texts by themselves.
fn place(view: u128) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "any bits do")]
    let bits = ((view >> 64) as u64 ^ (view as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(bits >> 32).unwrap_or_default() % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_view_is_told_from_others_of_its_place() {
        let mut remembered = Remembered::new();
        // More than there are places; among them the view of the empty text, which is nought.
        for _ in 0..2 {
            for view in 0..3 * PLACES as u128 {
                assert_eq!(remembered.get(view << 64, || Ok::<_, ()>(view)), Ok(view));
            }
        }
    }

    #[test]
    fn two_views_of_one_place_are_both_remembered() {
        let mut others = (1..).map(|view: u128| view << 64).filter(|view| place(*view) == place(0));
        let [second, third] = [others.next().unwrap(), others.next().unwrap()];
        let mut remembered = Remembered::new();
        remembered.remember(0, 'a');
        remembered.remember(second, 'b');
        assert_eq!((remembered.known(0), remembered.known(second)), (Some('a'), Some('b')));
        remembered.remember(third, 'c');
        let known = [0, second, third].map(|view| remembered.known(view));
        assert_eq!(known, [None, Some('b'), Some('c')]);
    }

    #[test]
    fn what_is_remembered_is_not_looked_up_again() {
        let mut remembered = Remembered::new();
        assert_eq!(remembered.get(7, || Err("not known")), Err("not known"));
        assert_eq!(remembered.get(7, || Ok::<_, ()>(1)), Ok(1));
        assert_eq!(remembered.get(7, || Ok::<_, ()>(2)), Ok(1));
    }
}
