//! The IPv4 and IPv6 headers of a frame.

use super::{checksum, numbers};
use std::net::IpAddr;

/// What the network layer of a frame says; `None` in an override means the truth.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) hop_limit: u8,
    pub(super) identification: u16,
    /// IPv4 options; a multiple of 4 bytes, at most 40.
    pub(super) options: Vec<u8>,
    /// IPv6 extension headers in order: their number, and their bytes, of which the first is filled in here.
    pub(super) extensions: Vec<(u8, Vec<u8>)>,
    /// IPv4: reserved, DF and MF bits, and the offset in units of 8 bytes.
    pub(super) fragment_field: u16,
    pub(super) version: Option<u8>,
    pub(super) ihl: Option<u8>,
    pub(super) total_length: Option<u16>,
    pub(super) corrupt_checksum: bool,
}

impl Header {
    /// An honest header.
    ///
    /// # Panics
    /// When the addresses are of two families.
    pub(super) fn new(source: IpAddr, destination: IpAddr, protocol: u8) -> Self {
        assert_eq!(source.is_ipv4(), destination.is_ipv4(), "addresses of two families in one packet");
        Self {
            source,
            destination,
            protocol,
            hop_limit: 64,
            identification: 0x1234,
            options: Vec::new(),
            extensions: Vec::new(),
            fragment_field: 0,
            version: None,
            ihl: None,
            total_length: None,
            corrupt_checksum: false,
        }
    }

    pub(super) fn is_ipv4(&self) -> bool {
        self.source.is_ipv4()
    }

    pub(super) fn ether_type(&self) -> u16 {
        if self.is_ipv4() { numbers::IPV4 } else { numbers::IPV6 }
    }

    /// The pseudo-header that transport checksums cover (RFC 9293, 3.1; RFC 8200, 8.1).
    pub(super) fn pseudo_header(&self, transport_length: usize) -> Vec<u8> {
        let mut bytes = self.addresses();
        bytes.extend((transport_length as u32).to_be_bytes());
        bytes.extend([0, 0, 0, self.protocol]);
        bytes
    }

    /// The header with its options or extension headers, before `payload_length` bytes of transport.
    /// A length over 65,535 is written as 0, as BIG TCP does.
    pub(super) fn bytes(&self, payload_length: usize) -> Vec<u8> {
        if self.is_ipv4() { self.ipv4(payload_length) } else { self.ipv6(payload_length) }
    }

    fn ipv4(&self, payload_length: usize) -> Vec<u8> {
        let header_length = 20 + self.options.len();
        let ihl = self.ihl.unwrap_or((header_length / 4) as u8);
        let mut bytes = vec![(self.version.unwrap_or(4) << 4) | ihl, 0];
        bytes.extend(self.length_field(header_length + payload_length).to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(self.fragment_field.to_be_bytes());
        bytes.extend([self.hop_limit, self.protocol, 0, 0]);
        bytes.extend(self.addresses());
        bytes.extend(&self.options);
        let sum = checksum::internet(&[&bytes]) ^ if self.corrupt_checksum { 0x5555 } else { 0 };
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn ipv6(&self, payload_length: usize) -> Vec<u8> {
        let mut extensions = Vec::new();
        for (index, (_, bytes)) in self.extensions.iter().enumerate() {
            let start = extensions.len();
            extensions.extend(bytes);
            extensions[start] = self.extensions.get(index + 1).map_or(self.protocol, |(number, _)| *number);
        }
        let mut bytes = vec![self.version.unwrap_or(6) << 4, 0, 0, 0];
        bytes.extend(self.length_field(extensions.len() + payload_length).to_be_bytes());
        bytes.push(self.extensions.first().map_or(self.protocol, |(number, _)| *number));
        bytes.push(self.hop_limit);
        bytes.extend(self.addresses());
        bytes.extend(extensions);
        bytes
    }

    fn length_field(&self, truth: usize) -> u16 {
        self.total_length.unwrap_or(u16::try_from(truth).unwrap_or(0))
    }

    fn addresses(&self) -> Vec<u8> {
        [self.source, self.destination]
            .into_iter()
            .flat_map(|address| match address {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            })
            .collect()
    }
}

/// A well-formed IPv6 extension header of `length` bytes (RFC 8200, 4; RFC 4302, 2.2); its first byte is left open.
///
/// # Panics
/// When no header of that kind has that length.
pub(super) fn extension(number: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    bytes[1] = match number {
        numbers::FRAGMENT => {
            assert_eq!(length, 8, "a fragment header has 8 bytes");
            0
        }
        numbers::AUTHENTICATION => {
            assert!(
                length.is_multiple_of(4) && (8..=1028).contains(&length),
                "no such authentication header"
            );
            (length / 4 - 2) as u8
        }
        _ => {
            assert!(length.is_multiple_of(8) && (8..=2048).contains(&length), "no such extension header");
            (length / 8 - 1) as u8
        }
    };
    if matches!(number, numbers::HOP_BY_HOP | numbers::DESTINATION_OPTIONS) {
        // One option over the rest, so that kernels accept the header too; they don't accept as much padding.
        bytes[2] = numbers::UNKNOWN_OPTION;
        bytes[3] = (length - 4).min(255) as u8;
    }
    bytes
}
