//! What a machine needs of its own link: neighbours, and an address to begin with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use knock_tests::lab::{INTERFACE, Lab, Machine};
use knock_tests::packet::Frame;
use nix::net::if_::if_nametoindex;
use socket2::SockRef;

use super::{FAMILIES, closed_site, dropped};
use crate::site::*;

in_each_mode!(
    neighbours_are_found_again,
    a_dhcp_servers_answers_arrive,
    a_neighbour_gets_no_further_by_multicast,
);

fn neighbours_are_found_again(mode: Mode) {
    let site = closed_site("ping = false", "");
    let lab = &site.lab;
    let _services = [Service::on(lab, Machine::Client, 8080), Service::start(lab, SSH)];
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        let forget = |machine| {
            for family in ["-4", "-6"] {
                site.run(machine, &["ip", family, "neighbour", "flush", "dev", INTERFACE]);
            }
        };
        forget(Machine::Server);
        assert!(carries_data(
            &mut connect_within(lab, Machine::Server, client, 8080, limit()).stream(),
            limit()
        ));
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        for machine in [Machine::Client, Machine::Server] {
            forget(machine);
            assert!(carries_data(
                &mut connect_within(lab, Machine::Client, server, SSH, limit()).stream(),
                limit()
            ));
        }
    }
}

/// They come unasked, as far as the machine's flows tell: the question went to a broadcast or multicast address.
fn a_dhcp_servers_answers_arrive(mode: Mode) {
    let site = closed_site("", "");
    let lab = &site.lab;
    let link_local = "fe80::2".parse().unwrap();
    site.run(Machine::Client, &["ip", "address", "add", "fe80::2/64", "dev", INTERFACE, "nodad"]);
    let _controller = site.attach_in(mode);
    let socket = lab.raw_socket(Machine::Client).unwrap();
    keep_order_on_the_wire();
    for (from, to, ports) in [
        (Machine::Client.v4(), Machine::Server.v4(), (67, 68)),
        (link_local, Machine::Server.v6(), (547, 546)),
    ] {
        let client = udp_socket(lab, Machine::Server, to, ports.1);
        client.set_nonblocking(true).unwrap();
        let offer = Frame::udp(from, to).payload(b"offer");
        let public = site.counted("public");
        socket.send(&offer.clone().ports(ports.0, ports.1).build()).unwrap();
        eventually("the answer arrives", || client.recv(&mut [0; 16]).is_ok());
        assert_eq!(site.counted("public"), public + 1);

        let before = dropped(&site);
        socket.send(&offer.clone().ports(ports.0 + 10, ports.1).build()).unwrap();
        socket.send(&offer.ports(ports.0, ports.1 + 10).build()).unwrap();
        assert_eq!(dropped(&site), before + 2, "from another port, and to another");
        assert!(client.recv(&mut [0; 16]).is_err());
    }
    let before = dropped(&site);
    let from_afar = Frame::udp(Machine::Client.v6(), Machine::Server.v6()).ports(547, 546);
    socket.send(&from_afar.build()).unwrap();
    assert_eq!(dropped(&site), before + 1, "from beyond the link");
}

/// Where only what is sent to this machine is filtered, that is what it takes as sent to a group too.
fn a_neighbour_gets_no_further_by_multicast(mode: Mode) {
    let v4 = (Ipv4Addr::UNSPECIFIED.into(), "224.0.0.1", "239.1.2.3");
    let v6 = (Ipv6Addr::UNSPECIFIED.into(), "ff02::1", "ff02::1234");
    for (any, all_hosts, joined) in [v4, v6] {
        let (all_hosts, joined) = (all_hosts.parse().unwrap(), joined.parse().unwrap());
        let site = closed_site("destinations = [\"local\"]\npublic = [\"5353/udp\"]", "");
        let lab = &site.lab;
        let [service, public] = [9999, 5353].map(|port| udp_socket(lab, Machine::Server, any, port));
        multicast(lab, all_hosts, 9999);
        service.recv(&mut [0; 16]).unwrap();
        let _controller = site.attach_in(mode);
        service.set_nonblocking(true).unwrap();
        let counted = || ["policy_drop", "not_ours", "public"].map(|reason| site.counted(reason));

        let [closed, not_ours, open] = counted();
        multicast(lab, all_hosts, 9999);
        eventually("it is dropped", || site.counted("policy_drop") > closed);
        multicast(lab, all_hosts, 5353);
        public.recv(&mut [0; 16]).unwrap();
        multicast(lab, joined, 9999);
        eventually("it is no concern of this machine", || site.counted("not_ours") > not_ours);
        assert_eq!(counted(), [closed + 1, not_ours + 1, open + 1]);

        join(lab, &service, joined);
        eventually("the group is followed", || {
            let [closed, not_ours, _] = counted();
            multicast(lab, joined, 9999);
            eventually("it is judged", || counted()[..2] != [closed, not_ours]);
            counted() == [closed + 1, not_ours, open + 1]
        });
        while service.recv(&mut [0; 16]).is_ok() {}
        let dropped_before = dropped(&site);
        multicast(lab, joined, 9999);
        eventually("it is dropped", || dropped(&site) > dropped_before);
        assert!(service.recv(&mut [0; 16]).is_err());
    }
}

/// Sends a datagram from the client to whoever is in the group.
fn multicast(lab: &Lab, group: IpAddr, port: u16) {
    lab.enter(Machine::Client, || {
        let socket = UdpSocket::bind((Machine::Client.of_family(group), 0)).unwrap();
        let to = match group {
            IpAddr::V4(_) => SocketAddr::new(group, port),
            IpAddr::V6(group) => SocketAddrV6::new(group, port, 0, interface_index()).into(),
        };
        if let IpAddr::V4(own) = Machine::Client.of_family(group) {
            SockRef::from(&socket).set_multicast_if_v4(&own).unwrap();
        }
        socket.send_to(b"hello", to).unwrap();
    })
    .unwrap();
}

/// Has the server join a group.
fn join(lab: &Lab, socket: &UdpSocket, group: IpAddr) {
    match (group, Machine::Server.of_family(group)) {
        (IpAddr::V4(group), IpAddr::V4(own)) => socket.join_multicast_v4(&group, &own),
        (IpAddr::V6(group), _) => {
            socket.join_multicast_v6(&group, lab.enter(Machine::Server, interface_index).unwrap())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) => unreachable!("both are of one family"),
    }
    .unwrap();
}

fn interface_index() -> u32 {
    if_nametoindex(INTERFACE).unwrap()
}
