//! The program as its users run it, against real clients on a small network of namespaces. Needs root.

mod doors;
mod site;
