//! Who is told what a validation finds: a format, and the progress bar of a terminal.

use std::io::{self, Write};

use anyhow::Result;

use super::evidence::Evidence;
use super::junit::Junit;
use super::machine::Machine;
use super::plan::Plan;
use super::progress::Bar;
use super::text::Text;
use super::{Args, Format};
use crate::output::escape;
use crate::validation::{Event, Outcome};

/// A way to tell what a validation finds.
pub(super) trait Tell {
    /// Before anything else.
    fn begin(&mut self) -> Result<()>;
    /// One event.
    fn tell(&mut self, event: &Event<'_>) -> Result<()>;
    /// After everything else.
    fn end(&mut self, outcomes: &[Outcome]) -> Result<()>;
}

/// The format that was asked for, and the bar.
pub(super) struct Tellers {
    format: Box<dyn Tell>,
    bar: Bar,
    notes: Vec<String>,
    evidence: Option<Evidence>,
}

impl Tellers {
    pub(super) fn new(plan: &Plan, args: &Args) -> Result<Self> {
        let bar = Bar::new(plan.targets.len());
        let out = Streams::new(bar.clone());
        let format: Box<dyn Tell> = match args.format {
            Format::Text => Box::new(Text::new(plan, args.verbose, out)),
            Format::Json => Box::new(Machine::json(plan, out)),
            Format::Ndjson => Box::new(Machine::ndjson(plan, out)),
            Format::Junit => Box::new(Junit::new(out)?),
        };
        let evidence = args.evidence.as_deref().map(|path| Evidence::new(path, plan, args)).transpose()?;
        Ok(Tellers { format, bar, notes: plan.notes.clone(), evidence })
    }
}

impl Tell for Tellers {
    fn begin(&mut self) -> Result<()> {
        for note in &self.notes {
            eprintln!("note: {}", escape(note, false));
        }
        self.format.begin()
    }

    fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        self.bar.count(event);
        if let Some(evidence) = &mut self.evidence {
            evidence.tell(event)?;
        }
        self.format.tell(event)
    }

    fn end(&mut self, outcomes: &[Outcome]) -> Result<()> {
        self.bar.finish();
        self.format.end(outcomes)?;
        self.evidence.take().map_or(Ok(()), |evidence| evidence.finish(outcomes))
    }
}

/// Standard output and standard error, in the order in which they are written to.
pub(super) struct Streams {
    out: io::BufWriter<io::Stdout>,
    /// What a terminal would obey is spelt out, on a terminal. A pipe gets the AWS CLI's bytes.
    safe: (bool, bool),
    bar: Bar,
}

impl Streams {
    fn new(bar: Bar) -> Self {
        use io::IsTerminal as _;
        let safe = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Streams { out: io::BufWriter::new(io::stdout()), safe, bar }
    }

    /// Writes to standard output.
    pub(super) fn out(&mut self, text: &str) -> Result<()> {
        let shown = shown(text, self.safe.0);
        let (out, terminal) = (&mut self.out, self.safe.0);
        self.bar.suspend(|| {
            out.write_all(shown.as_bytes())?;
            if terminal { out.flush() } else { Ok(()) }
        })?;
        Ok(())
    }

    /// Writes to standard error, after all that was written to standard output.
    pub(super) fn err(&mut self, text: &str) -> Result<()> {
        let shown = shown(text, self.safe.1);
        let out = &mut self.out;
        self.bar.suspend(|| {
            out.flush()?;
            io::stderr().write_all(shown.as_bytes())
        })?;
        Ok(())
    }

    /// Writes out what is held back.
    pub(super) fn flush(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Each line and each of its fields made safe by itself.
fn shown(text: &str, terminal: bool) -> std::borrow::Cow<'_, str> {
    if !terminal {
        return text.into();
    }
    let line = |line: &str| line.split('\t').map(|field| escape(field, false)).collect::<Vec<_>>().join("\t");
    text.split('\n').map(line).collect::<Vec<_>>().join("\n").into()
}
