//! The multicast groups of this host, by proc(5).

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::InterfaceError;

/// Whose packets every host takes, on each interface and without asking for it (RFC 1112, 4; RFC 4291, 2.8).
const ALL_HOSTS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
];

/// The groups that this host has joined, on whatever interface.
pub(super) fn groups() -> Result<Vec<IpAddr>, InterfaceError> {
    let v4 = read("/proc/thread-self/net/igmp")?;
    let v6 = read("/proc/thread-self/net/igmp6")?;
    Ok(ALL_HOSTS.into_iter().chain(groups_v4(&v4)).chain(groups_v6(&v6)).collect())
}

/// Empty where the kernel knows nothing of the kind.
fn read(path: &str) -> Result<String, InterfaceError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => result.map_err(|source| InterfaceError::Groups { path: path.to_owned(), source }),
    }
}

/// A line of each group follows, indented, that of its interface (igmp_mc_seq_show() in net/ipv4/igmp.c). The group's four
/// bytes are written as one number of this machine's.
fn groups_v4(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().filter(|line| line.starts_with('\t')).filter_map(|line| {
        let group = u32::from_str_radix(line.split_whitespace().next()?, 16).ok()?;
        Some(Ipv4Addr::from(group.to_ne_bytes()).into())
    })
}

/// A line each: the index and the name of the interface, then the group (igmp6_mc_seq_show() in net/ipv6/mcast.c).
fn groups_v6(table: &str) -> impl Iterator<Item = IpAddr> {
    table.lines().filter_map(|line| {
        let group = u128::from_str_radix(line.split_whitespace().nth(2)?, 16).ok()?;
        Some(Ipv6Addr::from(group).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_understood() {
        let all_hosts = u32::from_ne_bytes([224, 0, 0, 1]);
        let mdns = u32::from_ne_bytes([224, 0, 0, 251]);
        let table = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             1\tlo        :     1      V3\n\t\t\t\t{all_hosts:08X}     1 0:00000000\t\t0\n\
             4\tface      :     2      V3\n\t\t\t\t{mdns:08X}     1 0:00000000\t\t0\n\
             \t\t\t\t{all_hosts:08X}     1 0:00000000\t\t0\n"
        );
        let groups: Vec<String> = groups_v4(&table).map(|group| group.to_string()).collect();
        assert_eq!(groups, ["224.0.0.1", "224.0.0.251", "224.0.0.1"]);

        let table = "1    lo              ff020000000000000000000000000001     1 0000000C 0\n\
                     4    eth0            ff0200000000000000000001ff000002     1 00000004 0\n";
        let groups: Vec<String> = groups_v6(table).map(|group| group.to_string()).collect();
        assert_eq!(groups, ["ff02::1", "ff02::1:ff00:2"]);
    }

    #[test]
    fn a_group_that_is_joined_is_among_those_of_this_host() {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let group = Ipv4Addr::new(239, 255, 77, 77);
        assert!(!groups().unwrap().contains(&group.into()));
        socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
        assert!(groups().unwrap().contains(&group.into()));
        for group in ALL_HOSTS {
            assert!(groups().unwrap().contains(&group));
        }
    }
}
