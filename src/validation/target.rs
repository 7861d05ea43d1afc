//! What one validation is about: the digests of one trail for one account and region, and where they lie.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use regex::Regex;

/// A trail, an account and a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The account whose events these are.
    pub account_id: String,
    /// The region of the events.
    pub region: String,
    /// Name of the trail.
    pub trail: String,
    /// The trail's home region.
    pub home_region: String,
    /// The bucket.
    pub bucket: String,
    /// What stands before `AWSLogs/`, without the slash.
    pub prefix: Option<String>,
    /// The organization, in the layout of an organization trail.
    pub organization_id: Option<String>,
    /// The ARN that the trail was asked for by, or one made of what its digests say.
    pub trail_arn: String,
}

impl Target {
    /// The folder of the account: `[prefix/]AWSLogs/[o-…/]account`.
    pub fn account_folder(&self) -> String {
        let mut folder = String::new();
        if let Some(prefix) = self.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            folder.push_str(prefix);
            folder.push('/');
        }
        folder.push_str("AWSLogs/");
        if let Some(organization) = &self.organization_id {
            folder.push_str(organization);
            folder.push('/');
        }
        folder.push_str(&self.account_id);
        folder
    }

    /// The folder of the digests, without the slash at its end: the AWS CLI lists with it as it stands.
    pub fn digest_folder(&self) -> String {
        format!("{}/CloudTrail-Digest/{}", self.account_folder(), self.region)
    }

    /// The key that a digest of that time would have, less a minute: listings begin after it.
    pub fn marker(&self, start: DateTime<Utc>) -> String {
        let time = start - TimeDelta::minutes(1);
        let name = self.digest_name();
        format!("{}/{}/{name}_{}.json.gz", self.digest_folder(), time.format("%Y/%m/%d"), compact(time))
    }

    /// The folder of a day.
    pub fn day(&self, tree: &str, day: NaiveDate) -> String {
        format!("{}/{tree}/{}/{}/", self.account_folder(), self.region, day.format("%Y/%m/%d"))
    }

    /// What the AWS CLI takes for a digest of this trail.
    pub fn pattern(&self) -> Result<Regex, regex::Error> {
        let (folder, name) = (regex::escape(&self.digest_folder()), regex::escape(&self.digest_name()));
        Regex::new(&format!(r"^{folder}/\d+/\d+/\d+/{name}_.+(?:_backfill)?\.json\.gz$"))
    }

    fn digest_name(&self) -> String {
        format!("{}_CloudTrail-Digest_{}_{}_{}", self.account_id, self.region, self.trail, self.home_region)
    }
}

/// A time as it stands in the names of digests.
pub(super) fn compact(time: DateTime<Utc>) -> String {
    time.format("%Y%m%dT%H%M%SZ").to_string()
}

/// The end of the name of a backfill digest.
const BACKFILL: &str = "_backfill.json.gz";

/// Whether a key is that of a backfill digest.
pub(super) fn is_backfill(key: &str) -> bool {
    key.ends_with(BACKFILL)
}

/// The sixteen characters where a digest's name has its time, whatever they are.
pub(super) fn date_in_name(key: &str) -> String {
    let from_end = if is_backfill(key) { (33, 17) } else { (24, 8) };
    let chars: Vec<char> = key.chars().collect();
    let at = |from_end: usize| chars.len().saturating_sub(from_end);
    chars[at(from_end.0)..at(from_end.1)].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            account_id: "111111111111".into(),
            region: "us-west-2".into(),
            trail: "my.trail".into(),
            home_region: "us-east-1".into(),
            bucket: "b".into(),
            prefix: Some("p/q".into()),
            organization_id: Some("o-ab".into()),
            trail_arn: String::new(),
        }
    }

    #[test]
    fn a_marker_is_the_key_of_a_minute_before() {
        let start = DateTime::parse_from_rfc3339("2024-03-01T00:00:30Z").unwrap().to_utc();
        let marker = "p/q/AWSLogs/o-ab/111111111111/CloudTrail-Digest/us-west-2/2024/02/29/\
                      111111111111_CloudTrail-Digest_us-west-2_my.trail_us-east-1_20240229T235930Z.json.gz";
        assert_eq!(target().marker(start), marker);
        let pattern = target().pattern().unwrap();
        assert!(pattern.is_match(marker) && !pattern.is_match(&marker.replace("my.trail", "my-trail")));
        assert!(!pattern.is_match(&format!("{marker}.bak")));
    }

    #[test]
    fn the_date_is_cut_out_of_a_name_by_position() {
        assert_eq!(date_in_name("x_20240301T020000Z.json.gz"), "20240301T020000Z");
        assert_eq!(date_in_name("x_20240301T020000Z_backfill.json.gz"), "20240301T020000Z");
        assert_eq!(date_in_name("short"), "");
    }
}
