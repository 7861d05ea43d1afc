//! Small files that lie beside the tables.

use std::sync::Arc;

use anyhow::{Context, Result};
use deltalake::logstore::object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path,
};
use futures::TryStreamExt;

use super::Lake;
use super::tables::Kind;

impl Lake {
    /// Reads a small file that lies beside the tables, if it is there.
    pub(crate) async fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let (store, path) = self.place_of(name)?;
        match store.get(&path).await {
            Ok(found) => {
                let bytes = found.bytes().await.with_context(|| format!("reading {path}"))?;
                Ok(Some(bytes.to_vec()))
            }
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {path}")),
        }
    }

    /// Writes a small file beside the tables, unless it is there.
    pub(crate) async fn write_file(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let (store, path) = self.place_of(name)?;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.put_opts(&path, bytes.into(), create).await {
            Ok(_) | Err(StoreError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("writing {path}")),
        }
    }

    /// The names of the files in a directory beside the tables.
    pub(crate) async fn file_names(&self, directory: &str) -> Result<Vec<String>> {
        let (store, path) = self.place_of(directory)?;
        let listed: Vec<_> = store.list(Some(&path)).try_collect().await?;
        Ok(listed.into_iter().filter_map(|found| Some(found.location.filename()?.to_owned())).collect())
    }

    pub(super) fn place_of(&self, name: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let store = self.table(Kind::Events).log_store.root_object_store(None);
        let url = self.inner.location.url().join(name).with_context(|| format!("the file {name}"))?;
        Ok((store, Path::from_url_path(url.path())?))
    }
}
