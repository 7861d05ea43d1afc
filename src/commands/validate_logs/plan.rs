//! From arguments to what is to be validated, in the AWS CLI's order and with its objections.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use aws_config::{Region, SdkConfig};
use chrono::{DateTime, TimeDelta, Utc};
use regex::Regex;

use super::{Args, Format};
use crate::bucket::{LocalBucket, PUBLIC_KEYS_FILE};
use crate::cloudtrail::{CloudTrail, Connect, load_config};
use crate::digest::{ListedKey, PublicKey};
use crate::integrity::remembered;
use crate::lake::Lake;
use crate::log_file::Limits;
use crate::object::DigestKey;
use crate::validation::{Bucket, Context, KeySource, Options, S3Bucket, Search, Target, dates, discover};

/// Why nothing is validated.
pub(super) enum Refused {
    /// Arguments are missing.
    Usage(String),
    /// The AWS CLI's words.
    Fatal(String),
}

impl<E: std::fmt::Display> From<E> for Refused {
    fn from(error: E) -> Self {
        Refused::Fatal(format!("{error:#}"))
    }
}

/// What to validate.
pub(super) struct Plan {
    pub(super) context: Arc<Context>,
    pub(super) targets: Vec<Target>,
    pub(super) options: Options,
    /// Whether these are all accounts or regions of a bucket.
    pub(super) many: bool,
    /// What the reader should know before anything else.
    pub(super) notes: Vec<String>,
}

impl Plan {
    pub(super) async fn make(args: &Args) -> Result<Self, Refused> {
        let many =
            args.all_accounts || args.all_regions || (args.local.is_some() && args.trail_arn.is_none());
        required(args, many)?;
        let strict = args.strict || many || args.format != Format::Text || args.evidence.is_some();
        let mut notes = Vec::new();
        let times = Times::read(args, strict, &mut notes)?;
        if args.no_verify_ssl {
            notes.push("--no-verify-ssl is ignored: certificates are always checked".to_owned());
        }
        let arn = args.trail_arn.as_deref().map(Arn::parse).transpose()?;
        let mut options = Options {
            start: times.start.unwrap_or(DateTime::UNIX_EPOCH),
            end: times.end.unwrap_or(times.now),
            now: times.now,
            strict,
            keep_digests: args.evidence.is_some(),
            concurrency: args.concurrency.max(1),
            limits: Limits::default(),
        };
        let config = if is_offline(args) {
            SdkConfig::builder().region(args.region.clone().map(Region::new)).build()
        } else {
            load_config(args.profile.as_deref(), args.region.as_deref()).await
        };
        let home = arn.as_ref().map_or("us-east-1", |arn| arn.region.as_str()).to_owned();
        let key_region = config.region().map_or_else(|| home.clone(), ToString::to_string);
        let config = if config.region().is_some() {
            config
        } else {
            config.into_builder().region(Region::new(home)).build()
        };
        let whole = Whole { args, arn: arn.as_ref(), many, config: &config };
        let (bucket, targets) = match &args.local {
            Some(directory) => whole.copy(directory, &times, &mut options).await?,
            None => whole.in_s3(&options).await?,
        };
        let keys = keys(args, &config, &mut notes).await?;
        if !bucket.has_signatures() {
            if args.evidence.is_some() {
                return Err(Refused::Fatal(format!("--evidence: {NO_SIGNATURES}")));
            }
            notes.push(NO_SIGNATURES.to_owned());
        }
        let key_region = (!many).then_some(key_region);
        let context = Arc::new(Context { bucket, keys, key_region });
        Ok(Plan { context, targets, options, many, notes })
    }
}

const NO_SIGNATURES: &str = "there is no digest-metadata.json in the copy, and so no signature: digests cannot be \
    proven, nor what they list. Log files are still held against what the digests say";

fn required(args: &Args, many: bool) -> Result<(), Refused> {
    let mut missing = Vec::new();
    let from_keys = args.local.is_some() || (many && args.s3_bucket.is_some());
    if args.trail_arn.is_none() && !from_keys {
        missing.push("--trail-arn");
    }
    if args.start_time.is_none() && args.local.is_none() {
        missing.push("--start-time");
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refused::Usage(format!("the following arguments are required: {}", missing.join(", "))))
}

