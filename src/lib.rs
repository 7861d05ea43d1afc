//! trailq: the CloudTrail lake that you run yourself.
//!
//! CloudTrail puts log files into a bucket; trailq puts their records into a lake of Parquet files,
//! each log file once, holds them against CloudTrail's signed digests, and answers questions in SQL.
//! Data flows one way, through pure functions, with I/O at the ends only:
//!
//! ```text
//!  SQS ─▶ queue ─▶ notification ─┐
//!                                ├─▶ object ─▶ store (bytes) ──────────────┐
//!  directories, s3://… ─▶ source ┘  (what a                               │
//!           ▲                        key says)                            ▼
//!           │                                    log_file: inflate, hash    digest: signature, link
//!           │                                               │                         │
//!           │                                    event: records ▶ rows                │
//!           │                                               └────────────┬────────────┘
//!           └── messages are deleted ◀── lake: Parquet files, one atomic commit
//!                                                           │
//!                                          integrity: which log files are proven
//!                                                           │
//!                                                 sql ── output ── you
//! ```
//!
//! The modules, in the order in which the data meets them:
//!
//! | module | owns | has never heard of |
//! |---|---|---|
//! | [`config`] | flags, environment and a TOML file to one set of settings | what they set |
//! | [`queue`] | SQS: receive, keep in hand, delete, hand back | what bodies mean |
//! | [`notification`] | a message's body to objects, in eight kinds | SQS, CloudTrail's contents |
//! | [`source`] | files, directories, globs, listings to log files | their contents |
//! | [`object`] | what a bucket key says | fetching |
//! | [`store`] | an address to bytes: S3, local files | CloudTrail |
//! | [`log_file`] | bytes to text and hash: gzip, zstd, limits | JSON, Arrow, S3 |
//! | [`json`] | where a JSON value ends, and whether it is one | what it means |
//! | [`event`] | text to records to rows, and rows back to records | Delta, I/O |
//! | [`lake`] | four Delta tables, and commits that add a log file once | SQS, gzip, JSON |
//! | [`ingest`] | the loop from sources to commits | columns, wire formats |
//! | [`daemon`] | the loop from messages to commits to their deletion | columns, wire formats |
//! | [`metrics`] | what the daemon counts | why |
//! | [`quarantine`] | what was set aside, read again | SQL, printing |
//! | [`digest`] | a digest file, its signature, public keys | where bytes come from |
//! | [`cloudtrail`] | CloudTrail's API: public keys, trails | what they are for |
//! | [`integrity`] | log files and digests to verdicts, whatever came first | SQS, printing |
//! | [`bucket`] | the folders of a bucket, or of a copy, by day, and its objects | what is in them |
//! | [`collect`] | what a copy of a bucket would lose | verdicts |
//! | [`validation`] | a bucket's digests and log files to findings, as the AWS CLI has them | the lake |
//! | [`evidence`] | what a validation went by, for somebody else to repeat it | S3, the lake |
//! | [`reconcile`] | the difference of bucket, digests and lake | printing |
//! | [`sql`] | the DataFusion session, its tables, functions and errors | printing |
//! | [`output`] | rows to tables, CSV, JSON and Parquet | where rows came from |
//! | [`generate`] | logs of an organization that does not exist | the rest |
//! | [`commands`] | arguments and exit codes; only here are clap and stdout known | |
//!
//! All state is on the queue or in the lake, so recovery is running the same step again. Read `ingest`
//! and `daemon` for the loops, `lake` for the promise that each log file is there once, `integrity` for
//! what is proven, and `event` for why nothing of a record is lost.

// The futures of a query over an S3 lake nest deeper than the compiler's default allows for.
#![recursion_limit = "256"]

mod aws;
pub mod bucket;
pub mod cloudtrail;
pub mod collect;
pub mod commands;
pub mod config;
mod contain;
pub mod daemon;
pub mod digest;
pub mod event;
pub mod evidence;
pub mod failpoint;
pub mod generate;
pub mod hex;
pub mod ingest;
pub mod integrity;
pub mod json;
pub mod lake;
pub mod log_file;
pub mod metrics;
pub mod notification;
pub mod object;
pub mod output;
pub mod quarantine;
pub mod queue;
pub mod reconcile;
mod remembered;
pub mod source;
pub mod sql;
pub mod store;
pub mod validation;
