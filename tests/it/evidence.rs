//! Evidence bundles: what is in them, and that somebody else can repeat the check.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use trailq::digest::{self, LogFileEntry, PublicKeys};
use trailq::evidence::{
    self, About, DigestEvidence, EvidenceWriter, HASH_MISMATCH, LogFileEvidence, Options, Sealed, VALID,
};
use trailq::generate::signing::SigningKey;
use trailq::generate::{self, GeneratedObject, Tamper, Volume};
use trailq::object::{ObjectKind, ObjectRef};
use trailq::validation::{StoredObject, check_digest, inflate};

use super::python::system_python;
use super::support::{Folder, Run, trailq};

/// A small bucket.
struct Bucket {
    name: String,
    objects: BTreeMap<String, GeneratedObject>,
    keys_json: String,
}

impl Bucket {
    fn new(tamper: &[Tamper]) -> Self {
        let options = generate::Options {
            accounts: 1,
            regions: vec!["us-east-1".into()],
            days: 1,
            volume: Volume::Total(300),
            tamper: tamper.to_vec(),
            ..generate::Options::default()
        };
        let key = SigningKey::demonstration().unwrap();
        let mut objects = BTreeMap::new();
        let put = |object: GeneratedObject| {
            objects.insert(object.key.clone(), object);
            Ok(())
        };
        generate::generate(&options, &key, put).unwrap();
        let keys_json = key.public_keys_json("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z");
        Self { name: options.bucket, objects, keys_json }
    }

    fn keys(&self) -> PublicKeys {
        PublicKeys::from_json(self.keys_json.as_bytes()).unwrap()
    }

    /// Checks all digests and their log files, and writes the evidence of it.
    fn bundle(&self, path: &Path) -> Sealed {
        let mut writer = EvidenceWriter::create(path).unwrap();
        let keys = self.keys();
        for object in self.objects.values().filter(|object| !object.metadata.is_empty()) {
            self.digest(object, &keys, &mut writer);
        }
        let fingerprint = SigningKey::demonstration().unwrap().fingerprint().to_owned();
        writer.public_key("us-east-1", keys.get(&fingerprint).unwrap());
        writer.finish(&About { buckets: vec![self.name.clone()], ..About::default() }).unwrap()
    }

    fn digest(&self, object: &GeneratedObject, keys: &PublicKeys, writer: &mut EvidenceWriter) {
        let address = ObjectRef::new(&self.name, &object.key);
        let stored = StoredObject { bytes: object.bytes.clone(), metadata: object.metadata.clone() };
        let checked = check_digest(&address, &stored, keys);
        let detail = checked.as_ref().err().map(|invalid| invalid.error.to_string());
        let evidence = DigestEvidence {
            object: &address,
            stored: Some((&object.bytes, &object.metadata)),
            verdict: if checked.is_ok() { VALID } else { "invalid" },
            detail: detail.as_deref(),
        };
        writer.digest(&evidence).unwrap();
        for entry in checked.into_iter().flat_map(|checked| checked.digest.log_files) {
            self.log_file(&entry, writer);
        }
    }

    fn log_file(&self, entry: &LogFileEntry, writer: &mut EvidenceWriter) {
        let found = self.objects.get(&entry.s3_object);
        let sha256 = found.map(|object| digest::sha256_hex(&inflate(&object.bytes).unwrap()));
        let verdict = match &sha256 {
            None => "missing",
            Some(sha256) if *sha256 == entry.hash_value => VALID,
            Some(_) => HASH_MISMATCH,
        };
        let object = ObjectRef::new(&entry.s3_bucket, &entry.s3_object);
        let (hash_value, sha256) = (entry.hash_value.as_str(), sha256.as_deref());
        writer
            .log_file(&LogFileEvidence { object: &object, hash_value, sha256, verdict, detail: None })
            .unwrap();
    }

    /// Writes the log files to a directory, each under its key.
    fn copy_logs(&self, directory: &Path) {
        for object in self.objects.values() {
            if let ObjectKind::Log(_) = ObjectKind::of(&object.key) {
                let path = directory.join(&object.key);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &object.bytes).unwrap();
            }
        }
    }
}

/// A clean bucket's bundle, packed and unpacked.
fn clean(folder: &Folder) -> (PathBuf, PathBuf) {
    let bundle = folder.path("clean.tar.zst");
    Bucket::new(&[]).bundle(&bundle);
    let directory = unpack(&bundle, &folder.path("unpacked"));
    (bundle, directory)
}

