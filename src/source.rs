//! Sources: what people name on the command line, to the log files that it stands for.
//!
//! A source is a file, a directory, a glob, or `s3://bucket/prefix`. Log files are told by their
//! names; a file that is named itself, or by a glob, is taken whatever it is called. The listing
//! is handed on as it goes: it may be of millions of objects.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use tokio::sync::mpsc::Sender;

use crate::object::{DigestKey, LogKey, ObjectKind, ObjectRef};
use crate::store::{Listed, S3};

/// A log file to be read.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where its bytes are.
    pub place: Place,
    /// What its rows call it: `s3://bucket/key`, or the absolute path.
    pub log_file: String,
    /// Stored bytes, as the listing says.
    pub size: u64,
    /// The entity tag, as the listing says.
    pub etag: Option<String>,
    /// What its name says.
    pub key: Option<LogKey>,
}

/// A digest that was met.
#[derive(Debug, Clone)]
pub struct FoundDigest {
    /// Where its bytes are.
    pub place: Place,
    /// Its address; of a local copy that of the object that it is a copy of, if that is known.
    pub object: Option<ObjectRef>,
    /// What its key says.
    pub key: DigestKey,
}

/// Where bytes are.
#[derive(Debug, Clone)]
pub enum Place {
    /// A file of this machine.
    Local(PathBuf),
    /// An object.
    S3(ObjectRef),
}

/// Which log files are wanted, by what their keys say. Empty means all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The first date of the key.
    pub from: Option<NaiveDate>,
    /// The last date of the key, included.
    pub to: Option<NaiveDate>,
    /// Accounts.
    pub accounts: Vec<String>,
    /// Regions.
    pub regions: Vec<String>,
}

/// What a listing met and left out, by kind.
#[derive(Debug, Default)]
pub struct Ignored {
    /// Digest files.
    pub digests: AtomicU64,
    /// Log files that the filter excludes.
    pub filtered: AtomicU64,
    /// Objects that are no CloudTrail log files by their names.
    pub others: AtomicU64,
}

impl Filter {
    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.accounts.is_empty() && self.regions.is_empty()
    }

    /// Whether a log file is wanted.
    pub(crate) fn takes(&self, key: &LogKey) -> bool {
        self.from.is_none_or(|from| key.date >= from)
            && self.to.is_none_or(|to| key.date <= to)
            && (self.accounts.is_empty() || self.accounts.contains(&key.account_id))
            && (self.regions.is_empty() || self.regions.contains(&key.region))
    }

    /// Whether a digest may list log files that are wanted: the last of a day are listed on the next.
    pub(crate) fn takes_digest(&self, key: &DigestKey) -> bool {
        let end = key.end_time.date_naive();
        self.from.is_none_or(|from| end >= from)
            && self.to.is_none_or(|to| end <= next_day(to))
            && (self.accounts.is_empty() || self.accounts.contains(&key.account_id))
            && (self.regions.is_empty() || self.regions.contains(&key.region))
    }

    /// Whether log files that are wanted may lie below this folder, or digests that are. Folders say the
    /// account after `AWSLogs/`, then the tree, the region, the year, month and day.
    fn may_hold(&self, folder: &str, digests: bool) -> bool {
        let mut parts = folder.split('/').skip_while(|part| *part != "AWSLogs").skip(1).peekable();
        parts.next_if(|part| part.starts_with("o-"));
        let mut given = parts.filter(|part| !part.is_empty());
        let (account, tree, region) = (given.next(), given.next(), given.next());
        let unwanted = |wanted: &[String], part: Option<&str>| {
            part.is_some_and(|part| !wanted.is_empty() && !wanted.iter().any(|one| one == part))
        };
        if unwanted(&self.accounts, account) || unwanted(&self.regions, region) {
            return false;
        }
        let of_digests = tree == Some("CloudTrail-Digest");
        if (of_digests && !digests) || tree.is_some_and(|tree| !tree.starts_with("CloudTrail")) {
            return false;
        }
        let to = if of_digests { self.to.map(next_day) } else { self.to };
        self.may_hold_dates(&given.collect::<Vec<_>>(), to)
    }

    fn may_hold_dates(&self, date: &[&str], to: Option<NaiveDate>) -> bool {
        let number = |at: usize, default: u32| date.get(at).map_or(Some(default), |part| part.parse().ok());
        let Some(year) = date.first().and_then(|year| year.parse::<i32>().ok()) else { return true };
        let day = |month, day| NaiveDate::from_ymd_opt(year, month, day);
        let (Some(first_month), Some(first_day)) = (number(1, 1), number(2, 1)) else { return true };
        let first = day(first_month, first_day);
        let last = match date.len() {
            1 => day(12, 31),
            2 => first.and_then(|first| first.checked_add_months(chrono::Months::new(1))),
            _ => first,
        };
        let (Some(first), Some(last)) = (first, last) else { return true };
        self.from.is_none_or(|from| last >= from) && to.is_none_or(|to| first <= to)
    }
}

