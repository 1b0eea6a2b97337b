//! The configuration that holds the door.

use knock_common::port::{Port, PortRange, Protocol};

use super::instructions;

/// `bits`: how hard the sequence is to guess.
pub(super) fn write(sequence: &[Port], opens: &[PortRange], bits: f64) -> String {
    let steps: Vec<String> = sequence.iter().map(step).collect();
    let ports: Vec<String> = opens.iter().map(|range| format!("\"{range}\"")).collect();
    let plain: Vec<String> = opens.iter().map(ToString::to_string).collect();
    let knocks: String = instructions::write(sequence, opens).lines().map(comment).collect();
    format!(
        "\
# A door to {plain}, for knock-ctl. Its sequence is a secret: nobody but root may read this file (chmod 600).
# It goes to /etc/knock/knock.toml, or into a directory that is included there. Then:
#     knock-ctl check          # what it means
#     knock-ctl attach eth0    # puts it in force on that interface

[doors.{name}]
# {count} random ports, drawn by the operating system: one of 2^{bits} sequences. Guessing is hopeless; whoever sees it on the
# wire can send it again.
sequence = [{steps}]
# From the first to the last knock.
seq_timeout = \"10s\"
# Closed to everyone by being named here, and opened to the address that has knocked.
opens = [{ports}]
# How long new connections are accepted; those that were accepted live on.
open_for = \"30s\"

{knocks}",
        plain = plain.join(", "),
        name = name(opens),
        count = sequence.len(),
        bits = bits.floor(),
        steps = steps.join(", "),
        ports = ports.join(", "),
    )
}

fn step(port: &Port) -> String {
    match port.protocol {
        Protocol::Tcp => port.number.to_string(),
        Protocol::Udp => format!("\"{port}\""),
    }
}

fn comment(line: &str) -> String {
    if line.is_empty() { "#\n".to_owned() } else { format!("# {line}\n") }
}

/// What the port is best known for.
fn name(opens: &[PortRange]) -> &'static str {
    match opens {
        [only] if *only == PortRange::from(instructions::SSH) => "ssh",
        _ => "door",
    }
}
