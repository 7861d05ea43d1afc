//! JSON: one document, or an object a line.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::plan::Plan;
use super::tell::{Streams, Tell};
use crate::validation::{Event, Kind, Outcome, Verdict, display};

pub(super) struct Machine {
    streams: Streams,
    lines: bool,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    counts: BTreeMap<(Kind, Verdict), u64>,
    errors: Vec<Value>,
    first: bool,
}

impl Machine {
    pub(super) fn json(plan: &Plan, streams: Streams) -> Self {
        let (start, end) = (plan.options.start, plan.options.end);
        Machine {
            streams,
            lines: false,
            start,
            end,
            counts: BTreeMap::new(),
            errors: Vec::new(),
            first: true,
        }
    }

    pub(super) fn ndjson(plan: &Plan, streams: Streams) -> Self {
        Machine { lines: true, ..Self::json(plan, streams) }
    }

    fn line(&mut self, record: &str, mut value: Value) -> Result<()> {
        if let Some(fields) = value.as_object_mut() {
            fields.insert("record".to_owned(), record.into());
        }
        self.streams.out(&format!("{value}\n"))
    }

    fn coverage(&self, outcome: &Outcome) -> Value {
        let ranges = |ranges: &[(DateTime<Utc>, DateTime<Utc>)]| {
            let range = |range: &(DateTime<Utc>, DateTime<Utc>)| json!({"start": display(range.0), "end": display(range.1)});
            ranges.iter().map(range).collect::<Vec<Value>>()
        };
        let gaps = outcome.coverage.gaps(self.start, self.end);
        json!({
            "account_id": outcome.target.account_id,
            "region": outcome.target.region,
            "trail": outcome.target.trail,
            "complete": outcome.strict,
            "proven": ranges(outcome.coverage.ranges()),
            "not_proven": ranges(&gaps),
        })
    }

    fn summary(&self) -> Value {
        let mut summary: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
        for ((kind, verdict), count) in &self.counts {
            let kind = serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
            *summary.entry(kind.unwrap_or_default()).or_default().entry(verdict.name()).or_default() += count;
        }
        json!({"start": display(self.start), "end": display(self.end), "counts": summary})
    }
}

impl Tell for Machine {
    fn begin(&mut self) -> Result<()> {
        if self.lines { Ok(()) } else { self.streams.out("{\"findings\":[") }
    }

    fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Found(finding) => {
                *self.counts.entry((finding.kind, finding.verdict)).or_default() += 1;
                if self.lines {
                    return self.line("finding", serde_json::to_value(finding)?);
                }
                let comma = if std::mem::take(&mut self.first) { "\n" } else { ",\n" };
                self.streams.out(&format!("{comma}{}", serde_json::to_string(finding)?))
            }
            Event::GaveUp(fatal) => {
                let error = json!({"message": fatal.message});
                if self.lines {
                    return self.line("error", error);
                }
                self.errors.push(error);
                Ok(())
            }
            Event::Done(outcome) if self.lines => {
                let coverage = self.coverage(outcome);
                self.line("coverage", coverage)
            }
            Event::Started(_) | Event::Digests(_) | Event::Walked | Event::Done(_) => Ok(()),
        }
    }

    fn end(&mut self, outcomes: &[Outcome]) -> Result<()> {
        if self.lines {
            let summary = self.summary();
            self.line("summary", summary)?;
        } else {
            let coverage: Vec<Value> = outcomes.iter().map(|outcome| self.coverage(outcome)).collect();
            let (summary, errors) = (self.summary(), Value::from(std::mem::take(&mut self.errors)));
            let coverage = Value::from(coverage);
            let end = format!("\n],\"coverage\":{coverage},\"errors\":{errors},\"summary\":{summary}}}\n");
            self.streams.out(&end)?;
        }
        self.streams.flush()
    }
}
