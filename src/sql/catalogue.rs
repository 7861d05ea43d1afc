//! What SQL names in a lake besides its tables: views, other names of `cloudtrail_logs`, tables made by a query.
//!
//! Each is one object below `catalogue/` in the lake, so that naming one thing never touches another. A
//! session over log files without a lake keeps them in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::object_store::path::{Path, PathPart};
use datafusion::object_store::{ObjectStore, ObjectStoreExt};
use futures::TryStreamExt;
use tokio::sync::Mutex;

const FOLDER: &str = "catalogue";

/// The folder of what was inserted into tables: `parts/<table>/<file>`.
const PARTS: &str = "parts";

/// Something that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A view: its query.
    View(String),
    /// Another name of `cloudtrail_logs`.
    Synonym,
    /// A table made by queries: where its Parquet files are in the store, that of CREATE TABLE first.
    Table(Vec<Path>),
}

/// The names of a lake.
#[derive(Debug)]
pub(super) struct Catalogue {
    place: Option<Place>,
    /// What is there; nothing is read before somebody asks.
    entries: Mutex<Option<BTreeMap<String, Entry>>>,
}

#[derive(Debug)]
struct Place {
    store: Arc<dyn ObjectStore>,
    url: ObjectStoreUrl,
    folder: Path,
}

impl Catalogue {
    /// The catalogue of the lake at `root` in `store`, which sessions know under `url`.
    pub(super) fn in_lake(store: Arc<dyn ObjectStore>, url: ObjectStoreUrl, root: &Path) -> Self {
        let folder = root.clone().join(FOLDER);
        Self { place: Some(Place { store, url, folder }), entries: Mutex::new(None) }
    }

    /// A catalogue that ends with the session.
    pub(super) fn in_memory() -> Self {
        Self { place: None, entries: Mutex::new(Some(BTreeMap::new())) }
    }

    /// The store that the files of tables are in, if there is one.
    pub(super) fn store(&self) -> Option<&Arc<dyn ObjectStore>> {
        self.place.as_ref().map(|place| &place.store)
    }

    /// All names.
    pub(super) async fn entries(&self) -> Result<BTreeMap<String, Entry>> {
        let mut entries = self.entries.lock().await;
        if let Some(entries) = &*entries {
            return Ok(entries.clone());
        }
        let read = match &self.place {
            Some(place) => place.read().await.context("reading the lake's catalogue of views")?,
            None => BTreeMap::new(),
        };
        Ok(entries.insert(read).clone())
    }

    /// What has this name.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Entry>> {
        Ok(self.entries().await?.remove(name))
    }

    /// Gives a name to something, whatever had it before.
    pub(super) async fn put(&self, name: &str, entry: Entry) -> Result<()> {
        let known = self.entries().await?;
        if let Some(place) = &self.place {
            let writing = || format!("writing '{name}' into the lake's catalogue");
            if let Some(old) =
                known.get(name).filter(|old| place.object(name, old) != place.object(name, &entry))
            {
                place.remove(name, old).await.with_context(writing)?;
            }
            let content = match &entry {
                Entry::View(sql) => sql.clone(),
                // A table's file is there already, and is all there is to it.
                Entry::Table(_) | Entry::Synonym => String::new(),
            };
            if !matches!(entry, Entry::Table(_)) {
                place.store.put(&place.object(name, &entry), content.into()).await.with_context(writing)?;
            }
        }
        self.entries.lock().await.get_or_insert_default().insert(name.to_owned(), entry);
        Ok(())
    }

    /// Adds a file to a table.
    pub(super) async fn add_part(&self, name: &str, part: Path) -> Result<Vec<Path>> {
        let Some(Entry::Table(mut files)) = self.get(name).await? else { return Ok(vec![part]) };
        files.push(part);
        let entry = Entry::Table(files.clone());
        self.entries.lock().await.get_or_insert_default().insert(name.to_owned(), entry);
        Ok(files)
    }

    /// Takes a name away.
    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        let Some(entry) = self.get(name).await? else { return Ok(()) };
        if let Some(place) = &self.place {
            let removing = || format!("removing '{name}' from the lake's catalogue");
            place.remove(name, &entry).await.with_context(removing)?;
        }
        self.entries.lock().await.get_or_insert_default().remove(name);
        Ok(())
    }

    /// The address under which a session reads an object of the lake.
    pub(super) fn address(&self, path: &Path) -> Option<String> {
        self.place.as_ref().map(|place| format!("{}{path}", place.url))
    }

    /// Where the file of a new table is to be, if there is a lake to put it into.
    pub(super) fn table_path(&self, name: &str) -> Option<Path> {
        self.place
            .as_ref()
            .map(|place| place.folder.clone().join("tables").join(PathPart::from(format!("{name}.parquet"))))
    }

    /// Where further rows of a table are to be. Each INSERT has a file of its own, so that no two get into each
    /// other's way and all of its rows are there at once.
    pub(super) fn part_path(&self, name: &str) -> Option<Path> {
        let file = format!("{}.parquet", uuid::Uuid::new_v4());
        self.place.as_ref().map(|place| place.parts(name).join(file))
    }
}

