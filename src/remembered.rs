//! What has been found out about the texts of an array, by their views.
//!
//! Equal views of one array are equal texts, and a page of a Parquet dictionary gives equal texts equal views. So
//! a few remembered ones save nearly all look-ups.

/// How many are remembered: a later one takes the place of an earlier one. So many fit into a core's first cache.
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
        let place = place(view);
        if self.views[place] == view
            && let Some(found) = self.found[place]
        {
            return Ok(found);
        }
        let found = find()?;
        (self.views[place], self.found[place]) = (view, Some(found));
        Ok(found)
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
        let kept = |view| Remembered::get(&mut remembered, view, || Err(()));
        assert_eq!((1..PLACES as u128).map(kept).filter(Result::is_ok).count(), 0);
    }

    #[test]
    fn what_is_remembered_is_not_looked_up_again() {
        let mut remembered = Remembered::new();
        assert_eq!(remembered.get(7, || Err("not known")), Err("not known"));
        assert_eq!(remembered.get(7, || Ok::<_, ()>(1)), Ok(1));
        assert_eq!(remembered.get(7, || Ok::<_, ()>(2)), Ok(1));
    }
}
