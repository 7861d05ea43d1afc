//! Who looks after the lake: one at a time, by a lease that ends by itself.
//!
//! A lease is a small file beside the tables, created under the next free number; the highest number
//! counts. Creating is all that it asks of the store, so it works on a disk as in a bucket. It only spares
//! several daemons the same work: what they do is safe without, so a clock that is wrong does no harm.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use deltalake::logstore::object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path,
};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Lake;

/// Where leases lie, beside the tables.
const DIRECTORY: &str = "_upkeep";

/// How long a lease lasts that is not renewed.
const LASTS: Duration = Duration::from_mins(10);

/// What stands in the file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Term {
    holder: String,
    until: DateTime<Utc>,
    /// When the lake was last vacuumed by a holder of the lease.
    #[serde(default)]
    vacuumed_at: Option<DateTime<Utc>>,
}

/// The right to look after a lake, for some minutes.
#[derive(Debug)]
pub(crate) struct Lease {
    store: Arc<dyn ObjectStore>,
    directory: Path,
    number: u64,
    term: Term,
}

impl Lake {
    /// Takes the lease, unless somebody else has it.
    pub(crate) async fn lease(&self) -> Result<Option<Lease>> {
        let (store, _, place) = self.store()?;
        let directory = place.join(DIRECTORY);
        let newest = numbers(store.as_ref(), &directory).await?.into_iter().max();
        let now = Utc::now();
        let (number, last) = match newest {
            Some(number) => (number, read(store.as_ref(), &directory, number).await?),
            None => (0, Some(Term::default())),
        };
        // One that cannot be read has just been replaced.
        let Some(last) = last.filter(|last| last.until <= now) else { return Ok(None) };
        let holder = self.inner.writer.name().to_owned();
        let mut lease = Lease { store, directory, number, term: Term { holder, ..last } };
        Ok(lease.renew().await?.then_some(lease))
    }
}

impl Lease {
    /// Prolongs it. False if somebody else has it now.
    pub(crate) async fn renew(&mut self) -> Result<bool> {
        self.term.until = Utc::now() + TimeDelta::from_std(LASTS)?;
        self.write().await
    }

    /// The same while more than half of it is left costs nothing.
    pub(crate) async fn keep(&mut self) -> Result<bool> {
        if self.term.until - Utc::now() > TimeDelta::from_std(LASTS / 2)? {
            return Ok(true);
        }
        self.renew().await
    }

    /// When the lake was last vacuumed under this lease or one before it.
    pub(crate) fn vacuumed_at(&self) -> Option<DateTime<Utc>> {
        self.term.vacuumed_at
    }

    /// Notes that it was vacuumed now.
    pub(crate) fn vacuumed(&mut self) {
        self.term.vacuumed_at = Some(Utc::now());
    }

    /// Gives it back.
    pub(crate) async fn release(mut self) -> Result<()> {
        self.term.until = Utc::now();
        self.write().await.map(drop)
    }

    async fn write(&mut self) -> Result<bool> {
        let next = self.number + 1;
        let path = path(&self.directory, next);
        let body = serde_json::to_vec(&self.term)?;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&path, body.into(), create).await {
            Ok(_) => {}
            Err(StoreError::AlreadyExists { .. }) => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("writing the lease {path}")),
        }
        let numbers = numbers(self.store.as_ref(), &self.directory).await?;
        // Who was slow may have created a number that was used and deleted long ago.
        let is_newest = numbers.iter().all(|number| *number <= next);
        for number in numbers.into_iter().filter(|number| *number < next || !is_newest && *number == next) {
            self.delete(number).await;
        }
        self.number = next;
        Ok(is_newest)
    }

    async fn delete(&self, number: u64) {
        let path = path(&self.directory, number);
        match self.store.delete(&path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => {}
            Err(error) => warn!(%path, %error, "could not delete an old lease"),
        }
    }
}

fn path(directory: &Path, number: u64) -> Path {
    directory.clone().join(format!("{number:020}.json"))
}

async fn numbers(store: &dyn ObjectStore, directory: &Path) -> Result<Vec<u64>> {
    let listed: Vec<_> = store.list(Some(directory)).try_collect().await.context("listing leases")?;
    let number = |path: &Path| path.filename()?.strip_suffix(".json")?.parse().ok();
    Ok(listed.iter().filter_map(|file| number(&file.location)).collect())
}

async fn read(store: &dyn ObjectStore, directory: &Path, number: u64) -> Result<Option<Term>> {
    let path = path(directory, number);
    let bytes = match store.get(&path).await {
        Ok(found) => found.bytes().await.with_context(|| format!("reading the lease {path}"))?,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading the lease {path}")),
    };
    // What is no lease is none that holds.
    Ok(Some(serde_json::from_slice(&bytes).unwrap_or_default()))
}
