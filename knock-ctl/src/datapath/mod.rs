//! The kernel side as the controller sees it: the embedded program, its maps, its pins and its links.

mod attach;
pub mod bpffs;
mod change;
mod counters;
mod egress;
mod error;
mod foreign;
mod grant_sources;
mod grant_table;
mod link;
mod map_cost;
mod mapped;
mod maps;
mod object;
mod one_time;
mod pins;
mod pod;
mod program;
mod reach;
mod scans;
mod sizes;
mod view;
mod write;

pub use attach::{
    AttachedInterface, FilteredInterface, Mode, attached, detach, filtered_interfaces, is_filtered,
    remove_dead_links,
};
pub use change::Unconfirmed;
pub use counters::PacketCounters;
pub use egress::EgressHook;
pub use error::DatapathError;
pub use foreign::{Displaced, ForeignProgram, foreign_program};
pub use maps::{Begun, Maps, TableUse};
pub use object::{is_embedded, object};
pub use pins::Pins;
pub use pod::Shared;
pub use program::{Program, Variant};
pub use sizes::TableSizes;
