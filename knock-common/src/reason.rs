//! Why a packet passed or was dropped.

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    Pass,
    Drop,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal => $verdict:ident,)*) => {
        /// The one reason that decided about a packet; the kernel program counts each per CPU.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self {
                    $(Self::$variant => Verdict::$verdict,)*
                }
            }
        }
    };
}

reasons! {
    NotIp = "not_ip" => Pass,
    Malformed = "malformed" => Drop,
    /// A later fragment: without its first it comes to nothing.
    Fragment = "fragment" => Pass,
    FragmentLimit = "fragment_limit" => Drop,
    /// Not sent to one of the `destinations`.
    NotOurs = "not_ours" => Pass,
    OtherProtocol = "other_protocol" => Pass,
    Icmp = "icmp" => Pass,
    /// From a scanner that is held.
    Held = "held" => Drop,
    Public = "public" => Pass,
    Flow = "flow" => Pass,
    Trusted = "trusted" => Pass,
    Granted = "granted" => Pass,
    /// A knock on a port that is not protected: the kernel answers it like any closed port.
    Knock = "knock" => Pass,
    /// To a port that nothing was said about.
    Unlisted = "unlisted" => Pass,
    /// To a protected port, without a grant.
    NoGrant = "no_grant" => Drop,
    PolicyDrop = "policy_drop" => Drop,
    /// A change that was not confirmed in time is no longer in force.
    Unconfirmed = "unconfirmed" => Pass,
    /// Would be dropped, were the rules enforced.
    WouldDrop = "would_drop" => Pass,
}

/// Places for reasons in the counters' map value; more than there are, so that its layout outlives a new one.
pub const REASON_SLOTS: usize = 32;

/// Interfaces whose packets are counted apart, a power of two: those with equal remainders are counted together.
pub const COUNTED_INTERFACES: u32 = 64;

const _: () = assert!(Reason::ALL.len() <= REASON_SLOTS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_stable() {
        let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        let written = "not_ip, malformed, fragment, fragment_limit, not_ours, other_protocol, icmp, held, public, flow, \
                       trusted, granted, knock, unlisted, no_grant, policy_drop, unconfirmed, would_drop";
        assert_eq!(names.join(", "), written);
        for (number, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, number);
        }
    }
}