fn next_day(date: NaiveDate) -> NaiveDate {
    date.succ_opt().unwrap_or(date)
}

/// Says which of `sources` cannot be: a local one where nothing is, or a bucket without a name.
pub fn check(sources: &[String]) -> Result<()> {
    for source in sources {
        match source.strip_prefix("s3://") {
            Some(rest) => drop(bucket_and_prefix(rest)?),
            None if local_path(source).exists() => {}
            None if glob::glob(source).is_ok_and(|mut paths| paths.next().is_some()) => {}
            None => return Err(nothing_there(source)),
        }
    }
    Ok(())
}

fn nothing_there(source: &str) -> anyhow::Error {
    anyhow::anyhow!("{source}: no such file or directory, and no file matches it as a pattern")
}

fn local_path(source: &str) -> &Path {
    Path::new(source.strip_prefix("file://").unwrap_or(source))
}

fn bucket_and_prefix(rest: &str) -> Result<(&str, &str)> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        bail!("s3://{rest} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX");
    }
    Ok((bucket, prefix))
}

/// Lists `sources` into `found`, in order, and the digests met into `digests`; without that they are only
/// counted. Stops without an error when nobody listens any more.
pub async fn list(
    sources: &[String],
    rename: Option<&str>,
    filter: &Filter,
    store: &S3,
    ignored: &Arc<Ignored>,
    found: Sender<Candidate>,
    digests: Option<Sender<FoundDigest>>,
) -> Result<()> {
    for source in sources {
        let lister = Lister { rename, filter, ignored, found: &found, digests: digests.as_ref() };
        match source.strip_prefix("s3://") {
            Some(rest) => lister.bucket(store, rest).await?,
            None => lister.local(source).await?,
        }
    }
    Ok(())
}

struct Lister<'a> {
    rename: Option<&'a str>,
    filter: &'a Filter,
    ignored: &'a Arc<Ignored>,
    found: &'a Sender<Candidate>,
    digests: Option<&'a Sender<FoundDigest>>,
}

/// What a name says.
enum Wanted {
    Log(LogKey),
    Digest(DigestKey),
    Nothing,
}

