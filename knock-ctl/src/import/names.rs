//! Names for doors: knockd takes any text, and the same one twice.

use std::collections::BTreeSet;

use super::knockd::KnockdDoor;
use super::notes::Notes;
use crate::config::DoorName;

/// A name for each door, in their order, no two alike.
pub(super) fn assign(doors: &[KnockdDoor], notes: &mut Notes) -> Vec<DoorName> {
    let mut taken: BTreeSet<String> = doors
        .iter()
        .filter_map(|door| door.name.parse().ok())
        .map(|name: DoorName| name.to_string())
        .collect();
    let mut kept = BTreeSet::new();
    let mut names = Vec::with_capacity(doors.len());
    for door in doors {
        let name = match door.name.parse::<DoorName>() {
            Ok(name) if kept.insert(name.clone()) => name,
            Ok(name) => {
                let name = free(name.as_str(), &mut taken);
                let message = format!("a second door is called {:?}", door.name);
                notes.warn(door.place, message, format!("it is called {:?} from here on", name.as_str()));
                name
            }
            Err(error) => {
                let name = free(&fitting(&door.name), &mut taken);
                let message = format!("{:?} cannot be a door's name: {error}", door.name);
                notes.warn(door.place, message, format!("it is called {:?} from here on", name.as_str()));
                name
            }
        };
        names.push(name);
    }
    names
}

/// The text with "-" for each character that no name has, cut to leave room for a number.
fn fitting(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let name: String = text.trim().chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    if name.is_empty() { "door".to_owned() } else { name }
}

/// `wanted`, or the first of `wanted-2`, `wanted-3`... that no door has.
fn free(wanted: &str, taken: &mut BTreeSet<String>) -> DoorName {
    let candidates = (1_u64..).map(|number| {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let end = wanted.len().min(DoorName::MAX_BYTES - suffix.len());
        format!("{}{suffix}", &wanted[..end])
    });
    for candidate in candidates {
        if let Ok(name) = candidate.parse()
            && taken.insert(candidate)
        {
            return name;
        }
    }
    unreachable!("there are more numbers than doors")
}
