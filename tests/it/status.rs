//! How it goes, in ten lines.
