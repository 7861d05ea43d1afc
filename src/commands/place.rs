//! Where the lake is: the flag of the commands that need one that exists.

use anyhow::Result;

use crate::lake::Lake;

// No doc comment: clap would take it for the help of the command.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The lake: a directory or an S3 URL
    #[arg(long, value_name = "LOCATION", env = "TRAILQ_LAKE", default_value = "./trailq-lake")]
    pub(super) lake: String,
}

impl Place {
    /// For reading.
    pub(super) async fn read(&self) -> Result<Lake> {
        Lake::open(&self.lake).await
    }

    /// For writing; a lake that is not there is not created.
    pub(super) async fn write(&self) -> Result<Lake> {
        Lake::open(&self.lake).await?;
        Lake::open_or_create(&self.lake).await
    }
}
