//! A machine that publishes ports of others behind it: strangers find them closed too.

use std::net::UdpSocket;

use knock_tests::lab::Machine;

use super::FAMILIES;
use crate::site::*;

in_each_mode!(a_published_port_opens_by_a_knock, a_container_reaches_others);

const PUBLISHED: u16 = 8080;
const PORT_BEHIND: u16 = 80;

const CONFIG: &str = "[filter]\npolicy = \"drop\"\ndestinations = [\"local\"]\n\
                      [doors.web]\nsequence = [7000, 8000, 9000]\nopens = [\"8080/tcp\"]\n";

/// As container engines publish ports, and let containers out under the machine's own address.
fn ruleset() -> String {
    let [behind_4, behind_6] = BEHIND;
    format!(
        "table inet containers {{
            chain prerouting {{
                type nat hook prerouting priority -100;
                fib daddr type local meta nfproto ipv4 tcp dport {PUBLISHED} dnat ip to {behind_4}:{PORT_BEHIND};
                fib daddr type local meta nfproto ipv6 tcp dport {PUBLISHED} dnat ip6 to [{behind_6}]:{PORT_BEHIND};
            }}
            chain postrouting {{
                type nat hook postrouting priority 100;
                ip saddr {behind_4} oifname eth0 masquerade;
                ip6 saddr {behind_6} oifname eth0 masquerade;
            }}
        }}"
    )
}

fn a_published_port_opens_by_a_knock(mode: Mode) {
    let site = Site::new(CONFIG);
    let lab = &site.lab;
    let behind = put_behind_server(lab);
    load_ruleset(lab, &ruleset());
    let service = Service::start_on(&behind, PORT_BEHIND);
    for address in FAMILIES {
        let open = connect(lab, Machine::Stranger, address(Machine::Server), PUBLISHED);
        assert!(open.is_accepted(), "without a filter it is public");
    }
    let _controller = site.attach_in(mode);
    let accepted = service.accepted();
    for address in FAMILIES {
        let server = address(Machine::Server);
        for machine in [Machine::Client, Machine::Stranger] {
            assert!(connect(lab, machine, server, PUBLISHED).is_silence());
        }
        stock_knock(lab, Machine::Client, &["-d", "5"], server, SSH_SEQUENCE);
        assert!(carries_data(&mut connect(lab, Machine::Client, server, PUBLISHED).stream(), limit()));
        assert!(connect(lab, Machine::Stranger, server, PUBLISHED).is_silence());
    }
    assert_eq!(service.accepted(), accepted + FAMILIES.len());
}

fn a_container_reaches_others(mode: Mode) {
    let site = Site::new(CONFIG);
    let lab = &site.lab;
    let behind = put_behind_server(lab);
    load_ruleset(lab, &ruleset());
    let _service = Service::on(lab, Machine::Client, 443);
    let _controller = site.attach_in(mode);
    for address in FAMILIES {
        let client = address(Machine::Client);
        echo_datagrams(lab, Machine::Client, client, 53);
        assert!(carries_data(&mut connect_of(&behind, client, 443, limit()).stream(), limit()));
        let any = if client.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = behind.enter(|| UdpSocket::bind(any)).unwrap().unwrap();
        socket.set_read_timeout(Some(limit())).unwrap();
        socket.send_to(b"ping", (client, 53)).unwrap();
        assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 4);
    }
}
