//! The table `integrity_gaps`, computed when a query asks for it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Result;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use chrono::{DateTime, DurationRound, NaiveDate, TimeDelta, Utc};
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use tokio::sync::OnceCell;

use super::evidence::Evidence;
use super::fact::LogFileFact;
use super::gaps::{Gap, beyond, gaps};
use super::state::State;
use super::trail::HOUR;
use super::verdicts::Case;
use crate::lake::{Dates, Facts, Lake, Listed};
use crate::object::LogKey;

/// The gaps of a lake at one version.
#[derive(Debug)]
pub struct GapTable {
    facts: Facts,
    schema: SchemaRef,
    rows: OnceCell<RecordBatch>,
}

impl GapTable {
    /// The gaps of a lake, as of its last refresh. Nothing is read yet.
    pub async fn of(lake: &Lake) -> Result<Self> {
        Ok(Self { facts: lake.facts().await?, schema: schema(), rows: OnceCell::new() })
    }

    async fn rows(&self) -> Result<RecordBatch> {
        let counted = count(&self.facts, Utc::now()).await?;
        let text = |value: fn(&Counted) -> Option<String>| -> ArrayRef {
            Arc::new(counted.iter().map(value).collect::<StringArray>())
        };
        let time = |value: fn(&Counted) -> DateTime<Utc>| -> ArrayRef {
            let times = counted.iter().map(|row| Some(value(row).timestamp_micros()));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        };
        let number = |value: fn(&Counted) -> i64| -> ArrayRef {
            Arc::new(counted.iter().map(|row| Some(value(row))).collect::<Int64Array>())
        };
        let columns = vec![
            text(|row| Some(row.gap.account.clone())),
            text(|row| Some(row.gap.region.clone())),
            text(|row| row.gap.trail.clone()),
            text(|row| Some(row.gap.location.clone())),
            time(|row| row.gap.from),
            time(|row| row.gap.to),
            number(|row| row.gap.hours()),
            text(|row| Some(row.gap.why.as_str().to_owned())),
            number(|row| row.log_files),
            number(|row| row.unverified),
        ];
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

#[async_trait]
impl TableProvider for GapTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows.get_or_try_init(|| self.rows()).await;
        let rows = rows.map_err(|error| DataFusionError::External(error.into()))?;
        let source = MemorySourceConfig::try_new_exec(
            &[vec![rows.clone()]],
            self.schema.clone(),
            projection.cloned(),
        )?;
        Ok(source)
    }
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let long = |name: &str| Field::new(name, DataType::Int64, true);
    let time =
        |name: &str| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true);
    Arc::new(Schema::new(vec![
        text("account"),
        text("region"),
        text("trail"),
        text("location"),
        time("start_time"),
        time("end_time"),
        long("hours"),
        text("why"),
        long("log_files"),
        long("unverified_log_files"),
    ]))
}

/// A gap, and the log files whose time lies in it.
struct Counted {
    gap: Gap,
    log_files: i64,
    unverified: i64,
}

/// Bucket and prefix, account, region.
type Place = (String, String, String);

/// First and last time of some log files, and how many they are.
type Extent = (DateTime<Utc>, DateTime<Utc>, i64);

struct Counter {
    gaps: HashMap<Place, Vec<Counted>>,
    /// From the first to the last digest known.
    known: HashMap<Place, (DateTime<Utc>, DateTime<Utc>)>,
    /// Unverified log files before and after.
    outside: BTreeMap<(Place, bool), Extent>,
}

async fn count(facts: &Facts, now: DateTime<Utc>) -> Result<Vec<Counted>> {
    let mut evidence = Evidence::default();
    evidence.extend(facts.digests(&Dates::all(), Listed::None).await?);
    let mut counter = Counter::new(&evidence);
    drop(evidence);
    for date in facts.dates().await? {
        counter.day(facts, date, now).await?;
    }
    Ok(counter.finish(now))
}

