//! Killed at any moment, the daemon loses nothing and doubles nothing.