impl Lister<'_> {
    async fn bucket(&self, store: &S3, rest: &str) -> Result<()> {
        let (bucket, prefix) = bucket_and_prefix(rest)?;
        if self.filter.is_empty() {
            return self.level(store, bucket, prefix, false).await.map(drop);
        }
        // With a filter, whole folders can be left out without listing what is in them.
        let mut open = vec![prefix.to_owned()];
        while let Some(folder) = open.pop() {
            let mut below = self.level(store, bucket, &folder, true).await?;
            below.reverse();
            open.extend(below.into_iter().filter(|folder| self.may_hold(folder)));
        }
        Ok(())
    }

    /// Lists one prefix; returns the folders below it, if only this level was asked for.
    async fn level(&self, store: &S3, bucket: &str, prefix: &str, delimiter: bool) -> Result<Vec<String>> {
        let mut folders = Vec::new();
        let mut pages = store.list(bucket, prefix, delimiter).await?;
        while let Some(page) = pages.next().await? {
            folders.extend(page.folders);
            for object in page.objects {
                self.object(bucket, object).await;
            }
            if self.found.is_closed() {
                break;
            }
        }
        Ok(folders)
    }

    fn may_hold(&self, folder: &str) -> bool {
        self.filter.may_hold(folder, self.digests.is_some())
    }

    async fn object(&self, bucket: &str, listed: Listed) {
        let wanted = self.wanted(&listed.key);
        let object = ObjectRef::new(bucket, listed.key);
        let address = match self.rename {
            None => object.uri(),
            Some(base) => format!("{}/{}", base.trim_end_matches('/'), object.key),
        };
        match wanted {
            Wanted::Log(key) => {
                self.send(Candidate {
                    place: Place::S3(object),
                    log_file: address,
                    size: listed.size,
                    etag: listed.etag,
                    key: Some(key),
                })
                .await;
            }
            Wanted::Digest(key) => self.send_digest(Place::S3(object), &address, key).await,
            Wanted::Nothing => {}
        }
    }

    /// What the key says, if it is that of a log file or a digest that is wanted; else counts why not.
    fn wanted(&self, key: &str) -> Wanted {
        let count = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
            Wanted::Nothing
        };
        match ObjectKind::of(key) {
            ObjectKind::Log(key) if self.filter.takes(&key) => Wanted::Log(key),
            ObjectKind::Log(_) => count(&self.ignored.filtered),
            ObjectKind::Digest(key) if self.digests.is_some() && self.filter.takes_digest(&key) => {
                Wanted::Digest(key)
            }
            ObjectKind::Digest(_) => count(&self.ignored.digests),
            ObjectKind::Folder => Wanted::Nothing,
            ObjectKind::Other => match LogKey::from_file_name(key) {
                Some(key) if self.filter.takes(&key) => Wanted::Log(key),
                Some(_) => count(&self.ignored.filtered),
                None => count(&self.ignored.others),
            },
        }
    }

    async fn local(&self, source: &str) -> Result<()> {
        let path = local_path(source);
        if path.is_dir() {
            let root = path.canonicalize().with_context(|| format!("opening {source}"))?;
            return self.directory(&root).await;
        }
        if path.exists() {
            return self.named_file(path).await;
        }
        let pattern =
            glob::glob(source).with_context(|| format!("{source} is no file, and no pattern either"))?;
        let mut matches = 0u64;
        for path in pattern {
            let path = path.with_context(|| format!("matching {source}"))?;
            matches += 1;
            if path.is_dir() {
                self.directory(&path.canonicalize()?).await?;
            } else {
                self.named_file(&path).await?;
            }
        }
        if matches == 0 {
            return Err(nothing_there(source));
        }
        Ok(())
    }

    /// Walks a directory in the order of names; links to directories are not followed.
    async fn directory(&self, root: &Path) -> Result<()> {
        let mut open = vec![root.to_path_buf()];
        while let Some(directory) = open.pop() {
            let reading = || format!("reading the directory {}", directory.display());
            let entries = std::fs::read_dir(&directory).with_context(reading)?;
            let mut entries = entries.collect::<std::io::Result<Vec<_>>>().with_context(reading)?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            let mut folders = Vec::new();
            for entry in entries {
                let path = entry.path();
                if entry.file_type().with_context(reading)?.is_dir() {
                    if self.filter.is_empty() || self.may_hold(&path.to_string_lossy()) {
                        folders.push(path);
                    }
                } else if path.is_file() || !path.exists() {
                    // A link that leads nowhere is no file, but its name may promise one.
                    self.walked_file(root, path).await?;
                }
            }
            open.extend(folders.into_iter().rev());
            if self.found.is_closed() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn walked_file(&self, root: &Path, path: PathBuf) -> Result<()> {
        let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        match self.wanted(&path.to_string_lossy()) {
            Wanted::Log(key) => self.file(path, &relative, Some(key)).await,
            Wanted::Digest(key) => {
                self.local_digest(path, &relative, key).await;
                Ok(())
            }
            Wanted::Nothing => Ok(()),
        }
    }

    /// A file that was named: taken whatever it is called, unless the filter knows better.
    async fn named_file(&self, path: &Path) -> Result<()> {
        let path = path.canonicalize().with_context(|| format!("opening {}", path.display()))?;
        let name = path.to_string_lossy().into_owned();
        let start = name.rfind("AWSLogs/").or_else(|| name.rfind('/').map(|slash| slash + 1));
        let relative = &name[start.unwrap_or(0)..];
        if let (Some(key), Some(_)) = (DigestKey::parse(&name), self.digests) {
            if self.filter.takes_digest(&key) {
                self.local_digest(path, relative, key).await;
            }
            return Ok(());
        }
        let key = LogKey::parse(&name).or_else(|| LogKey::from_file_name(&name));
        if key.as_ref().is_some_and(|key| !self.filter.takes(key)) {
            self.ignored.filtered.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        self.file(path, relative, key).await
    }

    async fn local_digest(&self, path: PathBuf, relative: &str, key: DigestKey) {
        let address = self.rename.map(|base| format!("{}/{relative}", base.trim_end_matches('/')));
        self.send_digest(Place::Local(path), address.as_deref().unwrap_or_default(), key).await;
    }

    async fn send_digest(&self, place: Place, address: &str, key: DigestKey) {
        let Some(digests) = self.digests else { return };
        let _ = digests.send(FoundDigest { place, object: ObjectRef::from_uri(address), key }).await;
    }

    async fn file(&self, path: PathBuf, relative: &str, key: Option<LogKey>) -> Result<()> {
        // What can't be looked at can't be read either, and whoever reads it will say why.
        let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let log_file = match self.rename {
            None => path.to_string_lossy().into_owned(),
            Some(base) => format!("{}/{relative}", base.trim_end_matches('/')),
        };
        self.send(Candidate { place: Place::Local(path), log_file, size, etag: None, key }).await;
        Ok(())
    }

    async fn send(&self, candidate: Candidate) {
        // Nobody listens any more when the run is being stopped; the listing ends by itself then.
        let _ = self.found.send(candidate).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn folders_that_hold_nothing_wanted_are_not_entered() {
        let filter = Filter {
            from: Some(date("2026-01-30")),
            to: Some(date("2026-02-02")),
            accounts: vec!["111122223333".to_owned()],
            regions: vec!["eu-west-1".to_owned()],
        };
        let base = "pre fix/AWSLogs/o-abc/111122223333/";
        for (folder, enters) in [
            ("pre fix/", true),
            ("pre fix/AWSLogs/o-abc/", true),
            (base, true),
            ("pre fix/AWSLogs/o-abc/444455556666/", false),
            (&format!("{base}Config/"), false),
            (&format!("{base}CloudTrail-Digest/"), false),
            (&format!("{base}CloudTrail/eu-west-1/"), true),
            (&format!("{base}CloudTrail/us-east-1/"), false),
            (&format!("{base}CloudTrail/eu-west-1/2026/"), true),
            (&format!("{base}CloudTrail/eu-west-1/2025/"), false),
            (&format!("{base}CloudTrail/eu-west-1/2026/01/"), true),
            (&format!("{base}CloudTrail/eu-west-1/2026/03/"), false),
            (&format!("{base}CloudTrail-Insight/eu-west-1/2026/02/02/"), true),
            (&format!("{base}CloudTrail/eu-west-1/2026/02/03/"), false),
            (&format!("{base}CloudTrail/eu-west-1/2026/01/29/"), false),
        ] {
            assert_eq!(filter.may_hold(folder, false), enters, "{folder}");
        }
    }

    #[test]
    fn digests_of_the_day_after_the_last_are_wanted_too() {
        let filter = Filter { to: Some(date("2026-02-02")), ..Filter::default() };
        let base = "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/";
        for (folder, enters) in [("", true), ("2026/02/03/", true), ("2026/02/04/", false)] {
            assert_eq!(filter.may_hold(&format!("{base}{folder}"), true), enters, "{folder}");
            assert!(!filter.may_hold(&format!("{base}{folder}"), false), "{folder}");
        }
    }

    #[tokio::test]
    async fn a_directory_gives_its_log_files_and_counts_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let day = dir.path().join("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/05");
        std::fs::create_dir_all(&day).unwrap();
        let log = "111122223333_CloudTrail_eu-west-1_20260105T0810Z_kpaMYavMQA9Ahp7L.json.gz";
        std::fs::write(day.join(log), "x").unwrap();
        std::fs::write(dir.path().join("notes.txt"), "x").unwrap();
        std::fs::write(dir.path().join("public-keys.json"), "x").unwrap();
        let ignored = Arc::new(Ignored::default());
        let (sender, mut receiver) = tokio::sync::mpsc::channel(10);
        let sources = [dir.path().to_string_lossy().into_owned()];
        let (filter, store) = (Filter::default(), S3::new());
        list(&sources, Some("s3://logs"), &filter, &store, &ignored, sender, None).await.unwrap();
        let found = receiver.recv().await.unwrap();
        let key = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/05";
        assert_eq!(found.log_file, format!("s3://logs/{key}/{log}"));
        assert_eq!(found.key.unwrap().account_id, "111122223333");
        assert!(receiver.recv().await.is_none());
        assert_eq!(ignored.others.load(Ordering::Relaxed), 2);
    }
}
