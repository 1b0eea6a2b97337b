//! Port numbers that are fit for a knock.

use knock_common::port::{Port, PortRange};

/// Below are services' ports, which scanners try first and some networks block.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// At home to some service, to games or to trojans, and so probed all day: the most scanned by nmap-services, and
/// registered ports of what servers run.
const COMMON: &[u16] = &[
    1025, 1026, 1027, 1028, 1029, 1080, 1110, 1194, 1234, 1337, 1433, 1434, 1521, 1604, 1701, 1720, 1723,
    1755, 1812, 1813, 1883, 1900, 2000, 2001, 2049, 2082, 2083, 2086, 2087, 2121, 2181, 2222, 2375, 2376,
    2379, 2380, 2483, 2484, 3000, 3001, 3128, 3268, 3283, 3306, 3333, 3389, 3478, 3632, 3690, 3702, 4000,
    4040, 4369, 4444, 4500, 4567, 4786, 4899, 5000, 5001, 5004, 5005, 5009, 5050, 5051, 5060, 5061, 5101,
    5190, 5222, 5269, 5351, 5353, 5355, 5357, 5432, 5555, 5601, 5631, 5666, 5671, 5672, 5683, 5800, 5900,
    5901, 5938, 5984, 5985, 5986, 6000, 6001, 6379, 6443, 6514, 6646, 6660, 6667, 6697, 6881, 7000, 7001,
    7070, 7077, 7443, 7474, 7547, 7777, 8000, 8001, 8008, 8009, 8010, 8020, 8069, 8080, 8081, 8082, 8083,
    8086, 8088, 8089, 8090, 8123, 8139, 8140, 8161, 8200, 8291, 8333, 8400, 8443, 8444, 8500, 8554, 8728,
    8765, 8834, 8880, 8888, 8983, 9000, 9001, 9042, 9043, 9050, 9060, 9080, 9090, 9091, 9092, 9100, 9160,
    9200, 9300, 9389, 9418, 9443, 9600, 9999, 10000, 10001, 10050, 10051, 10250, 11211, 11371, 12345, 13579,
    15672, 16379, 16992, 17500, 18080, 19132, 20000, 22222, 25565, 25826, 26257, 27015, 27017, 27018, 28017,
    31337, 32400, 32768, 37777, 41641, 44818, 47808, 49152, 49153, 49154, 49155, 49156, 49157, 50000, 50070,
    51413, 51820, 54321, 55443, 60000, 61616, 64738, 65535,
];

/// Numbers, whatever the protocol: a number that one protocol has no use for is left out for both.
pub(super) struct Candidates {
    /// Of each number.
    is_fit: Vec<bool>,
}

impl Candidates {
    pub(super) fn new(opens: &[PortRange], listening: &[Port]) -> Self {
        let mut is_fit = vec![false; usize::from(u16::MAX) + 1];
        is_fit[usize::from(FIRST_UNPRIVILEGED)..].fill(true);
        for range in opens {
            is_fit[usize::from(range.first())..=usize::from(range.last())].fill(false);
        }
        for number in listening.iter().map(|port| port.number.get()).chain(COMMON.iter().copied()) {
            is_fit[usize::from(number)] = false;
        }
        Self { is_fit }
    }

    pub(super) fn count(&self) -> usize {
        self.is_fit.iter().filter(|&&is_fit| is_fit).count()
    }

    pub(super) fn contains(&self, number: u16) -> bool {
        self.is_fit[usize::from(number)]
    }
}
