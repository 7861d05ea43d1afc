//! What a bucket key says: which account, region, day and minute a log file or digest is of.
//!
//! Keys are read from the end, since any text may stand before `AWSLogs/`, and so a path on disk whose
//! tail is such a key reads like the key itself. Nothing here fetches, and nothing here trusts a key as a
//! path.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// An object in a bucket, in one of its versions if the version is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Name of the bucket.
    pub bucket: String,
    /// Key of the object, not URL-encoded.
    pub key: String,
    /// Version of the object, in a bucket with versioning.
    pub version_id: Option<String>,
}

impl ObjectRef {
    /// Names an object without a version.
    pub fn new(bucket: impl Into<String>, key: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), key: key.into(), version_id: None }
    }

    /// Reads such an address as [`Self::uri`] writes; `None` if it is none of S3.
    pub fn from_uri(uri: &str) -> Option<Self> {
        let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
        (!bucket.is_empty() && !key.is_empty()).then(|| Self::new(bucket, key))
    }

    /// Returns the address that people paste, `s3://bucket/key`.
    pub fn uri(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

/// The tree below `AWSLogs/<account>/` that a log file lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tree {
    /// Management and data events.
    CloudTrail,
    /// Insights.
    Insight,
    /// VPC endpoint events.
    NetworkActivity,
    /// Summaries of data events.
    Aggregated,
}

impl Tree {
    /// All trees, the usual one first.
    pub const ALL: [Self; 4] = [Self::CloudTrail, Self::Insight, Self::NetworkActivity, Self::Aggregated];

    /// Returns the name of the folder, which is part of the file names too.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::CloudTrail => "CloudTrail",
            Self::Insight => "CloudTrail-Insight",
            Self::NetworkActivity => "CloudTrail-NetworkActivity",
            Self::Aggregated => "CloudTrail-Aggregated",
        }
    }

    fn of_folder(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tree| tree.folder() == name)
    }
}

/// What the key of a log file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// Everything before `AWSLogs/`, without the slash; empty if there is nothing.
    pub prefix: String,
    /// The organization, `o-…`, of an organization trail.
    pub organization_id: Option<String>,
    /// The account whose events these are.
    pub account_id: String,
    /// The tree that the file lies in.
    pub tree: Tree,
    /// The region in the path; records inside may name another.
    pub region: String,
    /// The day of the folder.
    pub date: NaiveDate,
    /// The minute in the file's name, about when CloudTrail wrote it.
    pub time: DateTime<Utc>,
}

impl LogKey {
    /// Reads a key, or a path on disk whose tail is one; `None` if it is not a log file's.
    pub fn parse(key: &str) -> Option<Self> {
        let place = Place::parse(key)?;
        let tree = Tree::of_folder(place.folder)?;
        let name = LogName::parse(place.file_name)?;
        if name.account_id != place.account_id || name.tree != tree || name.region != place.region {
            return None;
        }
        Some(Self {
            prefix: place.prefix.to_owned(),
            organization_id: place.organization_id.map(str::to_owned),
            account_id: place.account_id.to_owned(),
            tree,
            region: place.region.to_owned(),
            date: place.date,
            time: name.time,
        })
    }

    /// Reads a file name alone, `<account>_CloudTrail_<region>_<time>_<unique>.json.gz`, for folders into
    /// which somebody copied log files without their tree. Whatever stands before the last `/` is ignored.
    pub fn from_file_name(path: &str) -> Option<Self> {
        let name = LogName::parse(path.rsplit('/').next()?)?;
        Some(Self {
            prefix: String::new(),
            organization_id: None,
            account_id: name.account_id.to_owned(),
            tree: name.tree,
            region: name.region.to_owned(),
            date: name.time.date_naive(),
            time: name.time,
        })
    }
}

/// What the key of a digest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestKey {
    /// Everything before `AWSLogs/`, without the slash; empty if there is nothing.
    pub prefix: String,
    /// The organization, `o-…`, of an organization trail.
    pub organization_id: Option<String>,
    /// The account whose log files the digest lists.
    pub account_id: String,
    /// The region whose log files the digest lists.
    pub region: String,
    /// Name of the trail; it may contain underscores.
    pub trail: String,
    /// The trail's home region.
    pub home_region: String,
    /// The end of the hour that the digest covers.
    pub end_time: DateTime<Utc>,
    /// Whether the digest lists files that an earlier one missed.
    pub backfill: bool,
}

