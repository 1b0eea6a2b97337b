//! The programs that tests and the demo run, and the Debian packages that have them.

use crate::workspace::has_program;

/// A Debian package, and what it is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub package: &'static str,
    pub why: &'static str,
}

/// A compiler for the kernel program.
pub const COMPILER: [Need; 2] = [
    Need { package: "rustc-web", why: "it compiles the kernel program" },
    Need { package: "libstd-rust-web-dev-bpf", why: "it is `core` for the kernel's virtual machine" },
];

/// A compiler for libFuzzer.
pub const LIBFUZZER_COMPILER: Need = Need { package: "g++", why: "it compiles libFuzzer" };

/// Each program with its package.
const PROGRAMS: [(&str, Need); 20] = [
    ("knock", Need { package: "knockd", why: "it brings the stock client" }),
    ("nmap", Need { package: "nmap", why: "it scans in tests and the demo" }),
    ("hping3", Need { package: "hping3", why: "it forges and floods in tests" }),
    ("nc", Need { package: "netcat-openbsd", why: "it connects and listens in tests" }),
    ("sshd", Need { package: "openssh-server", why: "it is the service behind the door" }),
    ("ssh", Need { package: "openssh-client", why: "it comes through the door with throwaway keys" }),
    ("ssh-keygen", Need { package: "openssh-client", why: "it comes through the door with throwaway keys" }),
    ("sudo", Need { package: "sudo", why: "it stands between a session and its commands in tests" }),
    ("tmux", Need { package: "tmux", why: "its commands come from no session in tests" }),
    ("curl", Need { package: "curl", why: "it fetches pages in tests" }),
    ("ping", Need { package: "iputils-ping", why: "it tests what passes besides TCP and UDP" }),
    ("traceroute", Need { package: "traceroute", why: "it finds the way out in tests" }),
    (
        "xdp-filter",
        Need { package: "xdp-tools", why: "its program is the stranger on an interface in tests" },
    ),
    ("nft", Need { package: "nftables", why: "it has connections tracked in tests" }),
    ("iptables", Need { package: "iptables", why: "its recipe is what ours is held against in tests" }),
    ("ethtool", Need { package: "ethtool", why: "it sets up interfaces in tests" }),
    ("promtool", Need { package: "prometheus", why: "it shows in tests that alerts fire" }),
    ("tcpdump", Need { package: "tcpdump", why: "it captures what is replayed in tests" }),
    ("ip", Need { package: "iproute2", why: "it makes network namespaces" }),
    ("nsenter", Need { package: "util-linux", why: "it runs programs in network namespaces" }),
];

/// What the bench measures beside ours, and measures with.
const PEERS: [(&str, Need); 9] = [
    ("knockd", Need { package: "knockd", why: "it is a peer in the bench" }),
    ("fwknopd", Need { package: "fwknop-server", why: "it is a peer in the bench" }),
    ("fwknop", Need { package: "fwknop-client", why: "its server is a peer in the bench" }),
    ("xdp-filter", Need { package: "xdp-tools", why: "it is a peer in the bench" }),
    ("bpftool", Need { package: "bpftool", why: "it runs the peer's program in the bench" }),
    ("nft", Need { package: "nftables", why: "its recipe is a peer in the bench" }),
    ("iptables", Need { package: "iptables", why: "its recipe is a peer in the bench" }),
    ("ethtool", Need { package: "ethtool", why: "it sets up interfaces in the bench" }),
    ("ip", Need { package: "iproute2", why: "it makes network namespaces" }),
];

/// The demo's own server stands in for these.
const SSH: [&str; 3] = ["sshd", "ssh", "ssh-keygen"];

/// Of all that tests run.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROGRAMS.iter().map(|(program, _)| *program)
}

const MAKER: (&str, Need) =
    ("mmdebstrap", Need { package: "mmdebstrap", why: "it makes the fresh system of the evening" });

/// The packages whose programs are not here, each once.
pub fn missing() -> Vec<Need> {
    missing_of(|_| true)
}

/// Those that the bench lacks.
pub fn missing_for_bench() -> Vec<Need> {
    missing_among(&PEERS, |_| true)
}

/// Those among the tests' that the demo can't do without; with `ssh`, also those that make it a better demo.
pub fn missing_for_demo(ssh: bool) -> Vec<Need> {
    missing_of(|program| {
        ["knock", "nmap", "ip", "nsenter"].contains(&program) || ssh && SSH.contains(&program)
    })
}

/// Those among them that the evening needs, and what makes its system.
pub fn missing_for_evening() -> Vec<Need> {
    const PLAYERS: [&str; 6] = ["knock", "ssh", "ssh-keygen", "tmux", "ip", "nsenter"];

    let (program, maker) = MAKER;
    let maker = (!has_program(program)).then_some(maker);
    missing_of(|program| PLAYERS.contains(&program)).into_iter().chain(maker).collect()
}

fn missing_of(wanted: impl Fn(&str) -> bool) -> Vec<Need> {
    missing_among(&PROGRAMS, wanted)
}

fn missing_among(programs: &[(&str, Need)], wanted: impl Fn(&str) -> bool) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for (program, need) in programs {
        if wanted(program) && !has_program(program) && !needs.contains(need) {
            needs.push(*need);
        }
    }
    needs
}
