//! Work on many small things at once: what a log says of fifty thousand files takes most of a second otherwise.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

/// Fewer files than this are not worth a thread.
const FEW: usize = 2_000;

/// What `map` makes of each thing, in order; all of it is about so many files.
pub(crate) fn map<'a, T: Sync, R: Send>(
    things: &'a [T],
    files: usize,
    map: impl Fn(&'a T) -> R + Sync,
) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(files / FEW).min(things.len());
    if threads < 2 {
        return things.iter().map(map).collect();
    }
    let map = &map;
    thread::scope(|scope| {
        let parts = things.chunks(things.len().div_ceil(threads));
        let running: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().map(map).collect::<Vec<R>>())).collect();
        let done =
            running.into_iter().flat_map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic)));
        done.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_things() {
        for count in [0, 1, 7, FEW, 2 * FEW + 1] {
            let things: Vec<usize> = (0..count).collect();
            for files in [0, 10 * FEW] {
                let doubled = map(&things, files, |thing| thing * 2);
                assert_eq!(doubled, (0..count).map(|thing| thing * 2).collect::<Vec<_>>());
            }
        }
    }
}
