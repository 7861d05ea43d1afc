//! Any single bit that is changed is noticed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use trailq::digest::{Digest, ListedKey, LogFileEntry, PublicKeys, Signature};
use trailq::generate::signing::SigningKey;
use trailq::generate::{GeneratedObject, Options, Volume, generate};
use trailq::object::{ObjectKind, ObjectRef};
use trailq::validation::{LogFileVerdict, StoredObject, check_digest, check_log_file, inflate};

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

#[test]
fn the_sample_holds_as_it_is() {
    let sample = sample();
    assert!(holds(&sample.digest, &sample.key));
    assert_eq!(check_log_file(&sample.entry, &sample.log), LogFileVerdict::Valid);
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
        prop_assert_ne!(check_log_file(&sample().entry, &changed), LogFileVerdict::Valid);
    }

    #[test]
    fn a_changed_bit_of_a_stored_log_file_is_noticed_unless_it_is_no_content(at: usize, bit in 0u8..8) {
        let stored = flipped(&sample().log, at, bit);
        let same = inflate(&stored).is_ok_and(|text| text == inflate(&sample().log).unwrap());
        prop_assert_eq!(check_log_file(&sample().entry, &stored) == LogFileVerdict::Valid, same);
    }
}
