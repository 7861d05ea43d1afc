//! The daemon over a queue and a store that fail by a seed.
