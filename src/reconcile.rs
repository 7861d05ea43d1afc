//! The three-way difference of bucket, digests and lake.
