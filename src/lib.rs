//! trailq: the CloudTrail lake that you run yourself.
//!
//! CloudTrail puts log files into a bucket; trailq puts their records into a lake of Parquet files,
//! each log file once, and answers questions in SQL. Data flows one way, through pure functions, with
//! I/O at the ends only:
//!
//! ```text
//!  directories, globs, s3://…                                    digest files
//!           │                                                         │
//!        source ── object (what a key says)                        digest ─ signature, link
//!           │                                                         │
//!        store (bytes)                                            validation
//!           │                                                         │
//!        log_file: inflate, SHA-256 ─────────── hashes ──────────────▶│
//!           │                                                         ▼
//!        event: records ▶ rows                                     findings
//!           │
//!        lake: Parquet files, one atomic commit
//!           │
//!        sql ── output ── you
//! ```
//!
//! The modules, in the order in which the data meets them:
//!
//! | module | owns | has never heard of |
//! |---|---|---|
//! | [`source`] | files, directories, globs, listings to log files | their contents |
//! | [`object`] | what a bucket key says | fetching |
//! | [`store`] | an address to bytes: S3, local files | CloudTrail |
//! | [`log_file`] | bytes to text and hash: gzip, zstd, limits | JSON, Arrow, S3 |
//! | [`json`] | where a JSON value ends, and whether it is one | what it means |
//! | [`event`] | text to records to rows, and rows back to records | Delta, I/O |
//! | [`lake`] | three Delta tables, and commits that add a log file once | SQS, gzip, JSON |
//! | [`ingest`] | the loop from sources to commits | columns, wire formats |
//! | [`quarantine`] | what was set aside, read again | SQL, printing |
//! | [`digest`] | a digest file, its signature, its link to the one before | where bytes come from |
//! | [`bucket`] | the folders of a bucket by day, and its objects | what is in them |
//! | [`collect`] | what a copy of a bucket would lose | verdicts |
//! | [`validation`] | a bucket's digests and log files to findings | printing |
//! | [`evidence`] | what a validation went by, for somebody else to repeat it | S3, the lake |
//! | [`sql`] | the DataFusion session, its tables, functions and errors | printing |
//! | [`output`] | rows to tables, CSV, JSON and Parquet | where rows came from |
//! | [`generate`] | logs of an organization that does not exist | the rest |
//! | [`commands`] | arguments and exit codes; only here are clap and stdout known | |
//!
//! All state is in the lake, so recovery is running the same step again. Read `ingest` for the loop,
//! `lake` for the promise that each log file is there once, and `event` for why nothing of a record
//! is lost.

// The futures of a query over an S3 lake nest deeper than the compiler's default allows for.
#![recursion_limit = "256"]

mod aws;
pub mod bucket;
pub mod cloudtrail;
pub mod collect;
pub mod commands;
pub mod config;
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
pub mod source;
pub mod sql;
pub mod store;
pub mod validation;
