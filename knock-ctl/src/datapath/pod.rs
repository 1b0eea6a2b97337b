//! Which types may cross into the kernel as bytes.

use knock_common::address::Address;
use knock_common::connection::{Connections, ConnectionsKey};
use knock_common::drops::DropRecord;
use knock_common::event::Event;
use knock_common::grant::SourceGrants;
use knock_common::reason::REASON_SLOTS;
use knock_common::rules::{
    Control, Door, DoorKey, Edge, EdgeKey, Hit, HitKey, OccurrenceKey, RelationKey, Rules, State, StateKey,
    TargetKey, TrustedKey,
};
use knock_common::scanner::Scan;

/// A key or value of a map, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Shared<T>(pub T);

macro_rules! shared {
    ($($type:ty),* $(,)?) => {
        $(
            // SAFETY: `repr(C)` without implicit padding (knock-common checks the sizes), made of integers alone, so that
            // any bytes of its size are a value of it.
            unsafe impl aya::Pod for Shared<$type> {}
        )*
    };
}

shared! {
    Address,
    Connections,
    ConnectionsKey,
    Control,
    Door,
    DoorKey,
    DropRecord,
    Edge,
    EdgeKey,
    Event,
    Hit,
    HitKey,
    OccurrenceKey,
    RelationKey,
    Rules,
    Scan,
    SourceGrants,
    State,
    StateKey,
    TargetKey,
    TrustedKey,
    [u64; REASON_SLOTS],
    [u64; 256],
}