impl Counter {
    fn new(evidence: &Evidence) -> Self {
        let mut known: HashMap<Place, (DateTime<Utc>, DateTime<Utc>)> = HashMap::new();
        for trail in evidence.trails() {
            let place = (trail.root.clone(), trail.account.clone(), trail.region.clone());
            for segment in trail.segments.iter().filter(|segment| segment.start > DateTime::<Utc>::MIN_UTC) {
                let (first, last) = known.entry(place.clone()).or_insert((segment.start, segment.end));
                (*first, *last) = (segment.start.min(*first), segment.end.max(*last));
            }
        }
        let mut by_place: HashMap<Place, Vec<Counted>> = HashMap::new();
        for gap in gaps(evidence) {
            let place = (gap.location.clone(), gap.account.clone(), gap.region.clone());
            by_place.entry(place).or_default().push(Counted { gap, log_files: 0, unverified: 0 });
        }
        Self { gaps: by_place, known, outside: BTreeMap::new() }
    }

    /// Counts the log files of a date. Only where some lie in gaps is it asked which are verified.
    async fn day(&mut self, facts: &Facts, date: NaiveDate, now: DateTime<Utc>) -> Result<()> {
        let dates = Dates::of([date..=date]);
        let concerned = |file: &LogFileFact| {
            place_of(&file.log_file).is_some_and(|(place, time)| self.is_concerned(&place, time))
        };
        if !facts.log_files(&dates).await?.iter().any(concerned) {
            return Ok(());
        }
        let case = Case::load(facts, &dates, now).await?;
        for (file, verdict, _) in case.judge(now) {
            let Some((place, time)) = place_of(&file.log_file) else { continue };
            self.add(place, time, verdict.state() != State::Verified);
        }
        Ok(())
    }

    fn is_concerned(&self, place: &Place, time: DateTime<Utc>) -> bool {
        let in_gap = |row: &Counted| row.gap.from <= time && time < row.gap.to;
        !self.is_known(place, time) || self.gaps.get(place).is_some_and(|gaps| gaps.iter().any(in_gap))
    }

    fn is_known(&self, place: &Place, time: DateTime<Utc>) -> bool {
        self.known.get(place).is_some_and(|(first, last)| *first <= time && time < *last)
    }

    fn add(&mut self, place: Place, time: DateTime<Utc>, unverified: bool) {
        let gaps = self.gaps.get_mut(&place).into_iter().flatten();
        for row in gaps.filter(|row| row.gap.from <= time && time < row.gap.to) {
            row.log_files += 1;
            row.unverified += i64::from(unverified);
        }
        if unverified && !self.is_known(&place, time) {
            let after = self.known.get(&place).is_none_or(|(_, last)| time >= *last);
            let (first, last, files) = self.outside.entry((place, after)).or_insert((time, time, 0));
            (*first, *last) = (time.min(*first), time.max(*last));
            *files += 1;
        }
    }

    fn finish(self, now: DateTime<Utc>) -> Vec<Counted> {
        let Self { gaps, known, outside } = self;
        let mut rows: Vec<Counted> = gaps.into_values().flatten().collect();
        for ((place, after), (first, last, files)) in outside {
            let hour = |time: DateTime<Utc>| time.duration_trunc(HOUR).unwrap_or(time);
            let (from, to) = (hour(first), hour(last) + TimeDelta::hours(1));
            let (from, to) = match known.get(&place) {
                Some((_, end)) if after => (*end, to.max(*end)),
                Some((start, _)) => (from.min(*start), *start),
                None => (from, to),
            };
            let (location, account, region) = place;
            let gap = Gap { account, region, trail: None, location, from, to, why: beyond(last, now) };
            rows.push(Counted { gap, log_files: files, unverified: files });
        }
        rows.sort_by(|a, b| a.gap.cmp(&b.gap));
        rows
    }
}

fn place_of(log_file: &str) -> Option<(Place, DateTime<Utc>)> {
    let key = LogKey::parse(log_file).or_else(|| LogKey::from_file_name(log_file))?;
    Some(((key.prefix, key.account_id, key.region), key.time))
}
