//! The daemon against real S3 and SQS servers.
