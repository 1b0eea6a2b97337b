//! Names of network interfaces.

use std::fmt;
use std::str::FromStr;

use nix::net::if_::if_indextoname;

/// A name that an interface can have: 1 to 15 bytes without '/', ':' and white space, and neither "." nor ".."
/// (dev_valid_name() in net/core/dev.c). An interface need not have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceName(String);

/// A text that no interface can be named.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of an interface: that is 1 to 15 bytes without '/', ':' or white space")]
pub struct InvalidName(String);

const MAX_LENGTH: usize = libc::IFNAMSIZ - 1;

impl InterfaceName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InterfaceName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        // White space as the kernel's isspace() has it: also 0xa0, which in UTF-8 is no character of its own.
        let forbidden = |character: char| {
            matches!(character, '/' | ':') || character.is_whitespace() || character.is_control()
        };
        let valid = (1..=MAX_LENGTH).contains(&text.len())
            && text != "."
            && text != ".."
            && !text.contains(forbidden);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidName(text.to_owned())) }
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of the interface with this index; `None`: there is none.
pub fn name_of(index: u32) -> Option<String> {
    let name = if_indextoname(index).ok()?;
    // nix 0.30 does not notice the error.
    (!name.is_empty()).then(|| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_has_a_name_as_long_as_its_interface_is_there() {
        assert_eq!(name_of(1).as_deref(), Some("lo"));
        for index in [0, i32::MAX as u32] {
            assert_eq!(name_of(index), None);
        }
    }

    #[test]
    fn names_are_held_to_the_kernels_rules() {
        for name in ["lo", "eth0", "enp0s31f6", "br-1a2b3c4d5e6f", "wan.100", "übel"] {
            assert_eq!(name.parse::<InterfaceName>().unwrap().as_str(), name);
        }
        for name in
            ["", ".", "..", "a/b", "../eth0", "eth 0", "eth0\n", "eth0\0", "eth0:1", "sixteen-letters-"]
        {
            assert_eq!(name.parse::<InterfaceName>(), Err(InvalidName(name.to_owned())));
        }
    }
}
