//! Runs the start and stop commands of doors, within limits.
