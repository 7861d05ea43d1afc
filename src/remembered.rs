//! What has been found out about the texts of an array, by their views.
//!
//! Equal views of one array are equal texts, and a page of a Parquet dictionary gives equal texts equal views. So
//! a few remembered ones save nearly all look-ups.

use arrow::array::StringViewArray;
use arrow::buffer::Buffer;

/// How many are remembered of one array, each in one of two places; the one that was met last drives the other one
/// on. So many fit into a core's first cache.
const PLACES: usize = 1 << 10;

/// How many are remembered of many arrays: of so many places it is seldom the second one.
const LASTING_PLACES: usize = 1 << 12;

/// What no view is: a text may have two thousand million bytes at most.
const NO_VIEW: u128 = u128::MAX;

/// What is known of some views of one array, or of several that share their buffers.
pub(crate) struct Remembered<T> {
    /// As many as a power of two.
    places: Vec<Place<T>>,
    /// Those of the array that this was last about.
    buffers: Vec<Buffer>,
}

/// A view, in halves so that a place has no room to spare, and what was found out about it.
#[derive(Clone, Copy)]
struct Place<T> {
    low: u64,
    high: u64,
    found: T,
}

impl<T> Place<T> {
    fn of(view: u128, found: T) -> Self {
        let (low, high) = halves(view);
        Self { low, high, found }
    }

    #[inline]
    fn is_of(&self, view: u128) -> bool {
        let (low, high) = halves(view);
        (self.low ^ low) | (self.high ^ high) == 0
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "each half is a half")]
fn halves(view: u128) -> (u64, u64) {
    (view as u64, (view >> 64) as u64)
}

impl<T: Copy + Default> Remembered<T> {
    /// For one array.
    pub(crate) fn new() -> Self {
        Self::of_places(PLACES)
    }

    /// For one after the other: see [`Self::go_on_with`].
    pub(crate) fn lasting() -> Self {
        Self::of_places(LASTING_PLACES)
    }

    fn of_places(count: usize) -> Self {
        Self { places: vec![Place::of(NO_VIEW, T::default()); count], buffers: vec![] }
    }

    /// Goes on with another array: what was remembered holds if its views are into the same buffers, as they are
    /// until the next page of a dictionary.
    pub(crate) fn go_on_with(&mut self, array: &StringViewArray) {
        let buffers = array.data_buffers();
        let same = |(one, other): (&Buffer, &Buffer)| one.ptr_eq(other);
        if buffers.len() != self.buffers.len() || !self.buffers.iter().zip(buffers).all(same) {
            self.places.fill(Place::of(NO_VIEW, T::default()));
            self.buffers = buffers.to_vec();
        }
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
        let at = self.place(view);
        if self.places[at].is_of(view) {
            return Some(self.places[at].found);
        }
        let other = &self.places[at ^ 1];
        other.is_of(view).then_some(other.found)
    }

    /// Remembers what was found out about a view that is not known.
    pub(crate) fn remember(&mut self, view: u128, found: T) {
        let at = self.place(view);
        self.places[at ^ 1] = self.places[at];
        self.places[at] = Place::of(view, found);
    }

    /// Views of one dictionary differ by their offset, short texts by themselves, pairs of numbers by both: the
    /// highest bits of a product come from all of what was multiplied.
    #[inline]
    fn place(&self, view: u128) -> usize {
        let (low, high) = halves(view);
        let bits = (low ^ high.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        usize::try_from(bits >> 52).unwrap_or_default() & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

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
        let mut remembered = Remembered::new();
        let same_place = |view: &u128| remembered.place(*view) == remembered.place(0);
        let mut others = (1..).map(|view: u128| view << 64).filter(same_place);
        let [second, third] = [others.next().unwrap(), others.next().unwrap()];
        remembered.remember(0, 'a');
        remembered.remember(second, 'b');
        assert_eq!((remembered.known(0), remembered.known(second)), (Some('a'), Some('b')));
        remembered.remember(third, 'c');
        let known = [0, second, third].map(|view| remembered.known(view));
        assert_eq!(known, [None, Some('b'), Some('c')]);
    }

    #[test]
    fn small_numbers_and_short_texts_have_places_of_their_own() {
        let remembered = Remembered::<usize>::lasting();
        let pairs: Vec<u128> =
            (0..20).flat_map(|left| (0..20).map(move |right| left << 64 | right)).collect();
        let regions = ["us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-west-1", "eu-north-1"];
        let regions = StringViewArray::from_iter_values(regions).views().to_vec();
        for (views, most) in [(pairs, 40), (regions, 0)] {
            let places: HashSet<usize> = views.iter().map(|view| remembered.place(*view)).collect();
            assert!(places.len() + most >= views.len(), "{} of {}", places.len(), views.len());
        }
    }

    #[test]
    fn what_is_remembered_is_not_looked_up_again() {
        let mut remembered = Remembered::new();
        assert_eq!(remembered.get(7, || Err("not known")), Err("not known"));
        assert_eq!(remembered.get(7, || Ok::<_, ()>(1)), Ok(1));
        assert_eq!(remembered.get(7, || Ok::<_, ()>(2)), Ok(1));
    }

    #[test]
    fn views_of_other_buffers_are_others() {
        let array = |texts: [&str; 2]| StringViewArray::from_iter_values(texts);
        let one = array(["a text of one buffer", "another one"]);
        let other = array(["a text of an other", "another one"]);
        let mut remembered = Remembered::lasting();
        remembered.go_on_with(&one);
        one.views().iter().for_each(|view| remembered.remember(*view, 1));
        remembered.go_on_with(&one.slice(1, 1));
        assert_eq!(one.views().iter().map(|view| remembered.known(*view)).collect::<Vec<_>>(), [Some(1); 2]);
        remembered.go_on_with(&other);
        assert_eq!(one.views().iter().map(|view| remembered.known(*view)).collect::<Vec<_>>(), [None; 2]);
    }
}
