//! `knock.toml`: from text to checked types, all errors at once.