/// Unpacks with what is not ours, and returns the folder in it.
fn unpack(bundle: &Path, to: &Path) -> PathBuf {
    let inflated = zstd::decode_all(fs::File::open(bundle).unwrap()).unwrap();
    tar::Archive::new(&inflated[..]).unpack(to).unwrap();
    to.join("trailq-evidence")
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Runs the bundle's own script, with a Python that has no packages of ours.
fn verify_py(directory: &Path, more: &[&str]) -> Run {
    let mut command = Command::new(system_python());
    command.arg("-I").arg(directory.join("verify.py")).args(more);
    command.output().unwrap().into()
}

fn verify(path: &Path, more: &[&str]) -> Run {
    trailq(&[&["verify-evidence", path.to_str().unwrap()][..], more].concat())
}

/// Puts the right hashes into SHA256SUMS again, as a forger would.
fn seal_again(directory: &Path) {
    let mut sums = String::new();
    for path in files(directory) {
        let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
        if name != "SHA256SUMS" {
            sums += &digest::sha256_hex(&fs::read(&path).unwrap());
            sums += "  ";
            sums += name;
            sums += "\n";
        }
    }
    fs::write(directory.join("SHA256SUMS"), sums).unwrap();
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "no {from} in {}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn the_evidence_of_a_clean_trail_is_confirmed_by_both_checkers_in_the_same_words() {
    let folder = Folder::new();
    let (bundle, directory) = clean(&folder);
    let logs = folder.path("logs");
    Bucket::new(&[]).copy_logs(&logs);
    for more in [&[][..], &["--logs", logs.to_str().unwrap()]] {
        let ours = verify(&bundle, more).expect(0);
        let theirs = verify_py(&directory, more).expect(0);
        assert_eq!(ours.stdout, theirs.stdout);
        assert_eq!(ours.stdout, verify(&directory, more).expect(0).stdout);
    }
    let told = verify(&bundle, &["--logs", logs.to_str().unwrap()]).stdout;
    assert!(told.contains("digests              24 valid\n"), "{told}");
    assert!(told.contains("links of digests     23 hold, 1 start of a chain\n"), "{told}");
    let at_hand = told.lines().find(|line| line.starts_with("log files at hand")).unwrap();
    assert!(at_hand.ends_with(" as the digest says") && !at_hand.contains(','), "{told}");
}

#[test]
fn the_evidence_of_each_way_of_tampering_says_so_and_is_confirmed() {
    let folder = Folder::new();
    for (kind, told) in [
        (Tamper::ModifyLog, "1 hash mismatch"),
        (Tamper::DeleteLog, "1 missing"),
        (Tamper::DeleteDigest, "1 to a digest that is not in the bundle or does not hold"),
        (Tamper::ModifyDigest, "1 invalid, 23 valid"),
        (Tamper::SwapSignature, "2 invalid, 22 valid"),
    ] {
        let bundle = folder.path(&format!("{kind}.tar.zst"));
        Bucket::new(&[kind]).bundle(&bundle);
        let ours = verify(&bundle, &[]).expect(0);
        assert!(ours.stdout.contains(told), "{kind}: {}", ours.stdout);
        let directory = unpack(&bundle, &folder.path(kind.name()));
        assert_eq!(ours.stdout, verify_py(&directory, &[]).expect(0).stdout);
    }
}

#[test]
fn a_flipped_byte_in_any_file_of_the_bundle_is_noticed() {
    let folder = Folder::new();
    let (_, directory) = clean(&folder);
    let mut random = fastrand::Rng::with_seed(7);
    for path in files(&directory) {
        let good = fs::read(&path).unwrap();
        for at in [0, good.len() / 2, good.len() - 1, random.usize(..good.len()), random.usize(..good.len())]
        {
            let mut bad = good.clone();
            bad[at] ^= 1 << random.u8(..8);
            fs::write(&path, &bad).unwrap();
            let report = evidence::check(&directory, &Options::default()).unwrap();
            assert!(!report.is_confirmed(), "byte {at} of {}", path.display());
        }
        if !path.ends_with("verify.py") {
            let run = verify_py(&directory, &[]);
            assert!(matches!(run.code, Some(1 | 2)), "{}: {}{}", path.display(), run.stdout, run.stderr);
        }
        fs::write(&path, &good).unwrap();
    }
    assert!(evidence::check(&directory, &Options::default()).unwrap().is_confirmed());
}

#[test]
fn a_flipped_byte_in_the_packed_bundle_is_noticed_or_changes_nothing() {
    let folder = Folder::new();
    let (bundle, _) = clean(&folder);
    let good = fs::read(&bundle).unwrap();
    let expected = evidence::check(&bundle, &Options::default()).unwrap();
    let mut random = fastrand::Rng::with_seed(8);
    let mut noticed = 0;
    for _ in 0..200 {
        let mut bad = good.clone();
        let at = random.usize(..bad.len());
        bad[at] ^= 1 << random.u8(..8);
        fs::write(&bundle, &bad).unwrap();
        let report = evidence::check(&bundle, &Options::default()).unwrap();
        assert!(!report.is_confirmed() || report == expected, "byte {at}");
        noticed += usize::from(!report.is_confirmed());
    }
    assert!(noticed > 190, "{noticed}");
    for cut in [0, 1, good.len() / 2, good.len() - 1] {
        fs::write(&bundle, &good[..cut]).unwrap();
        verify(&bundle, &[]).expect(1);
    }
}

#[test]
fn a_verdict_that_does_not_follow_from_the_digests_is_not_confirmed() {
    let folder = Folder::new();
    let bundle = folder.path("tampered.tar.zst");
    Bucket::new(&[Tamper::ModifyLog, Tamper::ModifyDigest, Tamper::DeleteLog]).bundle(&bundle);
    let zeros = "0".repeat(64);
    for (name, from, to) in [
        ("a changed log file called valid", r#""verdict":"hash_mismatch""#, r#""verdict":"valid""#),
        ("a changed digest called valid", r#""verdict":"invalid""#, r#""verdict":"valid""#),
        ("a valid digest called invalid", r#""verdict":"valid""#, r#""verdict":"invalid""#),
        ("another hash", r#""hash_value":""#, &format!(r#""hash_value":"{zeros}","hash":""#)),
    ] {
        let directory = unpack(&bundle, &folder.path(name));
        replace(&directory.join("verdicts.ndjson"), from, to);
        seal_again(&directory);
        let ours = verify(&directory, &[]).expect(1).stdout;
        let theirs = verify_py(&directory, &[]).expect(1).stdout;
        for told in [&ours, &theirs] {
            assert!(told.contains("NOT CONFIRMED: s3://example-books-cloudtrail/AWSLogs/"), "{name}: {told}");
        }
    }
}

#[test]
fn digests_signed_by_somebody_else_convince_only_who_takes_his_keys() {
    let folder = Folder::new();
    let (bundle, _) = clean(&folder);
    let pem = folder.text("other.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &pem])
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no openssl");
        return;
    }
    let other = SigningKey::parse(&fs::read(&pem).unwrap()).unwrap();
    let mine = folder.write(
        "mine.json",
        other.public_keys_json("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z").as_bytes(),
    );
    let told = verify(&bundle, &["--public-keys", &mine]).expect(1).stdout;
    assert!(
        told.contains("public key not found") && told.contains("public keys          your own"),
        "{told}"
    );
}

#[test]
fn one_digest_can_be_verified_with_openssl() {
    let folder = Folder::new();
    let (_, directory) = clean(&folder);
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("skipped: there is no openssl");
        return;
    }
    let readme = fs::read_to_string(directory.join("README.txt")).unwrap();
    let commands: Vec<&str> = readme.lines().filter(|line| line.starts_with("  ")).map(str::trim).collect();
    let with = |start: &str| *commands.iter().find(|command| command.starts_with(start)).unwrap();
    let python = system_python();
    for command in [with("sha256sum --check"), with("python3 verify.py --export"), with("openssl dgst")] {
        let command = command.split("     ").next().unwrap().replace("python3", &python);
        let run: Run =
            Command::new("sh").args(["-c", &command]).current_dir(&directory).output().unwrap().into();
        let run = run.expect(0);
        assert!(!command.contains("openssl") || run.stdout.contains("Verified OK"), "{}", run.stdout);
    }
}

#[test]
fn log_files_at_hand_that_were_changed_since_are_told_apart() {
    let folder = Folder::new();
    let (bundle, directory) = clean(&folder);
    let logs = folder.path("logs");
    Bucket::new(&[Tamper::ModifyLog, Tamper::DeleteLog]).copy_logs(&logs);
    let more = ["--logs", logs.to_str().unwrap()];
    let ours = verify(&bundle, &more).expect(1).stdout;
    assert_eq!(ours, verify_py(&directory, &more).expect(1).stdout);
    assert!(ours.contains("1 not there, 1 other than the digest says"), "{ours}");
    assert!(ours.contains("the file at hand is not the one that the bundle speaks of"), "{ours}");
}

#[test]
fn the_same_check_gives_the_same_bundle_but_for_its_times() {
    let folder = Folder::new();
    let (one, two) = (folder.path("one"), folder.path("two"));
    let bucket = Bucket::new(&[Tamper::ModifyLog]);
    bucket.bundle(&folder.path("1.tar.zst"));
    bucket.bundle(&folder.path("2.tar.zst"));
    let (one, two) = (unpack(&folder.path("1.tar.zst"), &one), unpack(&folder.path("2.tar.zst"), &two));
    for (left, right) in files(&one).iter().zip(files(&two)) {
        let name = left.strip_prefix(&one).unwrap().to_str().unwrap();
        if !["manifest.json", "SHA256SUMS"].contains(&name) {
            assert!(fs::read(left).unwrap() == fs::read(right).unwrap(), "{name}");
        }
    }
}

#[test]
fn evidence_is_never_replaced_and_never_half_there() {
    let folder = Folder::new();
    let path = folder.path("bundle.tar.zst");
    drop(EvidenceWriter::create(&path).unwrap());
    assert!(!path.exists() && fs::read_dir(folder.path("")).unwrap().next().is_none());
    fs::write(&path, "mine").unwrap();
    let error = EvidenceWriter::create(&path).unwrap_err().to_string();
    assert!(error.contains("is there already"), "{error}");
}

#[test]
fn an_archive_that_leads_out_of_its_folder_is_no_bundle() {
    let folder = Folder::new();
    for name in ["trailq-evidence/../outside", "/tmp/trailq-outside", "other/README.txt"] {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(1);
        header.set_mode(0o644);
        header.set_cksum();
        let mut archive = tar::Builder::new(Vec::new());
        archive.append(&header, &b"x"[..]).unwrap();
        let packed = zstd::encode_all(&archive.into_inner().unwrap()[..], 1).unwrap();
        let bundle = folder.write("bad.tar.zst", &packed);
        let told = verify(Path::new(&bundle), &[]).expect(1).stdout;
        assert!(told.contains("a file that no bundle has"), "{told}");
    }
    assert!(!Path::new("/tmp/trailq-outside").exists());
    verify(&folder.path("nothing"), &[]).expect(2);
}

/// Writes the whole copy of a bucket.
fn copy(folder: &Folder, name: &str, tamper: &[Tamper]) -> String {
    let options = generate::Options {
        accounts: 2,
        regions: vec!["us-east-1".into(), "eu-west-1".into()],
        days: 2,
        volume: Volume::Total(2000),
        bucket: name.to_owned(),
        tamper: tamper.to_vec(),
        backfill: true,
        ..generate::Options::default()
    };
    let dir = folder.path(name);
    generate::write_directory(&options, &SigningKey::demonstration().unwrap(), &dir).unwrap();
    dir.to_str().unwrap().to_owned()
}

#[test]
fn validate_logs_writes_evidence_that_both_checkers_confirm() {
    let folder = Folder::new();
    for (name, tamper, code) in [
        ("clean", &[][..], 0),
        ("tampered", &Tamper::ALL[..], 1),
        ("changed-digest", &[Tamper::ModifyDigest][..], 1),
        ("swapped", &[Tamper::SwapSignature][..], 1),
        ("less", &[Tamper::DeleteLog, Tamper::DeleteDigest][..], 1),
    ] {
        let logs = copy(&folder, name, tamper);
        let bundle = folder.text(&format!("{name}.tar.zst"));
        let run = trailq(&["validate-logs", "--local", &logs, "--evidence", &bundle]).expect(code);
        assert!(run.stderr.contains(&format!("evidence: {bundle}, ")), "{name}: {}", run.stderr);
        let directory = unpack(Path::new(&bundle), &folder.path(&format!("{name}-unpacked")));
        for more in [&[][..], &["--logs", &logs]] {
            let ours = verify(Path::new(&bundle), more).expect(0);
            assert_eq!(ours.stdout, verify_py(&directory, more).expect(0).stdout, "{name}");
            let is_tampered = ours.stdout.contains("invalid") || ours.stdout.contains("missing");
            assert_eq!(is_tampered, code == 1, "{name}: {}", ours.stdout);
        }
        let seal = digest::sha256_hex(&fs::read(directory.join("SHA256SUMS")).unwrap());
        assert!(run.stderr.contains(&format!("seal {seal}")), "{}", run.stderr);
    }
    let manifest = fs::read(folder.path("tampered-unpacked/trailq-evidence/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["about"]["buckets"], serde_json::json!(["tampered"]));
    assert_eq!(manifest["about"]["accounts"], serde_json::json!(["111122223333", "444455556666"]));
    let log_files = &manifest["counts"]["log_files"];
    assert_eq!((&log_files["hash_mismatch"], &log_files["unlisted"]), (&1.into(), &1.into()), "{log_files}");
}

#[test]
fn a_bundle_that_exists_is_not_replaced_by_another_check() {
    let folder = Folder::new();
    let logs = copy(&folder, "twice", &[]);
    let bundle = folder.write("mine.tar.zst", b"mine");
    let run = trailq(&["validate-logs", "--local", &logs, "--evidence", &bundle]).expect(255);
    assert!(run.stderr.contains("is there already"), "{}", run.stderr);
    assert_eq!(fs::read(&bundle).unwrap(), b"mine");
}
