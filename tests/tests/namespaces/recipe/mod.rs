//! The knock recipe that people have in their iptables rules, and the same machine here: the same packets have the same answers.

mod prober;
mod scenarios;

use std::fs;
use std::net::IpAddr;

use knock_tests::lab::Machine;

use crate::site::*;
use prober::Prober;
use scenarios::{Answer, Scenario};

in_each_mode!(a_few_lines_do_what_the_recipe_does);

const DOOR: [u16; 3] = [12_345, 23_456, 34_567];

/// Established and related traffic, loopback, ICMP and http pass. Three datagrams, without a time limit, let one connection to ssh
/// in; any wrong one starts over. All else is dropped.
const RECIPE: &str = "*filter
:INPUT DROP
:KNOCK -
:SECOND -
:OPEN -
:CONNECT -
-A INPUT -i lo -j ACCEPT
-A INPUT -p ICMP -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -p tcp --dport 80 -j ACCEPT
-A INPUT -p tcp --dport 22 --syn -m state --state NEW -m recent --rcheck --name open -j CONNECT
-A INPUT -p udp -j KNOCK
-A CONNECT -m recent --remove --name open -j ACCEPT
-A KNOCK -p udp --dport 34567 -m recent --rcheck --name second -j OPEN
-A KNOCK -p udp --dport 23456 -m recent --rcheck --name first -j SECOND
-A KNOCK -m recent --remove --name first
-A KNOCK -m recent --remove --name second
-A KNOCK -p udp --dport 12345 -m recent --set --name first
-A KNOCK -j DROP
-A SECOND -m recent --remove --name first
-A SECOND -m recent --set --name second
-A SECOND -j DROP
-A OPEN -m recent --remove --name second
-A OPEN -m recent --set --name open
-A OPEN -j DROP
COMMIT
";

const CONFIG: &str = "[filter]\npolicy = \"drop\"\npublic = [\"80/tcp\"]\n\
                      [doors.ssh]\nsequence = [\"12345/udp\", \"23456/udp\", \"34567/udp\"]\nseq_timeout = \"1d\"\n\
                      opens = [\"22/tcp\"]\nopen_for = \"forever\"\nconnections = 1\n";

fn a_few_lines_do_what_the_recipe_does(mode: Mode) {
    let alike = scenarios::alike();
    assert!(alike.iter().map(|scenario| scenario.sent.len()).sum::<usize>() >= 200);
    let all =
        [alike, scenarios::stricter(), scenarios::more_forgiving()].into_iter().flatten().collect::<Vec<_>>();
    keep_order_on_the_wire();

    let ours = Site::new(CONFIG);
    let _controller = ours.attach_in(mode);
    let recipe = Site::new("");
    for (command, icmp) in [("iptables-restore", "icmp"), ("ip6tables-restore", "ipv6-icmp")] {
        let rules = recipe.file(command);
        fs::write(&rules, RECIPE.replace("ICMP", icmp)).unwrap();
        recipe.run(Machine::Server, &[command, text(&rules)]);
    }
    for lab in [&recipe.lab, &ours.lab] {
        lab.keep_tags_in_frames().unwrap();
        for (machine, port) in [(Machine::Server, SSH), (Machine::Server, 80), (Machine::Client, 443)] {
            Service::on(lab, machine, port);
        }
    }
    for server in [Machine::Server.v4(), Machine::Server.v6()] {
        let [by_recipe, by_ours] = [&recipe, &ours].map(|site| tell(site, server, &all));
        for ((scenario, by_recipe), by_ours) in all.iter().zip(by_recipe).zip(by_ours) {
            let last = [&by_recipe, &by_ours].map(|answers| *answers.last().unwrap());
            assert_eq!(last, scenario.last, "{}: {:?}", scenario.name, scenario.sent);
            if last[0] == last[1] {
                assert_eq!(by_recipe, by_ours, "{}: {:?}", scenario.name, scenario.sent);
            }
        }
        for site in [&recipe, &ours] {
            serve_a_user(site, server);
        }
    }
}

/// The answers to each packet of each scenario.
fn tell(site: &Site, server: IpAddr, scenarios: &[Scenario]) -> Vec<Vec<Answer>> {
    let mut prober = Prober::new(site, server);
    scenarios.iter().map(|scenario| prober.tell(&scenario.sent)).collect()
}

/// With stock clients.
fn serve_a_user(site: &Site, server: IpAddr) {
    let lab = &site.lab;
    assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    stock_knock(
        lab,
        Machine::Client,
        &["-u", "-d", "5"],
        server,
        &DOOR.map(|port| port.to_string()).each_ref().map(String::as_str),
    );
    let mut session = connect(lab, Machine::Client, server, SSH).stream();
    assert!(connect(lab, Machine::Client, server, SSH).is_silence());
    assert!(connect(lab, Machine::Stranger, server, SSH).is_silence());
    let client = Machine::Client.of_family(server);
    assert!(carries_data(&mut connect(lab, Machine::Server, client, 443).stream(), limit()));
    assert!(carries_data(&mut connect(lab, Machine::Server, server, SSH).stream(), limit()), "over loopback");
    assert!(carries_data(&mut session, limit()));
}
