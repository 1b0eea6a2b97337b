//! Only what is sent to certain addresses is filtered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use knock_tests::lab::Machine;

use super::FAMILIES;
use crate::site::*;

in_each_mode!(listed_addresses_are_filtered, own_addresses_are_filtered_as_they_come_and_go);

/// The server gets them beside its own.
fn others() -> [IpAddr; 2] {
    [Ipv4Addr::new(10, 77, 0, 11).into(), Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 11).into()]
}

fn listed_addresses_are_filtered(mode: Mode) {
    for filter in ["policy = \"drop\"", "protected = [\"8080/tcp\"]"] {
        let site = Site::new(&format!(
            "[filter]\n{filter}\ndestinations = [\"10.77.0.1\", \"fd00:77::1\"]\n{SSH_DOOR}"
        ));
        let lab = &site.lab;
        let _services = [SSH, 8080].map(|port| Service::start(lab, port));
        let _remote = Service::on(lab, Machine::Client, 443);
        for other in others() {
            site.change_address(Machine::Server, "add", other);
        }
        let _controller = site.attach_in(mode);
        for (address, other) in FAMILIES.into_iter().zip(others()) {
            let server = address(Machine::Server);
            for port in [SSH, 8080] {
                assert!(connect(lab, Machine::Stranger, server, port).is_silence());
                let not_ours = site.counted("not_ours");
                assert!(carries_data(&mut connect(lab, Machine::Stranger, other, port).stream(), limit()));
                assert!(site.counted("not_ours") > not_ours);
            }
            let begun = connect(lab, Machine::Server, address(Machine::Client), 443);
            assert!(carries_data(&mut begun.stream(), limit()));
        }
    }
}

fn own_addresses_are_filtered_as_they_come_and_go(mode: Mode) {
    let site = Site::new(&format!("[filter]\npolicy = \"drop\"\ndestinations = [\"local\"]\n{SSH_DOOR}"));
    let lab = &site.lab;
    let _service = Service::start(lab, SSH);
    let _controller = site.attach_in(mode);
    for (address, other) in FAMILIES.into_iter().zip(others()) {
        assert!(connect(lab, Machine::Stranger, address(Machine::Server), SSH).is_silence());
        site.change_address(Machine::Server, "add", other);
        eventually("the new address is filtered", || {
            connect_within(lab, Machine::Stranger, other, SSH, Duration::from_millis(300)).is_silence()
        });
        stock_knock(lab, Machine::Client, &["-d", "5"], other, SSH_SEQUENCE);
        assert!(connect(lab, Machine::Client, other, SSH).is_accepted());
        site.change_address(Machine::Server, "delete", other);
        let frame = Knock::Tcp(SSH).frame(address(Machine::Stranger), other, 5000).build();
        let socket = lab.raw_socket(Machine::Stranger).unwrap();
        eventually("the lost address is not", || {
            let not_ours = site.counted("not_ours");
            socket.send(&frame).unwrap();
            site.counted("not_ours") > not_ours
        });
    }
}
