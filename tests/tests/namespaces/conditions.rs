//! What a door may ask of knocks besides their ports, and what it may open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use knock_tests::lab::{Machine, RawSocket, privileged};

use crate::site::*;

in_each_mode!(the_same_hop_limit, a_target, any_opens_every_closed_port, as_many_connections_as_allowed);

const SERVERS: [fn(Machine) -> IpAddr; 2] = [Machine::v4, Machine::v6];
const KNOCKS: [Knock; 3] = [Knock::Tcp(7000), Knock::Udp(8000), Knock::Tcp(9000)];
const DOOR: &str = "[doors.ssh]\nsequence = [7000, \"8000/udp\", 9000]\n";

fn the_same_hop_limit(mode: Mode) {
    let site = Site::new(&format!("{DOOR}opens = [\"22/tcp\"]\nsame_ttl = true\n"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach_in(mode);
    let socket = lab.raw_socket(Machine::Client).unwrap();
    keep_order_on_the_wire();
    for address in SERVERS {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        // Each time from other source ports, or the first would be a repeat and the attempt before go on.
        let knock = |source_port: u16, hop_limits: [u8; 3]| {
            for ((number, knock), hop_limit) in (source_port..).zip(KNOCKS).zip(hop_limits) {
                socket.send(&knock.frame(client, server, number).ttl(hop_limit).build()).unwrap();
            }
        };
        let opens = || connect(lab, Machine::Client, server, SSH).is_accepted();
        for (source_port, hop_limits) in [(6000, [64, 64, 63]), (6100, [64, 65, 64]), (6200, [63, 64, 64])] {
            knock(source_port, hop_limits);
            assert!(!opens(), "{hop_limits:?}");
        }
        knock(6300, [63; 3]);
        assert!(opens());
    }
}

fn a_target(mode: Mode) {
    let site = Site::new(&format!("{DOOR}opens = [\"22/tcp\"]\ntarget = [\"10.77.0.1\", \"fd00:77::1\"]\n"));
    let lab = &site.lab;
    let others = second_addresses(&site);
    let _service = Service::start(lab, SSH);
    let _controller = site.attach_in(mode);
    for (address, other) in SERVERS.into_iter().zip(others) {
        let server = address(Machine::Server);
        let sequence = ["7000", "8000:udp", "9000"];
        stock_knock(lab, Machine::Client, &["-d", "5"], other, &sequence);
        assert!(connect(lab, Machine::Client, server, SSH).is_silence(), "knocked at another address");
        stock_knock(lab, Machine::Client, &["-d", "5"], server, &sequence);
        // It does not limit what is opened.
        for at in [server, other] {
            assert!(connect(lab, Machine::Client, at, SSH).is_accepted());
            assert!(connect(lab, Machine::Stranger, at, SSH).is_silence());
        }
    }
}

#[test]
fn knocks_at_another_address_do_not_disturb_those_at_the_target() {
    if !privileged() {
        return;
    }
    let site = Site::new(&format!("{DOOR}opens = [\"22/tcp\"]\ntarget = [\"10.77.0.1\", \"fd00:77::1\"]\n"));
    let lab = &site.lab;
    let others = second_addresses(&site);
    let _service = Service::start(lab, SSH);
    let _controller = site.attach(&[]);
    let socket = lab.raw_socket(Machine::Client).unwrap();
    keep_order_on_the_wire();
    for (address, other) in SERVERS.into_iter().zip(others) {
        let (client, server) = (address(Machine::Client), address(Machine::Server));
        for (number, knock) in (6000..).zip(KNOCKS) {
            send_knock(&socket, knock, client, server, number);
            // A wrong target is no knock, and no wrong port either.
            send_knock(&socket, Knock::Tcp(7000), client, other, number + 100);
        }
        assert!(connect(lab, Machine::Client, server, SSH).is_accepted());
    }
}

fn send_knock(socket: &RawSocket, knock: Knock, from: IpAddr, to: IpAddr, source_port: u16) {
    socket.send(&knock.frame(from, to, source_port).build()).unwrap();
}

fn any_opens_every_closed_port(mode: Mode) {
    let site = Site::new(&format!(
        "[filter]\nprotected = [\"22-23/tcp\", \"4500/udp\"]\n{DOOR}opens = [\"any\"]\n\
         [doors.other]\nsequence = [1003, 1001, 1002]\nopens = [\"80/tcp\"]\n"
    ));
    let lab = &site.lab;
    let ports = [22, 23, 80];
    let _services = ports.map(|port| Service::start(lab, port));
    let witness = Witness::start(lab, SSH, 4500);
    let _controller = site.attach_in(mode);
    for address in SERVERS {
        let server = address(Machine::Server);
        stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7000", "8000:udp", "9000"]);
        for port in ports {
            assert!(connect(lab, Machine::Client, server, port).is_accepted());
            assert!(connect(lab, Machine::Stranger, server, port).is_silence());
        }
        let [stranger, client] =
            [Machine::Stranger, Machine::Client].map(|from| lab.raw_socket(from).unwrap());
        let source_port = if server.is_ipv4() { 4 } else { 6 };
        send_knock(&stranger, Knock::Udp(4500), address(Machine::Stranger), server, 1000 + source_port);
        send_knock(&client, Knock::Udp(4500), address(Machine::Client), server, source_port);
        witness.wait_for(Knock::Udp(source_port));
        assert!(!witness.seen().contains(&Knock::Udp(1000 + source_port)));
    }
}

fn as_many_connections_as_allowed(mode: Mode) {
    let site = Site::new(&format!("{DOOR}opens = [\"22/tcp\"]\nconnections = 3\n"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach_in(mode);
    for address in SERVERS {
        let server = address(Machine::Server);
        // The second time the grant that is used up is renewed.
        for _ in 0..2 {
            stock_knock(lab, Machine::Client, &["-d", "5"], server, &["7000", "8000:udp", "9000"]);
            let mut streams = [(); 3].map(|()| connect(lab, Machine::Client, server, SSH).stream());
            assert!(connect(lab, Machine::Client, server, SSH).is_silence());
            assert!(streams.iter_mut().all(|stream| carries_data(stream, limit())));
        }
    }
}

/// Gives the server one more address of each family.
fn second_addresses(site: &Site) -> [IpAddr; 2] {
    let addresses =
        [Ipv4Addr::new(10, 77, 0, 11).into(), Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 11).into()];
    for address in addresses {
        site.change_address(Machine::Server, "add", address);
    }
    addresses
}
