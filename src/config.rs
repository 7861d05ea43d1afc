//! Flags, environment and a TOML file to one set of options.
