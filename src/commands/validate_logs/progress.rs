//! The bar of a terminal: how far the walk is, how fast, and how long it will take.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::validation::{Event, Kind};

/// The bar. Where there is no terminal it does nothing.
#[derive(Clone)]
pub(super) struct Bar {
    shown: ProgressBar,
    started: Instant,
    files: u64,
    targets: usize,
    done: usize,
}

impl Bar {
    pub(super) fn new(targets: usize) -> Self {
        let bar = ProgressBar::new(0);
        // A bar of nothing would look full.
        if let Ok(style) = ProgressStyle::with_template("{spinner} looking for digests") {
            bar.set_style(style);
        }
        if std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            bar.enable_steady_tick(Duration::from_millis(300));
        } else {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Bar { shown: bar, started: Instant::now(), files: 0, targets, done: 0 }
    }

    /// Notes what an event means for the bar.
    pub(super) fn count(&mut self, event: &Event<'_>) {
        if self.shown.is_hidden() {
            return;
        }
        match event {
            Event::Digests(digests) => {
                let style = "{bar:24} {pos}/{len} digests, {msg}, {eta} left";
                if let Ok(style) = ProgressStyle::with_template(style) {
                    self.shown.set_style(style);
                }
                self.shown.inc_length(*digests as u64);
            }
            Event::Found(finding) => match finding.kind {
                Kind::Digest | Kind::BackfillDigest => {
                    self.shown.inc(1);
                    // One that is missing was not among those that were found.
                    self.shown.set_length(self.shown.length().unwrap_or(0).max(self.shown.position()));
                }
                Kind::LogFile => self.files += 1,
                Kind::Link | Kind::Hours | Kind::Other => {}
            },
            Event::Done(_) => self.done += 1,
            Event::Started(_) | Event::Walked | Event::GaveUp(_) => {}
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of files to look at")]
        let speed = self.files as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let sections = if self.targets > 1 {
            format!(", part {} of {}", self.done + 1, self.targets)
        } else {
            String::new()
        };
        self.shown.set_message(format!("{} log files, {speed:.0} files/s{sections}", self.files));
    }

    /// Writes something while the bar is out of the way.
    pub(super) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.shown.is_hidden() { write() } else { self.shown.suspend(write) }
    }

    pub(super) fn finish(&self) {
        self.shown.finish_and_clear();
    }
}
