//! What fuzzing begins with: inputs that mean something.

use crate::fixtures;
use crate::packet::Frame;
use crate::packet::numbers::{ACK, PSH, SYN};
use std::net::IpAddr;

/// Of the target of that name; none of a target that does not exist.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "packet" => packets(),
        "matcher" => streams(),
        "knock_toml" => KNOCK_TOML.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "knockd_conf" => KNOCKD_CONF.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "one_time_file" => ONE_TIME.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "capture" => captures(),
        "journal" => journals(),
        _ => Vec::new(),
    }
}

fn packets() -> Vec<Vec<u8>> {
    let fixtures = fixtures::all().into_iter().map(|fixture| fixture.frame);
    fixtures.filter(|frame| frame.len() < 512).collect()
}

/// Under each rule set one that knocks in order, and one that goes to and fro.
fn streams() -> Vec<Vec<u8>> {
    let stream = |seed: u8| {
        let packet = |step: u8| [step % 3, seed & 15, seed % 5, step / 2, seed ^ step, SYN, step % 32, step];
        [&[0, seed][..], &(0..24).flat_map(packet).collect::<Vec<u8>>()].concat()
    };
    (0..64).map(stream).collect()
}

const KNOCK_TOML: [&str; 5] = [
    "[doors.ssh]\nsequence = [31207, \"5481/udp\", 60122]\nopens = [\"22/tcp\"]\n",
    "[filter]\ninterfaces = [\"eth0\", \"default\"]\nmode = \"generic\"\npolicy = \"drop\"\nenforce = false\npublic = [\"80/tcp\", \"443/udp\"]\n\
     protected = [\"8000-8100/tcp\"]\ntrusted = [\"192.0.2.0/24\", \"2001:db8::/32\", { from = \"192.0.2.10\", to = [\"9100/tcp\"] }]\n\
     protocols = [\"esp\", 47]\nping = false\ndestinations = [\"local\", \"203.0.113.5\"]\nstrict = false\nestablished = \"cut\"\n",
    "[door_defaults]\nseq_timeout = \"500ms\"\n[doors.a]\nsequence = [\"7000:udp\", 9, 9]\ntcpflags = \"syn,!ack\"\nsame_ttl = true\n\
     target = [\"192.0.2.1\"]\nopens = [\"any\"]\nopen_for = \"forever\"\nconnections = 1\nrevokes = [\"b\"]\n\
     [doors.b]\nsequence_file = \"secret\"\nstart_command = \"true %IP%\"\nstop_command = [\"true\", \"x\"]\nstart_command_6 = \"\"\n\
     run_as = \"nobody\"\ncmd_timeout = 5\n\u{0}\u{0}\u{0}4120,548:udp\n",
    "include = [\"doors.d/*.toml\"]\n[limits]\nattempts = 1024\ngrants = 64\nflows = 1024\ncommands = 1\nqueued_commands = 2\n\
     [timeouts]\ntcp_established = \"5d\"\ntcp_closing = \"2m\"\nudp = 180\nicmp = \"30s\"\n[log]\nstages = true\ndrops = true\n\
     [scanners]\nports = 20\nwithin = \"10s\"\nhold = \"10m\"\n[metrics]\nlisten = \"127.0.0.1:9762\"\n\
     \u{0}[doors.a]\nsequence = [1, 5, 3]\nopens = [\"22/tcp\", \"60000-60010/udp\"]\n\
     \u{0}[doors.b]\napprove_command = [\"true\"]\nsequence = [2, 4, 6]\nopens = [\"23/tcp\"]\n",
    "[doors.once]\none_time_sequences = \"once\"\nopens = [\"22/tcp\"]\n\u{0}\u{0}\u{0}\u{0} 4120,548\n#41,6\n 4121,549:udp\n",
];