impl DigestKey {
    /// Reads a key, or a path on disk whose tail is one; `None` if it is not a digest's.
    pub fn parse(key: &str) -> Option<Self> {
        let place = Place::parse(key)?;
        if place.folder != DIGEST_FOLDER {
            return None;
        }
        let stem =
            place.file_name.strip_suffix(".json.gz").or_else(|| place.file_name.strip_suffix(".json"))?;
        let (stem, backfill) = match stem.strip_suffix("_backfill") {
            Some(stem) => (stem, true),
            None => (stem, false),
        };
        // The trail's name may hold underscores, so it is what the known ends leave over.
        let rest = stem.strip_prefix(place.account_id)?.strip_prefix("_CloudTrail-Digest_")?;
        let rest = rest.strip_prefix(place.region)?.strip_prefix('_')?;
        let (rest, time) = rest.rsplit_once('_')?;
        let (trail, home_region) = rest.rsplit_once('_')?;
        if trail.is_empty() || !is_region(home_region) {
            return None;
        }
        Some(Self {
            prefix: place.prefix.to_owned(),
            organization_id: place.organization_id.map(str::to_owned),
            account_id: place.account_id.to_owned(),
            region: place.region.to_owned(),
            trail: trail.to_owned(),
            home_region: home_region.to_owned(),
            end_time: parse_time(time, "%Y%m%dT%H%M%SZ", 16)?,
            backfill,
        })
    }
}

/// What an object is, judged by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectKind {
    /// A log file.
    Log(LogKey),
    /// A digest.
    Digest(DigestKey),
    /// The empty object that stands for a folder in the S3 console.
    Folder,
    /// Something else: other services log below `AWSLogs/` too.
    Other,
}

impl ObjectKind {
    /// Judges a key.
    pub fn of(key: &str) -> Self {
        if key.is_empty() || key.ends_with('/') {
            return Self::Folder;
        }
        if let Some(log) = LogKey::parse(key) {
            return Self::Log(log);
        }
        DigestKey::parse(key).map_or(Self::Other, Self::Digest)
    }
}

const DIGEST_FOLDER: &str = "CloudTrail-Digest";

/// `[prefix/]AWSLogs/[o-…/]<account>/<folder>/<region>/YYYY/MM/DD/<file name>`.
struct Place<'a> {
    prefix: &'a str,
    organization_id: Option<&'a str>,
    account_id: &'a str,
    folder: &'a str,
    region: &'a str,
    date: NaiveDate,
    file_name: &'a str,
}

impl<'a> Place<'a> {
    fn parse(key: &'a str) -> Option<Self> {
        let (prefix, tail) = split_at_aws_logs(key)?;
        let mut parts: Vec<&str> = tail.split('/').collect();
        let organization_id = parts.first().copied().filter(|part| is_organization_id(part));
        if organization_id.is_some() {
            parts.remove(0);
        }
        let [account_id, folder, region, year, month, day, file_name] = parts[..] else { return None };
        if !is_account_id(account_id) || !is_region(region) {
            return None;
        }
        let date = parse_date(year, month, day)?;
        Some(Self { prefix, organization_id, account_id, folder, region, date, file_name })
    }
}

/// Splits at the last component named `AWSLogs`, since a prefix may itself contain one.
fn split_at_aws_logs(key: &str) -> Option<(&str, &str)> {
    const NAME: &str = "AWSLogs/";
    let at = key.rmatch_indices(NAME).map(|(at, _)| at).find(|&at| at == 0 || key[..at].ends_with('/'))?;
    Some((key[..at].strip_suffix('/').unwrap_or(""), &key[at + NAME.len()..]))
}

/// `<account>_<tree>_<region>_<YYYYMMDDTHHmmZ>_<unique><extension>`.
struct LogName<'a> {
    account_id: &'a str,
    tree: Tree,
    region: &'a str,
    time: DateTime<Utc>,
}

impl<'a> LogName<'a> {
    fn parse(file_name: &'a str) -> Option<Self> {
        let stem = [".json.gz", ".json.zst", ".json"].iter().find_map(|end| file_name.strip_suffix(end))?;
        let parts: Vec<&str> = stem.split('_').collect();
        let [account_id, tree, region, time, unique] = parts[..] else { return None };
        let is_unique = !unique.is_empty() && unique.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_account_id(account_id) || !is_region(region) || !is_unique {
            return None;
        }
        let tree = Tree::of_folder(tree)?;
        Some(Self { account_id, tree, region, time: parse_time(time, "%Y%m%dT%H%MZ", 14)? })
    }
}

fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_organization_id(text: &str) -> bool {
    text.len() > 2 && text.starts_with("o-") && text[2..].bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(allowed)
}

fn parse_date(year: &str, month: &str, day: &str) -> Option<NaiveDate> {
    let number = |text: &str, width: usize| {
        let right = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
        if right { text.parse::<u32>().ok() } else { None }
    };
    let year = i32::try_from(number(year, 4)?).ok()?;
    NaiveDate::from_ymd_opt(year, number(month, 2)?, number(day, 2)?)
}

