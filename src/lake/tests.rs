//! Tests of the lake as a whole, on real tables in temporary directories.

mod digests;
mod exactly_once;
mod growth;
mod measure;
mod optimize;
mod query;
mod repeated;
mod settled;
mod support;
mod upkeep;
mod withdraw;
