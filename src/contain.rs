//! Panics that hostile content might cause, contained.
//!
//! A panic is a broken invariant of ours, but what was being read then is what broke it. So the thing that
//! was read is set aside, with the panic's words, and the process goes on with the rest: otherwise a single
//! log file could stop the daemon, be received again, and stop it again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::FutureExt as _;

/// Runs `work`; if it panics, says in which words. What `work` was changing then is anybody's guess.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panicked| words(&*panicked))
}

/// As [`contained`], of a future.
pub(crate) async fn contained_async<T>(work: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panicked| words(&*panicked))
}

/// What was said at the panic.
fn words(panicked: &(dyn Any + Send)) -> String {
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panicked.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_in_the_same_words() {
        let index = || -> u8 { b"abc"[std::hint::black_box(7)] };
        assert!(contained(index).unwrap_err().contains("index is 7"));
        assert_eq!(contained(|| 1), Ok(1));
        let panicked = contained_async(async { panic!("because") }).await;
        assert_eq!(panicked.map(|()| 0), Err("because".to_owned()));
    }
}
