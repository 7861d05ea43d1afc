//! The daemon's own pipeline in a world that is against it: duplicates, disorder, expiry, stale receipts,
//! lost answers, cut bodies, 500 and 503, slowness, clocks that jump, and daemons that die.
//!
//! Whatever happens, what is in the lake in the end is what was in the bucket, each record once, and every
//! message is accounted for. `TRAILQ_TEST_SEED=17` runs one seed, `TRAILQ_TEST_SEEDS=2000` so many.

mod chance;
mod source;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;
use fastrand::Rng;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use trailq::daemon::{Daemon, Options};
use trailq::lake::Lake;
use trailq::metrics::{Health, Metrics, Totals};

use self::source::{BUCKET, Place, Source};
use self::world::{Badness, Eye, World};

/// How long the seeds of an ordinary run may take together.
const ORDINARY_TIME: Duration = Duration::from_secs(40);
/// How long one seed may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// Seeds at once: most of the time is waiting.
const AT_ONCE: usize = 6;

#[test]
fn whatever_goes_wrong_each_record_is_in_the_lake_once_and_each_message_accounted_for() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let (only, many) = (number("TRAILQ_TEST_SEED"), number("TRAILQ_TEST_SEEDS"));
    let seeds = match (only, many) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(many)) => 0..many,
        (None, None) => 0..1000,
    };
    let deadline = (only.is_none() && many.is_none()).then(|| Instant::now() + ORDINARY_TIME);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let (done, failures) = runtime.block_on(run(seeds, deadline));
    runtime.shutdown_background();
    eprintln!("{done} seeds");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(done >= 5 || only.is_some(), "only {done} seeds in {ORDINARY_TIME:?}");
}

#[test]
fn a_world_that_loses_messages_is_found_out() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let found_out = runtime.block_on(async {
        for seed in 0..10 {
            if let Err(error) = simulate(seed, 20).await {
                assert!(format!("{error:#}").starts_with("not in the lake"), "{error:#}");
                return true;
            }
        }
        false
    });
    runtime.shutdown_background();
    assert!(found_out, "one message of five is lost, and nobody notices");
}

/// Runs seeds until they end, time is over, or three have failed.
async fn run(mut seeds: std::ops::Range<u64>, deadline: Option<Instant>) -> (u64, Vec<String>) {
    let (mut done, mut failures, mut running) = (0, Vec::new(), JoinSet::new());
    loop {
        while running.len() < AT_ONCE
            && failures.len() < 3
            && deadline.is_none_or(|deadline| Instant::now() < deadline)
        {
            let Some(seed) = seeds.next() else { break };
            running.spawn(async move { (seed, simulate(seed, 0).await) });
        }
        let Some(ended) = running.join_next().await else { return (done, failures) };
        done += 1;
        if done % 100 == 0 {
            eprintln!("{done} seeds, {} failed", failures.len());
        }
        match ended {
            Ok((_, Ok(()))) => {}
            Ok((seed, Err(error))) => failures.push(format!(
                "seed {seed}: {error:#}\nagain: TRAILQ_TEST_SEED={seed} cargo test --release --test it -- simulation"
            )),
            Err(panicked) => failures.push(format!("{panicked}")),
        }
    }
}

/// One world, from the first message to the last.
async fn simulate(seed: u64, vanishing: u64) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    let source = Source::new(&mut rng);
    let badness = Badness {
        faults: *rng.choice(&[0, 5, 10, 20]).unwrap(),
        slow: *rng.choice(&[0, 20, 50]).unwrap(),
        delay: Duration::from_millis(rng.u64(5..60)),
        vanishing,
    };
    let visibility = Duration::from_millis(rng.u64(100..400));
    let world = Arc::new(World::new(seed, &source, badness, visibility));
    let _clock = AbortOnDropHandle::new(tokio::spawn(world.clone().keep_time()));
    let folder = tempfile::tempdir()?;
    let lake = folder.path().join("lake").to_str().context("a path")?.to_owned();
    let mut daemons = Daemons { world: world.clone(), lake: lake.clone(), visibility, running: Vec::new() };
    for _ in 0..rng.usize(1..3) {
        daemons.start(&mut rng).await?;
    }
    let started = Instant::now();
    let mut misfortunes = rng.usize(0..4);
    while world.open_messages() > 0 {
        let left = || format!("{} messages left of {}", world.open_messages(), source.messages.len());
        ensure!(started.elapsed() < PATIENCE, "not done after {PATIENCE:?}: {}", left());
        sleep(Duration::from_millis(rng.u64(10..150))).await;
        if misfortunes > 0 {
            misfortunes -= 1;
            match rng.u32(..4) {
                0 => world.queue().jump(visibility * rng.u32(1..4)),
                1 => daemons.stop(&mut rng).await?,
                _ => daemons.kill(&mut rng),
            }
        }
        if daemons.running.is_empty() {
            daemons.start(&mut rng).await?;
        }
    }
    while !daemons.running.is_empty() {
        daemons.stop(&mut rng).await?;
    }
    let foreign = world.foreign_messages();
    ensure!(foreign == source.foreign.len(), "{foreign} foreign messages of {}", source.foreign.len());
    check(&lake, &source).await
}

/// Daemons, each with a lake of its own opening, as if they were processes of their own.
struct Daemons {
    world: Arc<World>,
    lake: String,
    visibility: Duration,
    running: Vec<Running>,
}

