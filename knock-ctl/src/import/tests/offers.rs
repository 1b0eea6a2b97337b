use std::time::Duration;

use super::*;
use crate::config::{OpenFor, Opens};
use knock_common::port::Port;

const ADD: &str = "iptables -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT";
const DELETE: &str = "iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT";

fn one(lines: &str) -> String {
    imported(&format!("[a]\nsequence = 5001,5003,5002\n{lines}")).text
}

#[test]
fn an_opening_and_a_closing_door_can_open_by_themselves() {
    let config = config_of(&take_offers(&imported(OPEN_CLOSE).text, &["start_command"]));
    let (open, close) = (config.door("openSSH").unwrap(), config.door("closeSSH").unwrap());
    assert_eq!(open.opens, Opens::Ports(vec![Port::tcp(22).unwrap().into()]));
    assert_eq!(open.open_for, OpenFor::Forever);
    assert_eq!(close.revokes, ["openSSH".parse().unwrap()]);
    assert!(open.commands.start.is_none() && close.commands.start.is_none());
}

#[test]
fn a_door_that_closes_again_is_open_for_as_long() {
    let text = one(&format!("command = {ADD}\nstop_command = {DELETE}\ncmd_timeout = 90\n"));
    let config = config_of(&take_offers(&text, &["start_command", "stop_command", "cmd_timeout"]));
    assert_eq!(config.doors[0].open_for, OpenFor::For(Duration::from_secs(90)));
    for line in [
        "#     iptables -D INPUT -p tcp --dport 22 -j DROP\n",
        "#     iptables -A INPUT -p tcp --dport 22 -j ACCEPT\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    for seconds in ["0", "99999999999"] {
        let text = one(&format!("command = {ADD}\nstop_command = {DELETE}\ncmd_timeout = {seconds}\n"));
        config_of(&take_offers(&text, &["start_command", "stop_command", "cmd_timeout"]));
    }
}

#[test]
fn only_what_the_filter_can_do_is_offered() {
    let add_6 = ADD.replace("iptables", "ip6tables");
    let udp = ADD.replace("tcp", "udp");
    for (lines, is_offered) in [
        (format!("command = {ADD}\n"), true),
        (format!("command = {ADD}\ncommand_6 = {add_6}\n"), true),
        (format!("command = {ADD}\ncommand_6 =\n"), true),
        (format!("command = {ADD}\ncommand_6 = {udp}\n"), false),
        (format!("command = {ADD}\ncommand_6 = logger %IP%\n"), false),
        (format!("command = {ADD}\nstop_command = logger %IP%\n"), false),
        (format!("command = {ADD}\nstop_command = {ADD}\n"), false),
        (format!("command = {ADD}; logger %IP%\n"), false),
        (format!("command = {DELETE}\nstop_command = {ADD}\n"), false),
        (format!("command = {DELETE}\n"), false),
    ] {
        let text = one(&lines);
        assert_eq!(text.contains("\n#opens = ") || text.contains("\n#revokes = "), is_offered, "{text}");
    }
}