/// Parses a time of exactly `width` characters; chrono alone would take `2026010` for a date.
fn parse_time(text: &str, format: &str, width: usize) -> Option<DateTime<Utc>> {
    if text.len() != width {
        return None;
    }
    NaiveDateTime::parse_from_str(text, format).ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/05/111122223333_CloudTrail_us-east-1_20260105T0810Z_kpaMYavMQA9Ahp7L.json.gz";
    const DIGEST: &str = "AWSLogs/o-exampleorgid/111122223333/CloudTrail-Digest/eu-west-1/2026/01/05/111122223333_CloudTrail-Digest_eu-west-1_my_own_trail_us-east-1_20260105T183649Z.json.gz";

    #[test]
    fn a_log_key_says_account_region_day_and_minute() {
        let key = LogKey::parse(LOG).unwrap();
        assert_eq!((key.prefix.as_str(), key.organization_id.as_deref()), ("", None));
        assert_eq!((key.account_id.as_str(), key.region.as_str()), ("111122223333", "us-east-1"));
        assert_eq!((key.tree, key.date.to_string().as_str()), (Tree::CloudTrail, "2026-01-05"));
        assert_eq!(key.time.to_rfc3339(), "2026-01-05T08:10:00+00:00");
    }

    #[test]
    fn any_prefix_may_stand_before_aws_logs() {
        for prefix in ["audit logs", "a/b/c", "журнал/ß", "AWSLogs/old", "/var/lib/copy", "s3:/"] {
            let key = LogKey::parse(&format!("{prefix}/{LOG}")).unwrap();
            assert_eq!(key.prefix, prefix);
        }
        assert!(LogKey::parse(&format!("no{LOG}")).is_none(), "the component must be AWSLogs itself");
    }

    #[test]
    fn all_four_trees_and_all_extensions_are_log_files() {
        for tree in Tree::ALL {
            for extension in [".json.gz", ".json", ".json.zst"] {
                let key = LOG
                    .replace("CloudTrail", tree.folder())
                    .replace(".json.gz", extension)
                    .replace("Logs/", "Logs/o-ab12/");
                let key = LogKey::parse(&key).unwrap();
                assert_eq!((key.tree, key.organization_id.as_deref()), (tree, Some("o-ab12")));
            }
        }
    }

    #[test]
    fn a_file_name_alone_is_enough_in_a_flat_folder() {
        let key = LogKey::from_file_name(
            "/tmp/x/111122223333_CloudTrail-Insight_ap-south-1_20260105T0810Z_a1.json.gz",
        )
        .unwrap();
        assert_eq!((key.tree, key.region.as_str()), (Tree::Insight, "ap-south-1"));
        assert_eq!(key.date.to_string(), "2026-01-05");
    }

    #[test]
    fn a_digest_key_keeps_underscores_in_the_trail_name() {
        let key = DigestKey::parse(DIGEST).unwrap();
        assert_eq!((key.trail.as_str(), key.home_region.as_str()), ("my_own_trail", "us-east-1"));
        assert_eq!((key.region.as_str(), key.backfill), ("eu-west-1", false));
        assert_eq!(key.end_time.to_rfc3339(), "2026-01-05T18:36:49+00:00");
        assert!(DigestKey::parse(&DIGEST.replace(".json.gz", "_backfill.json.gz")).unwrap().backfill);
    }

    #[test]
    fn kinds_are_told_apart_by_the_key() {
        assert!(matches!(ObjectKind::of(LOG), ObjectKind::Log(_)));
        assert!(matches!(ObjectKind::of(DIGEST), ObjectKind::Digest(_)));
        assert_eq!(ObjectKind::of("AWSLogs/111122223333/CloudTrail/"), ObjectKind::Folder);
        assert_eq!(ObjectKind::of("AWSLogs/111122223333/Config/us-east-1/x.json.gz"), ObjectKind::Other);
    }

    #[test]
    fn odd_keys_are_no_log_files() {
        let wrong = [
            LOG.replace("2026/01/05", "2026/02/30"),
            LOG.replace("2026/01/05", "2026/1/5"),
            LOG.replace("T0810Z", "T08100Z"),
            LOG.replace("T0810Z", "T2510Z"),
            LOG.replacen("111122223333", "11112222333", 1),
            LOG.replace("_us-east-1_", "_us-west-1_"),
            LOG.replace("CloudTrail", "CloudTrail-New"),
            LOG.replace("kpaMYavMQA9Ahp7L", "kpaM YavM"),
            LOG.replace("us-east-1", "../.."),
            String::new(),
        ];
        for key in wrong {
            assert!(LogKey::parse(&key).is_none(), "{key}");
        }
    }

    #[test]
    fn an_object_is_addressed_as_people_paste_it() {
        assert_eq!(ObjectRef::new("logs", "a/b c").uri(), "s3://logs/a/b c");
    }
}