/// The times asked for.
struct Times {
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

impl Times {
    fn read(args: &Args, strict: bool, notes: &mut Vec<String>) -> Result<Self, Refused> {
        let now = Utc::now();
        let mut read = |text: &Option<String>| -> Result<Option<DateTime<Utc>>, Refused> {
            let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
            let typed = dates::parse(text)
                .ok_or_else(|| Refused::Fatal(format!("Unable to parse date value: {text}")))?;
            if strict && typed.meant() != typed.as_the_cli_does() {
                notes.push(format!(
                    "{text} is taken for {}; the AWS CLI drops the offset",
                    crate::validation::display(typed.meant())
                ));
            }
            Ok(Some(if strict { typed.meant() } else { typed.as_the_cli_does() }))
        };
        let (start, end) = (read(&args.start_time)?, read(&args.end_time)?);
        if start.is_some_and(|start| start > end.unwrap_or(now)) {
            let told = "Invalid time range specified: start-time must occur before end-time";
            return Err(Refused::Fatal(told.to_owned()));
        }
        Ok(Times { start, end, now })
    }
}

/// A trail's ARN.
struct Arn {
    text: String,
    region: String,
    account_id: String,
    trail: String,
}

impl Arn {
    fn parse(text: &str) -> Result<Self, Refused> {
        static PATTERN: LazyLock<Option<Regex>> =
            LazyLock::new(|| Regex::new(r"^arn:.+:cloudtrail:.+:\d{12}:trail/.+").ok());
        let parts: Vec<&str> = text.split(':').collect();
        if !PATTERN.as_ref().is_some_and(|pattern| pattern.is_match(text)) || parts.len() < 5 {
            return Err(Refused::Fatal(format!("Invalid trail ARN provided: {text}")));
        }
        Ok(Arn {
            text: text.to_owned(),
            region: parts[3].to_owned(),
            account_id: parts[4].to_owned(),
            trail: text.rsplit('/').next().unwrap_or_default().to_owned(),
        })
    }
}

/// What the arguments say together.
struct Whole<'a> {
    args: &'a Args,
    arn: Option<&'a Arn>,
    many: bool,
    config: &'a SdkConfig,
}

/// Where a trail's objects lie.
struct Place {
    bucket: String,
    prefix: Option<String>,
    organization_id: Option<String>,
}

impl Whole<'_> {
    async fn in_s3(&self, options: &Options) -> Result<(Bucket, Vec<Target>), Refused> {
        let place = self.place().await?;
        let bucket = Bucket::S3(Box::new(S3Bucket::new(self.config.clone())));
        if self.many {
            let search = self.search(place.bucket, place.prefix, options);
            let targets = discover_in(&bucket, &search).await?;
            return Ok((bucket, targets));
        }
        Ok((bucket, self.arn.map(|arn| self.target(arn, place)).into_iter().collect()))
    }

    /// The bucket that was named, or the one that the trail writes to now.
    async fn place(&self) -> Result<Place, Refused> {
        if let Some(bucket) = self.args.s3_bucket.clone() {
            return Ok(Place { bucket, prefix: self.args.s3_prefix.clone(), organization_id: None });
        }
        let arn = self.arn.ok_or_else(|| Refused::Usage("--trail-arn or --s3-bucket".to_owned()))?;
        let connect = Connect {
            region: self.config.region().map(ToString::to_string),
            profile: self.args.profile.clone(),
            endpoint_url: self.args.endpoint_url.clone(),
        };
        let api = CloudTrail::connect(&connect).await?;
        let trails = api.describe_trails().await?;
        let trail = trails.into_iter().find(|trail| trail.arn == arn.text);
        let trail =
            trail.ok_or_else(|| Refused::Fatal(format!("A trail could not be found for {}", arn.text)))?;
        let mut place =
            Place { bucket: trail.s3_bucket_name, prefix: trail.s3_key_prefix, organization_id: None };
        if trail.is_organization_trail && !self.many {
            if self.args.account_id.as_deref().is_none_or(str::is_empty) {
                let told = "Missing required parameter for organization trail: '--account-id'";
                return Err(Refused::Fatal(told.to_owned()));
            }
            place.organization_id = Some(api.organization_id().await?);
        }
        Ok(place)
    }

    fn target(&self, arn: &Arn, place: Place) -> Target {
        let account_id = self.args.account_id.clone().filter(|account| !account.is_empty());
        Target {
            account_id: account_id.unwrap_or_else(|| arn.account_id.clone()),
            region: self.args.region.clone().unwrap_or_else(|| arn.region.clone()),
            trail: arn.trail.clone(),
            home_region: arn.region.clone(),
            bucket: place.bucket,
            prefix: place.prefix,
            organization_id: place.organization_id,
            trail_arn: arn.text.clone(),
        }
    }

    fn search(&self, bucket: String, prefix: Option<String>, options: &Options) -> Search {
        let own_account = || self.arn.map(|arn| arn.account_id.clone()).filter(|_| !self.args.all_accounts);
        let own_region = || self.arn.map(|arn| arn.region.clone()).filter(|_| !self.args.all_regions);
        let account_id = self.args.account_id.clone().or_else(own_account);
        let region = if self.args.all_regions { None } else { self.args.region.clone().or_else(own_region) };
        Search {
            bucket,
            prefix,
            account_id,
            region,
            trail: self.arn.map(|arn| (arn.text.clone(), arn.trail.clone(), arn.region.clone())),
            start: options.start,
            end: options.end,
        }
    }

    /// A copy on disk. Where no time is said it is that of its digests.
    async fn copy(
        &self,
        directory: &Path,
        times: &Times,
        options: &mut Options,
    ) -> Result<(Bucket, Vec<Target>), Refused> {
        let copy = LocalBucket::open_copy(directory, self.args.s3_bucket.as_deref())?;
        let ends: Vec<DateTime<Utc>> =
            copy.keys().iter().filter_map(|key| DigestKey::parse(key)).map(|key| key.end_time).collect();
        if let (None, Some(first)) = (times.start, ends.iter().min()) {
            options.start = *first - TimeDelta::hours(1);
        }
        if let (None, Some(last)) = (times.end, ends.iter().max()) {
            options.end = *last;
            // The copy is as old as that: what came later cannot be missing from it.
            options.now = *last;
        }
        let name = copy.bucket().to_owned();
        let bucket = Bucket::Local(copy);
        let search = self.search(name, self.args.s3_prefix.clone(), options);
        let targets = discover_in(&bucket, &search).await?;
        Ok((bucket, targets))
    }
}

