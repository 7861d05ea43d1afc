//! Any single bit that is changed is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use trailq::bucket::LocalBucket;
use trailq::digest::{Digest, ListedKey, LogFileEntry, PublicKeys, Signature};
use trailq::generate::signing::SigningKey;
use trailq::generate::{GeneratedObject, Options, Volume, generate, write_directory};
use trailq::log_file::{Limits, LogFile};
use trailq::object::{ObjectKind, ObjectRef};
use trailq::validation::{
    self, Bucket, Context, Event, KeySource, Search, StoredObject, check_digest, inflate,
};

/// A digest, a log file that it lists, and the key.
struct Sample {
    object: ObjectRef,
    digest: StoredObject,
    text: Vec<u8>,
    entry: LogFileEntry,
    log: Vec<u8>,
    key: ListedKey,
}

fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let options = Options { days: 1, volume: Volume::Total(300), ..Options::default() };
        let signing = SigningKey::demonstration().unwrap();
        let mut objects: BTreeMap<String, GeneratedObject> = BTreeMap::new();
        generate(&options, &signing, |object| {
            objects.insert(object.key.clone(), object);
            Ok(())
        })
        .unwrap();
        let is_digest =
            |object: &&GeneratedObject| matches!(ObjectKind::of(&object.key), ObjectKind::Digest(_));
        let listed =
            |object: &GeneratedObject| Digest::parse(&inflate(&object.bytes).unwrap()).unwrap().log_files;
        let digest = objects.values().filter(is_digest).find(|digest| !listed(digest).is_empty()).unwrap();
        let entry = listed(digest).remove(0);
        let keys = signing.public_keys_json("2026-03-02T00:00:00Z", "2026-03-05T00:00:00Z");
        Sample {
            object: ObjectRef::new(options.bucket.as_str(), digest.key.as_str()),
            text: inflate(&digest.bytes).unwrap(),
            digest: StoredObject { bytes: digest.bytes.clone(), metadata: digest.metadata.clone() },
            log: objects[&entry.s3_object].bytes.clone(),
            entry,
            key: ListedKey::parse_list(keys.as_bytes()).unwrap().remove(0),
        }
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn flipped(bytes: &[u8], at: usize, bit: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at % bytes.len();
    bytes[at] ^= 1 << bit;
    bytes
}

fn holds(digest: &StoredObject, key: &ListedKey) -> bool {
    check_digest(&sample().object, digest, &PublicKeys::from_listed(std::slice::from_ref(key))).is_ok()
}

/// Whether a log file, read as the lake reads it, has the hash that the digest lists.
fn has_its_hash(stored: &[u8]) -> bool {
    let expected = trailq::hex::decode(&sample().entry.hash_value).unwrap();
    LogFile::read(stored, &Limits::default())
        .is_ok_and(|file| file.trailing_bytes.is_empty() && file.sha256[..] == expected)
}

#[test]
fn the_sample_holds_as_it_is() {
    let sample = sample();
    assert!(holds(&sample.digest, &sample.key));
    assert!(has_its_hash(&sample.log));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_changed_bit_of_a_digest_is_noticed(at: usize, bit in 0u8..8) {
        let bytes = gzip(&flipped(&sample().text, at, bit));
        let changed = StoredObject { bytes, ..sample().digest.clone() };
        prop_assert!(!holds(&changed, &sample().key));
    }

    #[test]
    fn a_changed_bit_of_a_stored_digest_is_noticed_unless_it_is_no_content(at: usize, bit in 0u8..8) {
        let bytes = flipped(&sample().digest.bytes, at, bit);
        let same = inflate(&bytes).is_ok_and(|text| text == sample().text);
        let changed = StoredObject { bytes, ..sample().digest.clone() };
        prop_assert_eq!(holds(&changed, &sample().key), same);
    }

    #[test]
    fn a_changed_bit_of_a_signature_is_noticed(at: usize, bit in 0u8..8) {
        let mut changed = sample().digest.clone();
        let signature = changed.metadata.get_mut(Signature::METADATA).unwrap();
        let bytes = trailq::hex::decode(signature).unwrap();
        *signature = trailq::hex::encode(&flipped(&bytes, at, bit));
        prop_assert!(!holds(&changed, &sample().key));
    }

    #[test]
    fn a_changed_bit_of_a_key_is_noticed(at: usize, bit in 0u8..8) {
        let changed = ListedKey { der: flipped(&sample().key.der, at, bit), ..sample().key.clone() };
        prop_assert!(!holds(&sample().digest, &changed));
    }

    #[test]
    fn a_changed_bit_of_a_log_file_is_noticed(at: usize, bit in 0u8..8) {
        let text = inflate(&sample().log).unwrap();
        let changed = gzip(&flipped(&text, at, bit));
        prop_assert!(!has_its_hash(&changed));
    }

    #[test]
    fn a_changed_bit_of_a_stored_log_file_is_noticed_unless_it_is_no_content(at: usize, bit in 0u8..8) {
        let stored = flipped(&sample().log, at, bit);
        let same = inflate(&stored).is_ok_and(|text| text == inflate(&sample().log).unwrap());
        prop_assert_eq!(has_its_hash(&stored), same);
    }
}

