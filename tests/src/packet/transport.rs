//! What follows the IP header of a frame.

use super::{checksum, ip};

#[derive(Clone, Debug)]
pub(super) enum Transport {
    Tcp(Tcp),
    Udp(Udp),
    /// Any other protocol, as its bytes; `checksum_at` is where an Internet checksum belongs.
    Other {
        bytes: Vec<u8>,
        checksum_at: Option<usize>,
        pseudo_header: bool,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tcp {
    pub(super) ports: (u16, u16),
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) flags: u8,
    /// A multiple of 4 bytes, at most 40.
    pub(super) options: Vec<u8>,
    pub(super) data_offset: Option<u8>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Udp {
    pub(super) ports: (u16, u16),
    pub(super) length: Option<u16>,
}

impl Transport {
    pub(super) fn bytes(&self, header: &ip::Header, payload: &[u8], corrupt_checksum: bool) -> Vec<u8> {
        let (mut bytes, checksum_at, pseudo_header) = match self {
            Self::Tcp(tcp) => (tcp.header(), Some(16), true),
            Self::Udp(udp) => (udp.header(payload.len()), Some(6), true),
            Self::Other { bytes, checksum_at, pseudo_header } => {
                (bytes.clone(), *checksum_at, *pseudo_header)
            }
        };
        bytes.extend(payload);
        if let Some(at) = checksum_at {
            let pseudo = if pseudo_header { header.pseudo_header(bytes.len()) } else { Vec::new() };
            let mut sum = checksum::internet(&[&pseudo, &bytes]);
            if sum == 0 && matches!(self, Self::Udp(_)) {
                sum = 0xffff;
            }
            if corrupt_checksum {
                sum ^= 0x5555;
            }
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }
}

impl Tcp {
    fn header(&self) -> Vec<u8> {
        let data_offset = self.data_offset.unwrap_or((5 + self.options.len() / 4) as u8);
        let mut bytes = ports(self.ports);
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgement.to_be_bytes());
        bytes.extend([data_offset << 4, self.flags]);
        bytes.extend(64_240u16.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.options);
        bytes
    }
}

impl Udp {
    fn header(&self, payload_length: usize) -> Vec<u8> {
        let length = self.length.unwrap_or(u16::try_from(8 + payload_length).unwrap_or(0));
        let mut bytes = ports(self.ports);
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 2]);
        bytes
    }
}

fn ports((source, destination): (u16, u16)) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}