struct Running {
    task: JoinHandle<Result<Totals>>,
    stop: CancellationToken,
    dead: Arc<AtomicBool>,
}

impl Daemons {
    async fn start(&mut self, rng: &mut Rng) -> Result<()> {
        let dead = Arc::new(AtomicBool::new(false));
        let eye = Arc::new(Eye { world: self.world.clone(), dead: dead.clone() });
        let options = Options {
            buckets: [BUCKET.to_owned()].into(),
            receivers: rng.usize(1..3),
            visibility_timeout: self.visibility,
            max_in_hand: rng.usize(10..60),
            requests: rng.usize(1..8),
            threads: 1,
            batch_age: Duration::from_millis(rng.u64(5..100)),
            retry_after: Duration::from_millis(20),
            retry_after_max: Duration::from_millis(200),
            // Either some time for an orderly end, or none: then all goes back.
            shutdown_grace: Duration::from_secs(if rng.bool() { 20 } else { 3 }),
            ..Options::default()
        };
        let daemon = Daemon {
            queues: vec![eye.clone()],
            objects: eye,
            lake: Lake::open_or_create(&self.lake).await.context("opening the lake")?,
            checker: None,
            options,
            metrics: Arc::new(Metrics::new()),
            health: Arc::new(Health::default()),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(daemon.run(stop.clone()));
        self.running.push(Running { task, stop, dead });
        Ok(())
    }

    /// Ends one as a signal would; it must say that its sums are right.
    async fn stop(&mut self, rng: &mut Rng) -> Result<()> {
        if self.running.is_empty() {
            return Ok(());
        }
        let Running { task, stop, dead } = self.running.swap_remove(rng.usize(..self.running.len()));
        stop.cancel();
        let totals = tokio::time::timeout(PATIENCE, task).await.context("did not stop")???;
        dead.store(true, Ordering::SeqCst);
        if let Some(imbalance) = totals.imbalance() {
            anyhow::bail!("after an orderly end: {imbalance}; {totals:?}");
        }
        // Where requests fail, the time for handing back may be over before all have been tried again.
        ensure!(!self.world.is_good() || totals.in_flight == 0, "in hand after an orderly end: {totals:?}");
        Ok(())
    }

    /// Ends one at once, wherever it is.
    fn kill(&mut self, rng: &mut Rng) {
        if self.running.is_empty() {
            return;
        }
        let Running { task, dead, .. } = self.running.swap_remove(rng.usize(..self.running.len()));
        dead.store(true, Ordering::SeqCst);
        task.abort();
    }
}

/// Compares the lake with the source.
async fn check(location: &str, source: &Source) -> Result<()> {
    let lake = Lake::open(location).await?;
    let context = SessionContext::new();
    lake.register_object_store(&context)?;
    context.register_table("events", lake.events().await?)?;
    context.register_table("log_files", lake.log_files().await?)?;
    context.register_table("quarantine", lake.quarantine().await?)?;
    let mut places = BTreeSet::new();
    let found = strings(&context, "SELECT log_file, eventid, record_index FROM events").await?;
    let rows = found.len();
    for (row, index) in found {
        let place: Place = (row[0].clone(), index, row[1].clone());
        ensure!(places.insert(place.clone()), "twice in the lake: {place:?}");
    }
    let missing: Vec<&Place> = source.places.difference(&places).collect();
    ensure!(missing.is_empty(), "not in the lake: {missing:?}");
    ensure!(rows == source.places.len(), "{rows} rows, not {}", source.places.len());
    let ledger = strings(&context, "SELECT log_file, status, 0 FROM log_files").await?;
    let told: BTreeMap<String, String> =
        ledger.iter().map(|(row, _)| (row[0].clone(), row[1].clone())).collect();
    ensure!(told.len() == ledger.len(), "a log file is twice in the ledger: {ledger:?}");
    let expected = source.stored.iter().map(|log_file| (log_file.clone(), "committed".to_owned()));
    let set_aside = source.set_aside.keys().map(|log_file| (log_file.clone(), "quarantined".to_owned()));
    let expected: BTreeMap<String, String> = expected.chain(set_aside).collect();
    ensure!(told == expected, "the ledger says {told:?}, and should say {expected:?}");
    let sql = "SELECT log_file, reason, 0 FROM quarantine WHERE record_index IS NULL";
    let quarantined = strings(&context, sql).await?;
    let told: BTreeMap<String, &str> =
        quarantined.iter().map(|(row, _)| (row[0].clone(), row[1].as_str())).collect();
    ensure!(told.len() == quarantined.len(), "twice in quarantine: {quarantined:?}");
    ensure!(told == source.set_aside, "in quarantine {told:?}, should be {:?}", source.set_aside);
    Ok(())
}

/// Rows of two texts and a number.
async fn strings(context: &SessionContext, sql: &str) -> Result<Vec<(Vec<String>, i64)>> {
    let sql = format!(
        "SELECT arrow_cast(a, 'Utf8') AS a, arrow_cast(b, 'Utf8') AS b, CAST(c AS BIGINT) AS c FROM ({sql}) AS t(a, b, c)"
    );
    let mut rows = Vec::new();
    for batch in context.sql(&sql).await?.collect().await? {
        let text = |column: usize, row| batch.column(column).as_string::<i32>().value(row).to_owned();
        let numbers = batch.column(2).as_primitive::<Int64Type>();
        rows.extend((0..numbers.len()).map(|row| (vec![text(0, row), text(1, row)], numbers.value(row))));
    }
    Ok(rows)
}
