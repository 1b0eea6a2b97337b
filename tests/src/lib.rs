//! Packet builder, reference model and network namespace lab.
