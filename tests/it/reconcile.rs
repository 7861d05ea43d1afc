//! Bucket, digests and lake, compared.
