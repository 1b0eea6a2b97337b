//! The addresses of a machine, and how it learns that they have changed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use knock_ctl::interface::{ChangeWatch, local_addresses};
use knock_tests::lab::{INTERFACE, Lab, Machine, privileged};

fn ip(lab: &Lab, arguments: &str) {
    let words: Vec<&str> = ["ip"].into_iter().chain(arguments.split(' ')).collect();
    let output = lab.run_in(Machine::Server, &words).unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

fn addresses(lab: &Lab) -> Vec<String> {
    let local = lab.enter(Machine::Server, local_addresses).unwrap().unwrap();
    // The kernel makes these up.
    let is_made_up = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local() || is_solicited(v6));
    local.iter().filter(|address| !is_made_up(address)).map(ToString::to_string).collect()
}

/// Whether it is the group in which neighbours look for an address (RFC 4291, 2.7.1).
fn is_solicited(group: &Ipv6Addr) -> bool {
    group.octets().starts_with(&[0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff])
}

#[test]
fn all_that_the_kernel_takes_for_itself_is_local() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    let before = [
        "0.0.0.0",
        "10.77.0.0",
        "10.77.0.1",
        "10.77.0.255",
        "127.0.0.0",
        "127.0.0.1",
        "127.255.255.255",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fd00:77::",
        "fd00:77::1",
        "ff01::1",
        "ff02::1",
    ];
    assert_eq!(addresses(&lab), before);
    ip(&lab, &format!("address add 192.0.2.1 peer 192.0.2.2 dev {INTERFACE}"));
    ip(&lab, &format!("address add 2001:db8::7/128 dev {INTERFACE} nodad"));
    let joined = lab.enter(Machine::Server, || {
        let sockets = ["0.0.0.0:0", "[::]:0"].map(|any| UdpSocket::bind(any).unwrap());
        sockets[0].join_multicast_v4(&Ipv4Addr::new(239, 1, 2, 3), &Ipv4Addr::new(192, 0, 2, 1)).unwrap();
        sockets[1].join_multicast_v6(&"ff05::77".parse().unwrap(), 0).unwrap();
        sockets
    });
    let after = addresses(&lab);
    let added: Vec<&String> = after.iter().filter(|address| !before.contains(&address.as_str())).collect();
    assert_eq!(added, ["192.0.2.1", "239.1.2.3", "2001:db8::7", "ff05::77"]);
    assert_eq!(after.len(), before.len() + 4);
    drop(joined);
    assert_eq!(addresses(&lab).len(), before.len() + 2);
}

/// Whether something has changed since the last call. The kernel tells of it before the command that did it ends.
async fn has_changed(watch: &mut ChangeWatch) -> bool {
    let changed = tokio::time::timeout(Duration::from_millis(50), watch.changed()).await;
    changed.map(Result::unwrap).is_ok()
}

fn watching<Watching: Future<Output = ()>>(
    lab: &Lab,
    machine: Machine,
    watching: impl FnOnce(ChangeWatch) -> Watching + Send,
) {
    lab.enter(machine, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { watching(ChangeWatch::of_addresses().unwrap()).await });
    })
    .unwrap();
}

#[test]
fn each_change_of_an_address_is_noticed_and_nothing_else() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    watching(&lab, Machine::Server, async |mut watch| {
        assert!(!has_changed(&mut watch).await, "nothing has happened yet");
        for address in ["192.0.2.1/24", "2001:db8::7/64"] {
            for what in ["add", "del"] {
                ip(&lab, &format!("address {what} {address} dev {INTERFACE}"));
                assert!(has_changed(&mut watch).await, "{what} {address}");
            }
        }
        // One answer is for all that happened before it.
        ip(&lab, &format!("address add 192.0.2.1/24 dev {INTERFACE}"));
        ip(&lab, &format!("address add 192.0.2.2/24 dev {INTERFACE}"));
        assert!(has_changed(&mut watch).await);
        assert!(!has_changed(&mut watch).await);
        // A link that goes takes its addresses along.
        ip(&lab, "link add link0 type veth peer name link1");
        assert!(!has_changed(&mut watch).await, "a link is no address");
        ip(&lab, "address add 198.51.100.1/24 dev link0");
        assert!(has_changed(&mut watch).await);
        ip(&lab, "link del link0");
        assert!(has_changed(&mut watch).await);
    });
}

#[test]
fn another_namespace_is_none_of_its_business() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    watching(&lab, Machine::Client, async |mut watch| {
        ip(&lab, &format!("address add 192.0.2.1/24 dev {INTERFACE}"));
        assert!(!has_changed(&mut watch).await);
    });
}

#[test]
fn more_changes_than_the_kernel_can_keep_are_a_change() {
    if !privileged() {
        return;
    }
    let lab = Lab::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let batch = directory.path().join("addresses");
    let addresses = (0..2000u32).map(|number| Ipv4Addr::from(0x0a4e_0000 + number));
    let lines: String =
        addresses.map(|address| format!("address add {address}/32 dev {INTERFACE}\n")).collect();
    fs::write(&batch, lines).unwrap();
    watching(&lab, Machine::Server, async |mut watch| {
        ip(&lab, &format!("-batch {}", batch.display()));
        assert!(dropped_messages() > 0, "too few to be too many");
        assert!(has_changed(&mut watch).await);
        assert!(!has_changed(&mut watch).await);
    });
}

/// Messages that netlink sockets of the calling thread's namespace had no room for.
fn dropped_messages() -> u64 {
    let sockets = fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let drops = |line: &str| line.split_whitespace().nth(8).unwrap().parse::<u64>().unwrap();
    sockets.lines().skip(1).map(drops).sum()
}