async fn discover_in(bucket: &Bucket, search: &Search) -> Result<Vec<Target>, Refused> {
    let targets = discover(bucket, search).await?;
    if targets.is_empty() {
        let prefix = search.prefix.as_ref().map(|prefix| format!("{prefix}/")).unwrap_or_default();
        let place = format!("s3://{}/{prefix}AWSLogs/", search.bucket);
        return Err(Refused::Fatal(format!("No digests and no log files were found below {place}")));
    }
    Ok(targets)
}

/// Whether bucket and keys are at hand, so that AWS need not even be looked for.
fn is_offline(args: &Args) -> bool {
    let beside = |directory: &std::path::PathBuf| directory.join(PUBLIC_KEYS_FILE).exists();
    args.local
        .as_ref()
        .is_some_and(|directory| !args.public_keys.is_empty() || args.lake.is_some() || beside(directory))
}

/// Keys at hand, or CloudTrail's.
async fn keys(args: &Args, config: &SdkConfig, notes: &mut Vec<String>) -> Result<KeySource, Refused> {
    let mut files = args.public_keys.clone();
    let beside = args.local.as_ref().map(|directory| directory.join(PUBLIC_KEYS_FILE));
    if let Some(beside) = beside.filter(|path| files.is_empty() && args.lake.is_none() && path.exists()) {
        notes.push(format!(
            "public keys are those of {}: they prove as much as you trust whoever wrote that file",
            beside.display()
        ));
        files.push(beside);
    }
    let mut listed = Vec::new();
    for file in &files {
        let text = std::fs::read(file)
            .map_err(|error| Refused::Fatal(format!("reading {}: {error}", file.display())))?;
        let keys = ListedKey::parse_list(&text)
            .map_err(|error| Refused::Fatal(format!("reading {}: {error}", file.display())))?;
        listed.extend(keys);
    }
    if let Some(lake) = &args.lake {
        listed.extend(keys_of_lake(lake).await?);
    }
    if files.is_empty() && args.lake.is_none() {
        return Ok(KeySource::api(config.clone(), args.endpoint_url.clone()));
    }
    Ok(KeySource::listed(&listed))
}

async fn keys_of_lake(location: &str) -> Result<Vec<ListedKey>, Refused> {
    let lake = Lake::open(location).await?;
    let keys = remembered(&lake).await?;
    let listed = |(name, key): (&str, &PublicKey)| ListedKey {
        fingerprint: name.to_owned(),
        der: key.pkcs1.clone(),
        validity_start: key.validity_start,
        validity_end: key.validity_end,
    };
    Ok(keys.iter().map(listed).collect())
}
