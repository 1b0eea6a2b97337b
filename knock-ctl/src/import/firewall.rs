//! Commands that only let their source in to a port, or take that back, by iptables(8).

use std::num::NonZeroU16;

use knock_common::port::{PortRange, Protocol};

/// What such a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FirewallChange {
    pub(super) action: Action,
    /// As written, with its path.
    pub(super) program: String,
    /// In order.
    pub(super) ports: Vec<PortRange>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Adds the rule that accepts.
    Accept,
    /// Deletes it.
    Remove,
}

/// `None` where the command does, or might do, anything else.
pub(super) fn firewall_change(command: &str) -> Option<FirewallChange> {
    // To a plain list of words a shell does nothing.
    let plain = |c: char| c.is_ascii_alphanumeric() || " \t%-_./:,=+@".contains(c);
    if !command.chars().all(plain) {
        return None;
    }
    let mut words = command.split_ascii_whitespace().peekable();
    let program = words.next()?;
    let name = program.rsplit('/').next()?;
    if !["iptables", "ip6tables"]
        .iter()
        .any(|known| name.strip_prefix(known).is_some_and(|rest| ["", "-nft", "-legacy"].contains(&rest)))
    {
        return None;
    }
    let (mut action, mut source, mut protocol, mut ports, mut accepts) = (None, None, None, None, false);
    while let Some(word) = words.next() {
        match word {
            "-A" | "--append" | "-I" | "--insert" | "-D" | "--delete" => {
                let removes = ["-D", "--delete"].contains(&word);
                once(&mut action, if removes { Action::Remove } else { Action::Accept })?;
                (words.next()? == "INPUT").then_some(())?;
                // The place to insert it; to delete by number says nothing of the rule.
                if ["-I", "--insert"].contains(&word) {
                    words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
                }
            }
            "-s" | "--source" | "--src" => {
                ["%IP%", "%IP%/32", "%IP%/128"].contains(words.peek()?).then_some(())?;
                once(&mut source, words.next()?)?;
            }
            "-p" | "--protocol" | "--proto" => {
                let name = words.next()?;
                once(
                    &mut protocol,
                    [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.name() == name)?,
                )?;
            }
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                once(&mut ports, words.next()?)?;
            }
            // What a new connection meets anyway.
            "--syn" => {}
            "-m" | "--match" => {
                ["tcp", "udp", "state", "conntrack", "multiport", "comment"]
                    .contains(&words.next()?)
                    .then_some(())?;
            }
            "--state" | "--ctstate" => {
                words.next()?.split(',').any(|state| state == "NEW").then_some(())?;
            }
            "--comment" | "-i" | "--in-interface" => {
                words.next()?;
            }
            "-w" | "--wait" => {
                words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
            }
            "-t" | "--table" => (words.next()? == "filter").then_some(())?,
            "-j" | "--jump" => accepts = (words.next()? == "ACCEPT").then_some(true)?,
            _ => return None,
        }
    }
    (accepts && source.is_some()).then_some(())?;
    let ports = read_ports(ports?, protocol?)?;
    Some(FirewallChange { action: action?, program: program.to_owned(), ports })
}

/// What is said twice is not understood.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// `22`, `6000:6010`, `22,80`.
fn read_ports(text: &str, protocol: Protocol) -> Option<Vec<PortRange>> {
    let number = |digits: &str| digits.parse().ok().map(NonZeroU16::get);
    let mut ranges = text
        .split(',')
        .map(|range| match range.split_once(':') {
            Some((first, last)) => PortRange::new(protocol, number(first)?, number(last)?),
            None => PortRange::new(protocol, number(range)?, number(range)?),
        })
        .collect::<Option<Vec<_>>>()?;
    ranges.sort_by_key(PortRange::first);
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str) -> Option<(Action, String)> {
        firewall_change(command).map(|change| {
            let ports: Vec<_> = change.ports.iter().map(ToString::to_string).collect();
            (change.action, ports.join(" "))
        })
    }

    #[test]
    fn variants_of_one_rule_are_understood() {
        for (command, action, ports) in [
            ("/sbin/iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT", Action::Accept, "22/tcp"),
            ("iptables -I INPUT 1 -s %IP%/32 -p tcp --dport 22 -j ACCEPT", Action::Accept, "22/tcp"),
            (
                "/usr/sbin/iptables -D INPUT -s %IP% -p tcp --syn --dport 22 -j ACCEPT",
                Action::Remove,
                "22/tcp",
            ),
            (
                "ip6tables-nft -w 5 -t filter -I INPUT -p udp -m udp --dport 51820 -s %IP% -m conntrack --ctstate NEW -j ACCEPT",
                Action::Accept,
                "51820/udp",
            ),
            (
                "iptables -w -A INPUT -i eth0 -p tcp -m state --state NEW,ESTABLISHED -m multiport --dports 80,22,6000:6010 \
                 --source %IP% --jump ACCEPT -m comment --comment knockd",
                Action::Accept,
                "22/tcp 80/tcp 6000-6010/tcp",
            ),
        ] {
            assert_eq!(of(command), Some((action, ports.to_owned())), "{command}");
        }
    }

    #[test]
    fn what_does_anything_else_is_not() {
        for command in [
            "",
            "iptables",
            "/usr/bin/logger %IP%",
            "iptables -A INPUT -s %IP% -j ACCEPT",
            "iptables -A INPUT -s %IP% --dport 22 -j ACCEPT",
            "iptables -A INPUT -s 192.0.2.7 -p tcp --dport 22 -j ACCEPT",
            "iptables -A INPUT -p tcp --dport 22 -j ACCEPT",
            "iptables -A INPUT ! -s %IP% -p tcp --dport 22 -j ACCEPT",
            "iptables -A INPUT -s %IP% -p tcp --dport 22 -j DROP",
            "iptables -A INPUT -s %IP% -p tcp --dport ssh -j ACCEPT",
            "iptables -A INPUT -s %IP% -p tcp --dport 0 -j ACCEPT",
            "iptables -A INPUT -s %IP% -p tcp --dport 9:5 -j ACCEPT",
            "iptables -A INPUT -s %IP% -p icmp --dport 22 -j ACCEPT",
            "iptables -A FORWARD -s %IP% -p tcp --dport 22 -j ACCEPT",
            "iptables -t nat -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
            "iptables -A INPUT -s %IP% -p tcp --dport 22 -m state --state ESTABLISHED -j ACCEPT",
            "iptables -A INPUT -s %IP% -d 192.0.2.1 -p tcp --dport 22 -j ACCEPT",
            "iptables -A INPUT -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT",
            "iptables -D INPUT 3 -s %IP% -p tcp --dport 22 -j ACCEPT",
            "iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT; touch /tmp/x",
            "iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT && logger $HOME",
            "sh -c 'iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT'",
            "iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\u{a0}",
        ] {
            assert_eq!(of(command), None, "{command}");
        }
    }
}
