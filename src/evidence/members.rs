//! The names of a bundle's files.

/// The folder that all files of a bundle are in.
pub(super) const FOLDER: &str = "trailq-evidence";
/// Explains the bundle.
pub(super) const README: &str = "README.txt";
/// Repeats the check.
pub(super) const VERIFY: &str = "verify.py";
/// The public keys, in the form of `ListPublicKeys`.
pub(super) const PUBLIC_KEYS: &str = "public-keys.json";
/// The verdicts.
pub(super) const VERDICTS: &str = "verdicts.ndjson";
/// What was checked, and what came of it.
pub(super) const MANIFEST: &str = "manifest.json";
/// The hashes of all other files, as `sha256sum` writes and checks them.
pub(super) const SUMS: &str = "SHA256SUMS";

/// The file of a digest: numbered, because a key may be any text.
pub(super) fn digest(number: u64) -> String {
    format!("digests/{number:08}.json.gz")
}

/// Whether it is a name that a bundle may have: letters, digits and `._-`, in a folder at most.
pub(super) fn is_name(name: &str) -> bool {
    let fine = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain)
    };
    let mut parts = name.split('/');
    parts.next().is_some_and(fine) && parts.next().is_none_or(fine) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_none() {
        for name in [README, VERIFY, SUMS, VERDICTS, &digest(7), &digest(123_456_789)] {
            assert!(is_name(name), "{name}");
        }
        for name in
            ["", "/etc/passwd", "../x", "a/../b", "a/b/c", "a//b", "digests/", ".x", "a\\b", "a\nb", "é"]
        {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
