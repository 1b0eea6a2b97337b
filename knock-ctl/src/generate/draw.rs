//! Random sequences, each that is allowed as likely as every other.

use knock_common::port::{Port, Protocol};

use super::candidates::Candidates;
use super::{GenerateError, Random};
use crate::config::Sequence;

/// What keeps a scan from opening it, with any number of bits.
const MIN_STEPS: usize = 3;

/// The shortest sequence of that many bits out of `candidates` port numbers.
pub(super) fn steps_for(bits: u32, candidates: usize) -> Option<usize> {
    (MIN_STEPS..=Sequence::MAX_STEPS).find(|&steps| self::bits(steps, candidates) >= f64::from(bits))
}

/// The logarithm to base 2 of how many sequences [`draw`] can return, at least.
pub(super) fn bits(steps: usize, candidates: usize) -> f64 {
    // Each number is none of those before, nor a neighbour of the last.
    let numbers: f64 = (0..steps).map(|taken| (candidates as f64 - taken as f64 - 2.0).max(0.0)).product();
    let ordered = (0..steps).map(|taken| (candidates as f64 - taken as f64).max(0.0) / (taken + 1) as f64);
    // What rises or falls all the way is one each of any set of numbers.
    let monotone = 2.0 * ordered.product::<f64>();
    // All of one protocol are two.
    let protocols = 2.0_f64.powi(steps as i32) - 2.0;
    ((numbers - monotone).max(0.0) * protocols).log2()
}

/// Draws whole sequences until one is allowed, so that no allowed one is likelier than another.
pub(super) fn draw(
    steps: usize,
    candidates: &Candidates,
    random: Random<'_>,
) -> Result<Vec<Port>, GenerateError> {
    loop {
        let mut sequence = Vec::with_capacity(steps);
        while sequence.len() < steps {
            let drawn = random()?;
            let protocol = if drawn >> 31 == 0 { Protocol::Tcp } else { Protocol::Udp };
            let port = Port::new(protocol, drawn as u16);
            sequence.extend(port.filter(|port| candidates.contains(port.number.get())));
        }
        if is_allowed(&sequence) {
            return Ok(sequence);
        }
    }
}

/// Both protocols, no number twice, no two neighbours in a row, and neither rising nor falling all the way.
fn is_allowed(sequence: &[Port]) -> bool {
    let numbers: Vec<u16> = sequence.iter().map(|port| port.number.get()).collect();
    let has = |protocol| sequence.iter().any(|port| port.protocol == protocol);
    let repeats = (1..numbers.len()).any(|index| numbers[..index].contains(&numbers[index]));
    let consecutive = numbers.windows(2).any(|pair| pair[0].abs_diff(pair[1]) == 1);
    let rises = numbers.windows(2).all(|pair| pair[0] < pair[1]);
    let falls = numbers.windows(2).all(|pair| pair[0] > pair[1]);
    has(Protocol::Tcp) && has(Protocol::Udp) && !repeats && !consecutive && !rises && !falls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_bits_is_no_more_than_there_is() {
        // All sequences over 8 numbers apart from each other, counted.
        let numbers = [10, 12, 14, 16, 18, 20, 22, 24];
        let ports: Vec<Port> = numbers
            .iter()
            .flat_map(|&number| [Port::tcp(number).unwrap(), Port::udp(number).unwrap()])
            .collect();
        let mut allowed = 0_u32;
        for &first in &ports {
            for &second in &ports {
                allowed += ports.iter().filter(|&&third| is_allowed(&[first, second, third])).count() as u32;
            }
        }
        let counted = f64::from(allowed).log2();
        // 8 * 7 * 6 orders less the 2 * 56 that rise or fall, 6 ways to mix protocols.
        assert_eq!(allowed, (336 - 112) * 6);
        let bound = bits(3, numbers.len());
        assert!(bound <= counted, "{bound} {counted}");
    }

    #[test]
    fn three_steps_are_enough_for_45_bits_and_more_bits_take_more() {
        assert_eq!(steps_for(45, 64_000), Some(3));
        assert_eq!(steps_for(1, 64_000), Some(3));
        assert_eq!(steps_for(64, 64_000), Some(4));
        assert_eq!(steps_for(128, 64_000), Some(8));
        assert_eq!(steps_for(512, 64_000), Some(31));
        assert_eq!(steps_for(1000, 64_000), None);
        assert_eq!(steps_for(45, 3), None);
        assert_eq!(steps_for(1, 0), None);
    }

    #[test]
    fn what_is_drawn_is_the_whole_of_it() {
        let of = |text: &[(&str, u16)]| -> Vec<Port> {
            let port = |&(protocol, number): &(&str, u16)| match protocol {
                "tcp" => Port::tcp(number).unwrap(),
                _ => Port::udp(number).unwrap(),
            };
            text.iter().map(port).collect()
        };
        assert!(is_allowed(&of(&[("tcp", 500), ("udp", 700), ("tcp", 600)])));
        assert!(!is_allowed(&of(&[("tcp", 500), ("tcp", 700), ("tcp", 600)])));
        assert!(!is_allowed(&of(&[("udp", 500), ("udp", 700), ("udp", 600)])));
        assert!(!is_allowed(&of(&[("tcp", 500), ("udp", 600), ("tcp", 700)])));
        assert!(!is_allowed(&of(&[("tcp", 700), ("udp", 600), ("tcp", 500)])));
        assert!(!is_allowed(&of(&[("tcp", 500), ("udp", 700), ("tcp", 701)])));
        assert!(!is_allowed(&of(&[("tcp", 500), ("udp", 700), ("udp", 500)])));
    }
}