const KNOCKD_CONF: [&str; 5] = [
    include_str!("../../../knock-ctl/src/import/tests/fixtures/every_key.conf"),
    include_str!("../../../knock-ctl/src/import/tests/fixtures/open_close.conf"),
    include_str!("../../../knock-ctl/src/import/tests/fixtures/timed.conf"),
    "[options]\n\tUseSyslog\n\tinterface = eth1\n[a.b]\nsequence = 1,2:udp,3\ntimeout = 5\ncommand = /sbin/ufw allow from %IP% to any port 22\n",
    "[a]\nSequence = 7000,8000\nTCPFlags = fin,!ack\nTarget = 192.0.2.1\nCommand_6 =\nStop_Command = x\n",
];

const ONE_TIME: [&str; 4] = [
    "# a comment\n 1,2:udp\n\n#3,4\n\t5, 6\r\n 7,8",
    "7000,8000\n9000:udp\n",
    " 1000,2000:udp\n 3000,4000\n 1000,2000:udp\n",
    " 1:tcp , 2\n 3,70000\n",
];

/// Knocks, a connection and something else, in each format.
fn captures() -> Vec<Vec<u8>> {
    let [remote, local] =
        ["192.0.2.7", "198.51.100.1"].map(|text| text.parse::<IpAddr>().expect("an address"));
    let tcp = |port| Frame::tcp(remote, local).ports(40_000, port);
    let frames = [
        tcp(7000),
        Frame::udp(remote, local).ports(40_000, 8000),
        tcp(9000),
        tcp(22),
        tcp(22).flags(PSH | ACK).payload(b"data"),
        Frame::udp(local, remote).ports(53, 53),
        Frame::arp(),
    ]
    .map(|frame| frame.build());
    let cooked = |header: &[u8]| frames.clone().map(|frame| [header, &frame[14..]].concat());
    let sll = [0, 0, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0, 8, 0];
    let sll2 = [8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 2, 2, 2, 2, 2, 0, 0];
    vec![pcap(1, &frames), pcapng(1, &frames), pcap(113, &cooked(&sll)), pcapng(276, &cooked(&sll2))]
}

/// Of little-endian machines, in microseconds.
fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link].map(u32::to_le_bytes).concat();
    for (time, frame) in (0..).zip(frames) {
        let length = frame.len() as u32;
        file.extend([1_700_000_000, time, length, length].map(u32::to_le_bytes).concat());
        file.extend(frame);
    }
    file
}

/// Of little-endian machines, in microseconds; the last packet without a time.
fn pcapng(link: u16, frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = ((12 + body.len() + padding.len()) as u32).to_le_bytes();
        [&kind.to_le_bytes(), &length, body, &padding, &length].concat()
    };
    let mut file = block(0x0a0d_0d0a, &[&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat());
    file.extend(block(1, &[&link.to_le_bytes()[..], &[0; 6]].concat()));
    let length = |frame: &Vec<u8>| (frame.len() as u32).to_le_bytes();
    for (time, frame) in (0u8..).zip(frames) {
        let times = [0, 0, 0, 0, 0, 0, 0, 0, time, 0, 0, 0];
        file.extend(block(6, &[&times[..], &length(frame), &length(frame), frame].concat()));
    }
    if let Some(frame) = frames.last() {
        file.extend(block(3, &[&length(frame)[..], frame].concat()));
    }
    file
}

fn journals() -> Vec<Vec<u8>> {
    let line = |record: &str, rest: &str| {
        format!(
            "{{\"record\":\"{record}\",\"address\":\"192.0.2.7\",\"door\":\"ssh\",\"opened_at\":1,\"boot_id\":\"x\"{rest}}}\n"
        )
    };
    let opened = line("opened", ",\"stop_due\":5,\"announced\":true");
    let forever = line("opened", ",\"namespace\":7,\"stop_due\":null");
    let files = [
        [opened.clone(), line("started", ""), line("stopping", ""), line("closed", "")].concat(),
        [forever.as_str(), "\nnonsense\n{}\n", &opened, &opened[..40]].concat(),
    ];
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|file| [&[0], file.as_bytes()].concat()).collect();
    seeds.push((0..96u8).map(|byte| byte.wrapping_mul(37) | u8::from(byte == 0)).collect());
    seeds
}
