//! Writes a generated bucket to a directory: the objects under their keys, and beside `AWSLogs` what is no
//! object (see [`crate::bucket::LocalBucket`], which reads it).

use super::signing::SigningKey;
use super::{GeneratedObject, Options, Summary, generate, plan};
use crate::bucket::{METADATA_FILE, PUBLIC_KEYS_FILE};
use anyhow::{Context as _, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Name of the tree that holds all objects.
const TREE: &str = "AWSLogs";

/// Generates a bucket into a directory, which is created if needed.
pub fn write_directory(options: &Options, key: &SigningKey, out: &Path) -> Result<Summary> {
    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let mut objects = BTreeMap::new();
    // First of all, so that what an interrupted run leaves behind is known for generated.
    write_metadata(options, &objects, out)?;
    let summary = generate(options, key, |object| {
        write_object(out, &object)?;
        if !object.metadata.is_empty() {
            objects.insert(object.key, object.metadata);
        }
        Ok(())
    })?;
    write_metadata(options, &objects, out)?;
    let (from, until) = plan::span(options);
    write(&out.join(PUBLIC_KEYS_FILE), key.public_keys_json(&from, &until).as_bytes())?;
    Ok(summary)
}

/// Returns whether a directory holds what [`write_directory`] wrote.
pub fn is_generated(directory: &Path) -> bool {
    #[derive(serde::Deserialize)]
    struct Marker {
        generator: String,
    }
    let text = fs::read(directory.join(METADATA_FILE)).unwrap_or_default();
    serde_json::from_slice::<Marker>(&text).is_ok_and(|marker| marker.generator == GENERATOR)
}

/// Removes what [`write_directory`] wrote, and leaves everything else in the directory alone.
pub fn remove_generated(directory: &Path) -> Result<()> {
    let tree = directory.join(TREE);
    if tree.is_dir() {
        fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))?;
    }
    for name in [METADATA_FILE, PUBLIC_KEYS_FILE] {
        let path = directory.join(name);
        if path.is_file() {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

const GENERATOR: &str = "trailq generate";

#[derive(Serialize)]
struct MetadataFile<'a> {
    generator: &'static str,
    bucket: &'a str,
    objects: &'a Objects,
}

/// User metadata by key.
type Objects = BTreeMap<String, BTreeMap<String, String>>;

fn write_metadata(options: &Options, objects: &Objects, out: &Path) -> Result<()> {
    let metadata = MetadataFile { generator: GENERATOR, bucket: &options.bucket, objects };
    let mut text = serde_json::to_string_pretty(&metadata).context("formatting the metadata")?;
    text.push('\n');
    write(&out.join(METADATA_FILE), text.as_bytes())
}

fn write_object(out: &Path, object: &GeneratedObject) -> Result<()> {
    let path = out.join(&object.key);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    write(&path, &object.bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}
