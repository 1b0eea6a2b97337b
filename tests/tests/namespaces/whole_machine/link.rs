//! What a machine needs of its own link: neighbours, and an address to begin with.

use knock_tests::lab::{INTERFACE, Machine};
use knock_tests::packet::Frame;

use super::{FAMILIES, closed_site, dropped};
use crate::site::*;

in_each_mode!(neighbours_are_found_again, a_dhcp_servers_answers_arrive);

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
        assert!(carries_data(&mut connect_within(lab, Machine::Server, client, 8080, LIMIT).stream(), LIMIT));
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        for machine in [Machine::Client, Machine::Server] {
            forget(machine);
            assert!(carries_data(
                &mut connect_within(lab, Machine::Client, server, SSH, LIMIT).stream(),
                LIMIT
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