/// A copy of a small bucket with all its digests, of which one thing at a time is changed.
struct BucketCopy {
    folder: tempfile::TempDir,
    /// Digests and log files.
    files: Vec<PathBuf>,
    metadata: serde_json::Value,
    key: ListedKey,
}

impl BucketCopy {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            accounts: 1,
            regions: vec!["us-east-1".to_owned()],
            days: 1,
            volume: Volume::Total(60),
            story: None,
            ..Options::default()
        };
        write_directory(&options, &SigningKey::demonstration().unwrap(), folder.path()).unwrap();
        let metadata = fs::read(folder.path().join("digest-metadata.json")).unwrap();
        let files = files_below(&folder.path().join("AWSLogs"));
        BucketCopy {
            folder,
            files,
            metadata: serde_json::from_slice(&metadata).unwrap(),
            key: sample().key.clone(),
        }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// What `trailq validate-logs` finds, and how much of it is not as it should be.
    fn validate(&self, strict: bool, key: &ListedKey) -> (usize, usize) {
        let local = LocalBucket::open(self.root()).unwrap();
        let (start, end) = ("2026-03-01T00:00:00Z".parse().unwrap(), "2026-03-05T00:00:00Z".parse().unwrap());
        let search = Search {
            bucket: local.bucket().to_owned(),
            prefix: None,
            account_id: None,
            region: None,
            trail: None,
            start,
            end,
        };
        let options = validation::Options {
            start,
            end,
            now: end,
            strict,
            keep_digests: false,
            concurrency: 8,
            limits: Limits::default(),
        };
        let (mut looked_at, mut wrong) = (0, 0);
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let bucket = Bucket::Local(local);
            let targets = validation::discover(&bucket, &search).await.unwrap();
            let keys = KeySource::listed(std::slice::from_ref(key));
            let context = Arc::new(Context { bucket, keys, key_region: None });
            let tell = |event: Event<'_>| {
                if let Event::Found(finding) = event {
                    let is_file = finding.object.is_some();
                    looked_at += usize::from(is_file);
                    wrong += usize::from(is_file && finding.fails());
                }
                Ok(())
            };
            validation::run(context, targets, options, tell).await.unwrap();
        });
        (looked_at, wrong)
    }

    /// Changes a bit of a file, validates, and changes it back. Says whether its content is another, too.
    fn with_changed_file(&self, which: usize, at: usize, bit: u8, strict: bool) -> (usize, bool) {
        let path = &self.files[which % self.files.len()];
        let stored = fs::read(path).unwrap();
        let changed = flipped(&stored, at, bit);
        let same = inflate(&changed).is_ok_and(|text| text == inflate(&stored).unwrap());
        fs::write(path, &changed).unwrap();
        let (_, wrong) = self.validate(strict, &self.key);
        fs::write(path, &stored).unwrap();
        (wrong, same)
    }

    fn with_changed_signature(&self, which: usize, at: usize, bit: u8, strict: bool) -> usize {
        let mut metadata = self.metadata.clone();
        let objects = metadata["objects"].as_object_mut().unwrap();
        let which = which % objects.len();
        let signature = &mut objects.values_mut().nth(which).unwrap()["signature"];
        let bytes = trailq::hex::decode(signature.as_str().unwrap()).unwrap();
        *signature = trailq::hex::encode(&flipped(&bytes, at, bit)).into();
        let path = self.root().join("digest-metadata.json");
        fs::write(&path, metadata.to_string()).unwrap();
        let (_, wrong) = self.validate(strict, &self.key);
        fs::write(path, self.metadata.to_string()).unwrap();
        wrong
    }
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(files_below(&entry.path()));
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    files
}

#[test]
fn validate_logs_looks_at_every_file_of_the_copy_and_finds_nothing_wrong() {
    let copy = BucketCopy::new();
    for strict in [false, true] {
        assert_eq!(copy.validate(strict, &copy.key), (copy.files.len(), 0));
    }
    assert!(copy.files.len() > 25, "{}", copy.files.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn validate_logs_notices_any_changed_bit(
        changes in proptest::collection::vec((any::<usize>(), any::<usize>(), 0u8..8, any::<bool>()), 1..4),
    ) {
        thread_local!(static COPY: BucketCopy = BucketCopy::new());
        COPY.with(|copy| {
            for (which, at, bit, strict) in changes {
                let (wrong, same) = copy.with_changed_file(which, at, bit, strict);
                prop_assert!(wrong == 1 || (same && wrong == 0), "file {which}, byte {at}, bit {bit}: {wrong}");
                prop_assert_eq!(copy.with_changed_signature(which, at, bit, strict), 1);
                let der = flipped(&copy.key.der, at, bit);
                let (_, wrong) = copy.validate(strict, &ListedKey { der, ..copy.key.clone() });
                prop_assert!(wrong > 0);
            }
            Ok(())
        })?;
    }
}
