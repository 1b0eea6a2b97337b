//! What drops SYNs to ssh.

use std::path::Path;

use anyhow::Result;
use aya::programs::XdpMode;
use knock_tests::lab::{INTERFACE, Lab, Machine};

use crate::defence::{KnockCtl, RECIPE_NFT, restore};
use crate::programs::{Action, Empty, XdpFilter};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropper {
    EmptyNative,
    OursNative,
    XdpFilter,
    EmptyGeneric,
    OursGeneric,
    NftIngress,
    IptablesRaw,
    IptablesFilter,
    NftRecipe,
}

/// Dropped when dropped.
pub enum InPlace {
    Empty { _program: Empty },
    Ours { _attached: KnockCtl },
    Rules,
}

const CONFIG: &str = "[doors.ssh]\nsequence = [7000, 8000, 9000]\nopens = [\"22/tcp\"]\n";

const NFT_INGRESS: &str = "table netdev closed {
    chain ingress {
        type filter hook ingress device eth0 priority 0; policy accept;
        tcp dport 22 drop
    }
}
";
const IPTABLES_RAW: &str = "*raw\n:PREROUTING ACCEPT\n-A PREROUTING -p tcp --dport 22 -j DROP\nCOMMIT\n";
const IPTABLES_FILTER: &str = "*filter\n:INPUT ACCEPT\n-A INPUT -p tcp --dport 22 -j DROP\nCOMMIT\n";

impl Dropper {
    pub const ALL: [Self; 9] = [
        Self::EmptyNative,
        Self::OursNative,
        Self::XdpFilter,
        Self::EmptyGeneric,
        Self::OursGeneric,
        Self::NftIngress,
        Self::IptablesRaw,
        Self::IptablesFilter,
        Self::NftRecipe,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::EmptyNative => "an XDP program that drops everything",
            Self::OursNative => "knock-ctl",
            Self::XdpFilter => "xdp-filter",
            Self::EmptyGeneric => "the same program in generic mode",
            Self::OursGeneric => "knock-ctl in generic mode",
            Self::NftIngress => "nftables, at the ingress hook",
            Self::IptablesRaw => "iptables, in raw",
            Self::IptablesFilter => "iptables, in filter",
            Self::NftRecipe => "nftables recipe, with connection tracking",
        }
    }

    /// On the lab's server.
    ///
    /// # Errors
    /// When it can't be put there, as when it is not installed.
    pub fn start(self, lab: &Lab, folder: &Path) -> Result<InPlace> {
        let rules = |program, rules| restore(lab, program, rules).map(|()| InPlace::Rules);
        let ours = |mode| {
            let attached = KnockCtl::attach_in(lab, folder, CONFIG, mode)?;
            anyhow::Ok(InPlace::Ours { _attached: attached })
        };
        let empty = |mode| {
            let mut empty = Empty::load(Action::Drop)?;
            lab.enter(Machine::Server, || empty.attach(INTERFACE, mode))??;
            anyhow::Ok(InPlace::Empty { _program: empty })
        };
        match self {
            Self::EmptyNative => empty(XdpMode::Driver),
            Self::EmptyGeneric => empty(XdpMode::Skb),
            Self::OursNative => ours("native"),
            Self::OursGeneric => ours("generic"),
            Self::XdpFilter => {
                XdpFilter::attach(lab.namespace(Machine::Server), INTERFACE, 22).map(|()| InPlace::Rules)
            }
            Self::NftIngress => rules("nft", NFT_INGRESS),
            Self::IptablesRaw => rules("iptables-restore", IPTABLES_RAW),
            Self::IptablesFilter => rules("iptables-restore", IPTABLES_FILTER),
            Self::NftRecipe => rules("nft", RECIPE_NFT),
        }
    }
}
