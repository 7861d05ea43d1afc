//! From the hash of a log file to its finding.

use super::bucket::{GetError, Hashed};
use super::finding::{Finding, Told, Verdict};
use super::gunzip::Broken;
use super::run::Fatal;

/// The verdict on a log file, and what the AWS CLI says of it.
pub(super) fn judge(
    mut finding: Finding,
    hashed: Result<Hashed, GetError>,
    strict: bool,
) -> Result<Finding, Fatal> {
    let mut wrong = |verdict, told: &str, reason: String| {
        (finding.verdict, finding.told, finding.reason) =
            (verdict, Told::Invalid(told.to_owned()), Some(reason));
    };
    match hashed {
        Ok(Hashed::Inflated(inflated)) if inflated.trailing => {
            let told = "unexpected data after end of compressed stream";
            wrong(Verdict::Invalid, told, told.to_owned());
        }
        Ok(Hashed::Inflated(inflated)) => {
            if finding.expected_sha256.is_none() {
                wrong(Verdict::Invalid, "invalid format", "the digest has no hash of it".to_owned());
            } else if finding.expected_sha256.as_ref() == Some(&inflated.sha256) {
                finding.told = Told::Valid;
            } else {
                let told = "hash value doesn't match";
                let cut = if inflated.whole { "" } else { ": the gzip stream is cut off" };
                wrong(Verdict::Invalid, told, format!("{told}{cut}"));
            }
            finding.sha256 = Some(inflated.sha256);
        }
        Ok(Hashed::Broken(bomb @ Broken::Bomb(_))) => {
            wrong(Verdict::Invalid, "hash value doesn't match", bomb.to_string());
        }
        Ok(Hashed::Broken(broken)) => wrong(Verdict::Invalid, "invalid format", broken.to_string()),
        Err(GetError::NotFound) => wrong(Verdict::Missing, "not found", "not found".to_owned()),
        Err(error) if strict => {
            wrong(Verdict::Unreadable, "", error.to_string());
            finding.told = Told::Nothing;
        }
        Err(GetError::Api(error)) if error.code().is_some() => return Err(Fatal::access(&error)),
        Err(error) => wrong(Verdict::Unreadable, "invalid format", error.to_string()),
    }
    Ok(finding)
}

/// What fits a digest without a signature is not proven by it.
pub(super) fn unsigned(mut finding: Finding) -> Finding {
    if finding.verdict == Verdict::Valid {
        finding.verdict = Verdict::Unproven;
        finding.told = Told::Nothing;
        finding.reason = Some("has the hash that an unsigned digest lists".to_owned());
    }
    finding
}
