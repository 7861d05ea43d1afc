//! `trailq collect-metadata`: saves what a copy of a bucket would lose.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use chrono::NaiveDate;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::aws::Access;
use crate::bucket::Wanted;
use crate::bucket::{METADATA_FILE, PUBLIC_KEYS_FILE};
use crate::collect::{Collected, collect_metadata, collect_public_keys};

/// Save the signatures of digests beside a local copy of their bucket
///
/// S3 keeps the signature of a digest in the metadata of the object, where `aws s3 sync` does not look. This
/// asks for it, digest by digest, and writes all of them into one file. Beside the folder of the copy's logs, it lets
/// the copy be validated. What the file has already is not asked for again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bucket, or a part of it
    #[arg(value_name = "s3://BUCKET[/PREFIX]")]
    source: String,

    /// The file to write to, or to add to
    #[arg(long, value_name = "FILE", default_value = METADATA_FILE)]
    to: PathBuf,

    /// Write the public keys of the time as well, into public-keys.json beside the file
    #[arg(long)]
    public_keys: bool,

    /// Digests from this day on (UTC)
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<NaiveDate>,

    /// Digests up to this day, included (UTC)
    #[arg(long, value_name = "YYYY-MM-DD")]
    to_date: Option<NaiveDate>,

    /// Digests of this account; may be repeated
    #[arg(long, value_name = "ID")]
    account: Vec<String>,

    /// Digests of this region; may be repeated
    // The daemon's settings have a `region` that says something else.
    #[arg(id = "regions", long = "region", value_name = "REGION")]
    region: Vec<String>,

    #[command(flatten)]
    access: Access,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    let wanted = Wanted {
        accounts: args.account,
        regions: args.region,
        from: args.from,
        to: args.to_date,
        kind: None,
    };
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let bar = ProgressBar::hidden();
    if std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template(
            "{bar:30} {pos} of {len} digests, {per_sec}, {eta} left",
        )?);
    }
    let told = bar.clone();
    let progress = move |done, total| {
        told.set_length(total);
        told.set_position(done);
    };
    let collected =
        collect_metadata(&args.source, &wanted, &args.to, &args.access.store(), &stop, progress).await?;
    bar.finish_and_clear();
    let mut keys = None;
    if args.public_keys && !collected.stopped {
        let path = args.to.with_file_name(PUBLIC_KEYS_FILE);
        keys = Some((collect_public_keys(&args.to, &path, &args.access.cloudtrail()).await?, path));
    }
    let mut out = std::io::stdout().lock();
    tell(&collected, &args.to.display().to_string(), &mut out)
        .and_then(|()| match keys {
            Some((count, path)) => writeln!(out, "{}: {count} public keys", path.display()),
            None => Ok(()),
        })
        .context("writing to standard output")?;
    Ok(if collected.stopped { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

fn tell(collected: &Collected, to: &str, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let Collected { digests, known, added, unsigned, gone, stopped } = collected;
    writeln!(out, "{to}: {digests} digests, {known} of them known before, {added} added")?;
    if *unsigned > 0 {
        writeln!(out, "{unsigned} of them carry no signature, and cannot be validated")?;
    }
    if *gone > 0 {
        writeln!(out, "{gone} digests were gone when their metadata was asked for")?;
    }
    if *stopped {
        writeln!(out, "stopped before the end: run the same command again to go on")?;
    }
    Ok(())
}

async fn stop_on_signal(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
    }
}
