//! What has been found out about the texts of an array, by their views.
//!
//! Equal views of one array are equal texts, and a page of a Parquet dictionary gives equal texts equal views. So
//! a few remembered ones save nearly all look-ups.

/// How many are remembered: a later one takes the place of an earlier one.
const PLACES: usize = 1 << 10;

/// What is known of some views of one array.
pub(crate) struct Remembered<T>(Vec<Option<(u128, T)>>);

impl<T: Copy> Remembered<T> {
    pub(crate) fn new() -> Self {
        Self(vec![None; PLACES])
    }

    /// What is remembered of a view, or else what `find` finds out about it.
    pub(crate) fn get<E>(&mut self, view: u128, find: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let place = &mut self.0[place(view)];
        match *place {
            Some((known, found)) if known == view => Ok(found),
            _ => {
                let found = find()?;
                *place = Some((view, found));
                Ok(found)
            }
        }
    }
}

/// Views of one dictionary differ by their offset, short texts by themselves.
fn place(view: u128) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "any bits do")]
    let bits = ((view >> 64) as u64 ^ (view as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(bits >> 32).unwrap_or_default() % PLACES
}
