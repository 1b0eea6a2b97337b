//! `Sequence = 7000,8000:udp,9000:tcp`.

use knock_common::port::{Port, Protocol};

use super::knockd::At;
use super::lines::trim_text;
use super::notes::Notes;
use super::number::number;
use crate::config::Sequence;

/// As parse_port_sequence() reads it: what follows a number, or a second ":", it ignores. No message tells a port.
pub(super) fn read(line: &At<&str>, notes: &mut Notes) -> Option<Sequence> {
    let mut ports = Vec::new();
    let mut sound = true;
    for (index, step) in line.value.split(',').enumerate() {
        match read_step(step) {
            Ok(Step { port, ignored }) => {
                ports.push(port);
                if ignored {
                    notes.warn(
                        line.place,
                        format!(
                            "step {} of the sequence: knockd ignores what stands behind the port",
                            index + 1
                        ),
                        "take it out; a comment has a line of its own",
                    );
                }
            }
            Err((message, help)) => {
                sound = false;
                notes.error(line.place, format!("step {} of the sequence: {message}", index + 1), help);
            }
        }
    }
    if !sound {
        return None;
    }
    Sequence::new(ports).map_err(|error| notes.error(line.place, error.to_string(), error.help())).ok()
}

struct Step {
    port: Port,
    ignored: bool,
}

fn read_step(text: &str) -> Result<Step, (&'static str, &'static str)> {
    const NUMBER: &str = "write a number from 1 to 65535, or one with its protocol, as in 8000:udp";
    let mut parts = text.split(':');
    let digits = parts.next().unwrap_or_default();
    let protocol = match parts.next().map(trim_text) {
        None => Protocol::Tcp,
        Some(word) => [Protocol::Tcp, Protocol::Udp]
            .into_iter()
            .find(|known| word.eq_ignore_ascii_case(known.name()))
            .ok_or(("the protocol of a port is tcp or udp", "write it as in 8000:tcp or 8000:udp"))?,
    };
    let (number, rest) = number(digits).ok_or(("this is not a port", NUMBER))?;
    let port = u16::try_from(number)
        .ok()
        .and_then(|number| Port::new(protocol, number))
        .ok_or(("no port has this number", NUMBER))?;
    Ok(Step { port, ignored: !trim_text(rest).is_empty() || parts.next().is_some() })
}
