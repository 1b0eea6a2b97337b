//! The ways to attach the filter.

/// How the kernel program meets packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Native,
    Generic,
}

impl Mode {
    /// As the command line and the log have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// As `ip link` has it.
    pub fn as_link_shows(self) -> &'static str {
        match self {
            Self::Native => "xdp",
            Self::Generic => "xdpgeneric",
        }
    }
}

/// Makes tests of functions that take a [`Mode`]: `name::native` and `name::generic`.
#[macro_export]
macro_rules! in_each_mode {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            use $crate::site::Mode;

            #[test]
            fn native() {
                if $crate::lab::privileged() {
                    super::$name(Mode::Native);
                }
            }

            #[test]
            fn generic() {
                if $crate::lab::privileged() {
                    super::$name(Mode::Generic);
                }
            }
        }
    )+};
}
