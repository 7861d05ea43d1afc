//! Tests of the lake as a whole, on real tables in temporary directories.

mod digests;
mod exactly_once;
mod measure;
mod query;
mod support;
mod withdraw;
