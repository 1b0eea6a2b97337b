//! What is generated, by our own loader's account.

use std::collections::BTreeSet;

use knock_common::port::Protocol;

use super::*;
use crate::config::Config;
use crate::config::ports::parse_range;

fn ranges(texts: &[&str]) -> Vec<PortRange> {
    texts.iter().map(|text| parse_range(text).unwrap()).collect()
}

fn generated(opens: &[&str], bits: u32, listening: &[Port]) -> (Generated, Config) {
    let request = Request { opens: &ranges(opens), bits, listening };
    let generated = generate(&request, &mut getrandom::u32).unwrap();
    let loaded = config::parse(&generated.text, "generated", Path::new("")).unwrap();
    assert_eq!(loaded.warnings, []);
    (generated, loaded.config)
}

fn failure(opens: &[&str], bits: u32) -> String {
    let request = Request { opens: &ranges(opens), bits, listening: &[] };
    generate(&request, &mut getrandom::u32).err().unwrap().to_string()
}

#[test]
fn what_is_generated_passes_check_and_is_strong() {
    let listening: Vec<Port> = (30_000..60_000).map(|number| Port::udp(number).unwrap()).collect();
    let mut sequences = BTreeSet::new();
    for round in 0..200 {
        let (_, config) = generated(&["22/tcp", "2000-20000/udp"], 45, &listening);
        let [door] = config.doors.as_slice() else { panic!("one door") };
        let steps = door.sequence.next().unwrap().steps();
        let numbers: Vec<u16> = steps.iter().map(|step| step.number.get()).collect();
        assert!(steps.len() >= 3);
        assert!(numbers.iter().all(|number| *number >= 1024 && !(2000..=20_000).contains(number)));
        assert!(numbers.iter().all(|number| !(30_000..60_000).contains(number)));
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            assert!(steps.iter().any(|step| step.protocol == protocol), "round {round}");
        }
        assert!(!numbers.is_sorted() && !numbers.iter().rev().is_sorted());
        assert!(numbers.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 1));
        assert_eq!(door.opens, config::Opens::Ports(ranges(&["22/tcp", "2000-20000/udp"])));
        sequences.insert(steps.to_vec());
    }
    assert_eq!(sequences.len(), 200, "none twice");
}

#[test]
fn more_bits_are_more_steps() {
    for (bits, steps) in [(1, 3), (45, 3), (60, 4), (128, 8), (500, 30)] {
        let (generated, config) = generated(&["22/tcp"], bits, &[]);
        assert_eq!(config.doors[0].sequence.next().unwrap().steps().len(), steps, "{bits}");
        let stated: u32 =
            generated.text.split_once("2^").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        assert!(stated >= bits, "{stated} {bits}");
    }
}

#[test]
fn too_much_is_refused() {
    assert!(
        failure(&["22/tcp"], 1000)
            .ends_with(" has fewer than 1000 bits; write fewer bits, or open fewer ports")
    );
    assert!(failure(&["1-65535/tcp"], 45).contains("of the 0 ports that are left"));
    assert!(failure(&["22/tcp"; 65], 45).starts_with("65 entries are more than 64"));
}

#[test]
fn a_draw_that_is_published_is_drawn_again() {
    // 31207, 5481/udp, 60122 is in our own manual.
    let mut drawn = [31_207, 5481 | 1 << 31, 60_122, 31_207, 5481 | 1 << 31, 60_123].into_iter();
    let request = Request { opens: &ranges(&["22/tcp"]), bits: 45, listening: &[] };
    let generated = generate(&request, &mut || Ok(drawn.next().unwrap())).unwrap();
    assert!(generated.text.contains("\nsequence = [31207, \"5481/udp\", 60123]\n"), "{}", generated.text);
}

#[test]
fn without_random_numbers_there_is_no_sequence() {
    let request = Request { opens: &ranges(&["22/tcp"]), bits: 45, listening: &[] };
    let error = generate(&request, &mut || Err(getrandom::Error::UNSUPPORTED)).err().unwrap();
    assert!(error.to_string().starts_with("the operating system gives no random numbers: "));
}

#[test]
fn instructions_are_in_the_file_and_about_its_sequence() {
    let (ssh, config) = generated(&["22/tcp"], 45, &[]);
    assert_eq!(config.doors[0].name.as_str(), "ssh");
    for line in ssh.instructions.lines().filter(|line| !line.is_empty()) {
        assert!(ssh.text.contains(&format!("\n# {line}\n")), "{line}");
    }
    let steps = config.doors[0].sequence.next().unwrap().steps();
    let stock: Vec<_> = steps.iter().map(|step| step.to_string().replace('/', ":")).collect();
    assert!(ssh.instructions.contains(&format!("\nknock -d 50 HOST {}\n", stock.join(" "))));
    assert!(ssh.instructions.contains("\nMatch originalhost HOST exec \"knock-ctl knock %h "));
    assert!(!ssh.instructions.contains("Port 22"));

    let (other, config) = generated(&["53/udp", "2200-2201/tcp"], 45, &[]);
    assert_eq!(config.doors[0].name.as_str(), "door");
    assert!(other.instructions.contains(" --wait 2200/tcp\"\n    Port 2200\n"), "{}", other.instructions);
    let (udp, _) = generated(&["53/udp"], 45, &[]);
    assert!(!udp.instructions.contains("ssh") && !udp.instructions.contains("--wait"));
}