impl Place {
    /// The folder of the rows that were inserted into a table.
    fn parts(&self, name: &str) -> Path {
        self.folder.clone().join(PARTS).join(PathPart::from(name.to_owned()))
    }

    fn object(&self, name: &str, entry: &Entry) -> Path {
        match entry {
            Entry::View(_) => self.folder.clone().join("views").join(PathPart::from(format!("{name}.sql"))),
            Entry::Synonym => self.folder.clone().join("names").join(PathPart::from(name.to_owned())),
            Entry::Table(files) => {
                let path = self.folder.clone().join("tables").join(PathPart::from(format!("{name}.parquet")));
                files.first().cloned().unwrap_or(path)
            }
        }
    }

    /// A table goes before its further rows do: those without a table are of none.
    async fn remove(&self, name: &str, entry: &Entry) -> Result<()> {
        self.store.delete(&self.object(name, entry)).await?;
        if matches!(entry, Entry::Table(_)) {
            self.remove_parts(name).await?;
        }
        Ok(())
    }

    async fn remove_parts(&self, name: &str) -> Result<()> {
        let parts: Vec<_> = self.store.list(Some(&self.parts(name))).try_collect().await?;
        for part in parts {
            self.store.delete(&part.location).await?;
        }
        Ok(())
    }

    async fn read(&self) -> Result<BTreeMap<String, Entry>> {
        let objects: Vec<_> = self.store.list(Some(&self.folder)).try_collect().await?;
        let mut entries = BTreeMap::new();
        let mut inserted: BTreeMap<String, Vec<Path>> = BTreeMap::new();
        for object in objects {
            let parts: Vec<String> = object
                .location
                .prefix_match(&self.folder)
                .into_iter()
                .flatten()
                .map(|part| decoded(&part))
                .collect();
            let [kind, file] = parts.as_slice() else {
                if let [kind, table, _] = parts.as_slice()
                    && kind == PARTS
                {
                    inserted.entry(table.clone()).or_default().push(object.location);
                }
                continue;
            };
            let entry = match (kind.as_str(), file.rsplit_once('.')) {
                ("names", _) => (file.clone(), Entry::Synonym),
                ("views", Some((name, "sql"))) => {
                    let bytes = self.store.get(&object.location).await?.bytes().await?;
                    (name.to_owned(), Entry::View(String::from_utf8_lossy(&bytes).into_owned()))
                }
                ("tables", Some((name, "parquet"))) => (name.to_owned(), Entry::Table(vec![object.location])),
                _ => continue,
            };
            entries.insert(entry.0, entry.1);
        }
        for (table, parts) in inserted {
            if let Some(Entry::Table(files)) = entries.get_mut(&table) {
                files.extend(parts);
            }
        }
        Ok(entries)
    }
}

/// The name that a part of a path was made of.
fn decoded(part: &PathPart<'_>) -> String {
    percent_encoding::percent_decode_str(part.as_ref()).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use datafusion::object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn what_one_session_names_the_next_one_finds() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let root = Path::from("some/lake");
        let url = ObjectStoreUrl::parse("memory://").unwrap();
        let open = || Catalogue::in_lake(store.clone(), url.clone(), &root);
        let first = open();
        let view = Entry::View("SELECT 1 AS one".to_owned());
        first.put("../odd name/é", view.clone()).await.unwrap();
        first.put("cloudtrail_logs_prod", Entry::Synonym).await.unwrap();
        let second = open();
        assert_eq!(second.get("../odd name/é").await.unwrap(), Some(view));
        assert_eq!(second.get("cloudtrail_logs_prod").await.unwrap(), Some(Entry::Synonym));
        second.put("cloudtrail_logs_prod", Entry::View("SELECT 2 AS two".to_owned())).await.unwrap();
        second.remove("../odd name/é").await.unwrap();
        let third = open().entries().await.unwrap();
        assert_eq!(third.into_keys().collect::<Vec<_>>(), ["cloudtrail_logs_prod"]);
    }
}
