//! What digests and log files together say: which log files are proven.
