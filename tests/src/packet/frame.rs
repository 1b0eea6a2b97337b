//! The builder itself.

use super::ip::{self, Header};
use super::numbers;
use super::transport::{Tcp, Transport, Udp};
use std::net::IpAddr;

/// An Ethernet frame in the making: each method changes one thing, [`Frame::build`] gives the bytes.
///
/// A method that has no meaning for the frame (flags of a UDP packet, options of an IPv6 one) panics: a test that asks
/// for it is wrong.
#[derive(Clone, Debug)]
pub struct Frame {
    tags: Vec<(u16, u16)>,
    ether_type: u16,
    content: Content,
    padding: usize,
    truncate: usize,
}

#[derive(Clone, Debug)]
enum Content {
    Raw(Vec<u8>),
    Ip { header: Header, transport: Transport, payload: Vec<u8>, cut: usize, corrupt_checksum: bool },
}

/// Where every frame goes; the lab's server has this address.
pub const DESTINATION_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Where every frame comes from; the lab's client has this address.
pub const SOURCE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

/// What a frame is.
impl Frame {
    /// A TCP SYN; IPv4 or IPv6 by the addresses.
    pub fn tcp(source: IpAddr, destination: IpAddr) -> Self {
        let tcp = Tcp { ports: (40_000, 0), sequence: 1, flags: numbers::SYN, ..Tcp::default() };
        Self::ip(source, destination, numbers::TCP, Transport::Tcp(tcp))
    }

    pub fn udp(source: IpAddr, destination: IpAddr) -> Self {
        let udp = Udp { ports: (40_000, 0), length: None };
        Self::ip(source, destination, numbers::UDP, Transport::Udp(udp))
    }

    /// An echo request: ICMP in IPv4, ICMPv6 in IPv6.
    pub fn icmp(source: IpAddr, destination: IpAddr) -> Self {
        let (protocol, kind) = if source.is_ipv4() { (numbers::ICMP, 8) } else { (numbers::ICMPV6, 128) };
        let bytes = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
        let transport = Transport::Other { bytes, checksum_at: Some(2), pseudo_header: !source.is_ipv4() };
        Self::ip(source, destination, protocol, transport)
    }

    /// A version 2 membership report.
    pub fn igmp(source: IpAddr, destination: IpAddr) -> Self {
        let bytes = vec![0x16, 0, 0, 0, 224, 0, 0, 251];
        let transport = Transport::Other { bytes, checksum_at: Some(2), pseudo_header: false };
        Self::ip(source, destination, numbers::IGMP, transport)
    }

    /// A GRE header that announces IPv4.
    pub fn gre(source: IpAddr, destination: IpAddr) -> Self {
        Self::protocol(source, destination, numbers::GRE).payload(&[0, 0, 8, 0])
    }

    /// An IP packet of any protocol, without a transport header.
    pub fn protocol(source: IpAddr, destination: IpAddr, number: u8) -> Self {
        let transport = Transport::Other { bytes: Vec::new(), checksum_at: None, pseudo_header: false };
        Self::ip(source, destination, number, transport)
    }

    /// An ARP request for 10.0.0.1.
    pub fn arp() -> Self {
        let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, 1];
        bytes.extend(SOURCE_MAC);
        bytes.extend([10, 0, 0, 2]);
        bytes.extend([0; 6]);
        bytes.extend([10, 0, 0, 1]);
        Self::raw(numbers::ARP, bytes)
    }

    /// Any ethertype over any bytes.
    pub fn raw(ether_type: u16, bytes: Vec<u8>) -> Self {
        Self::over(ether_type, Content::Raw(bytes))
    }

    fn ip(source: IpAddr, destination: IpAddr, protocol: u8, transport: Transport) -> Self {
        let header = Header::new(source, destination, protocol);
        let ether_type = header.ether_type();
        let payload = Vec::new();
        let content = Content::Ip { header, transport, payload, cut: usize::MAX, corrupt_checksum: false };
        Self::over(ether_type, content)
    }

    fn over(ether_type: u16, content: Content) -> Self {
        Self { tags: Vec::new(), ether_type, content, padding: 0, truncate: usize::MAX }
    }

    /// The bytes of the frame, from the destination MAC address on.
    pub fn build(&self) -> Vec<u8> {
        let mut bytes = [DESTINATION_MAC, SOURCE_MAC].concat();
        for (tpid, vid) in &self.tags {
            bytes.extend(tpid.to_be_bytes());
            bytes.extend(vid.to_be_bytes());
        }
        bytes.extend(self.ether_type.to_be_bytes());
        match &self.content {
            Content::Raw(raw) => bytes.extend(raw),
            Content::Ip { header, transport, payload, cut, corrupt_checksum } => {
                let mut transport = transport.bytes(header, payload, *corrupt_checksum);
                transport.truncate(*cut);
                bytes.extend(header.bytes(transport.len()));
                bytes.extend(transport);
            }
        }
        bytes.resize(bytes.len() + self.padding, 0);
        bytes.truncate(self.truncate);
        bytes
    }
}

/// The link layer.
impl Frame {
    /// One more tag inside those already there; `tpid` is 0x8100, 0x88a8 or a lie, `vid` the tag's 16 bits.
    pub fn vlan(mut self, tpid: u16, vid: u16) -> Self {
        self.tags.push((tpid, vid));
        self
    }

    /// Instead of the ethertype of the content.
    pub fn ether_type(mut self, ether_type: u16) -> Self {
        self.ether_type = ether_type;
        self
    }

    /// `bytes` zero bytes behind the packet, as Ethernet adds to short frames.
    pub fn padding(mut self, bytes: usize) -> Self {
        self.padding = bytes;
        self
    }

    /// Only the first `bytes` bytes of the frame; the headers go on saying what they said.
    pub fn truncate(mut self, bytes: usize) -> Self {
        self.truncate = bytes;
        self
    }
}

/// The network layer.
impl Frame {
    /// TTL or hop limit; 64 unless said.
    pub fn ttl(mut self, hop_limit: u8) -> Self {
        self.header().hop_limit = hop_limit;
        self
    }

    pub fn identification(mut self, identification: u16) -> Self {
        self.header().identification = identification;
        self
    }

    /// IPv4 options: a multiple of 4 bytes, at most 40.
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        let header = self.header();
        assert!(header.is_ipv4() && options.len().is_multiple_of(4) && options.len() <= 40);
        header.options = options.to_vec();
        self
    }

    /// One more IPv6 extension header, well-formed and of `length` bytes.
    pub fn extension(self, number: u8, length: usize) -> Self {
        self.extension_bytes(number, ip::extension(number, length))
    }

    /// One more IPv6 extension header as its bytes; the first is overwritten with the number of what follows.
    pub fn extension_bytes(mut self, number: u8, bytes: Vec<u8>) -> Self {
        let header = self.header();
        assert!(!header.is_ipv4() && !bytes.is_empty());
        header.extensions.push((number, bytes));
        self
    }

    /// A fragment at `offset` units of 8 bytes, with `more` behind it. In IPv6 this adds the fragment header, behind the
    /// extension headers added before.
    pub fn fragment(mut self, offset: u16, more: bool) -> Self {
        let header = self.header();
        if header.is_ipv4() {
            header.fragment_field = offset | if more { 0x2000 } else { 0 };
            return self;
        }
        let identification = header.identification;
        let mut bytes = ip::extension(numbers::FRAGMENT, 8);
        bytes[2..4].copy_from_slice(&((offset << 3) | u16::from(more)).to_be_bytes());
        bytes[6..8].copy_from_slice(&identification.to_be_bytes());
        self.extension_bytes(numbers::FRAGMENT, bytes)
    }

    /// IPv4: the don't-fragment bit.
    pub fn dont_fragment(mut self) -> Self {
        self.header().fragment_field |= 0x4000;
        self
    }

    /// Instead of the true version.
    pub fn version(mut self, version: u8) -> Self {
        self.header().version = Some(version);
        self
    }

    /// IPv4: instead of the true header length, in words.
    pub fn ihl(mut self, words: u8) -> Self {
        self.header().ihl = Some(words);
        self
    }

    /// Instead of IPv4's true total length, or IPv6's true payload length.
    pub fn total_length(mut self, length: u16) -> Self {
        self.header().total_length = Some(length);
        self
    }

    fn header(&mut self) -> &mut Header {
        match &mut self.content {
            Content::Ip { header, .. } => header,
            Content::Raw(_) => panic!("not an IP packet"),
        }
    }
}

/// The transport layer.
impl Frame {
    /// Source and destination port.
    pub fn ports(mut self, source: u16, destination: u16) -> Self {
        match self.transport() {
            Transport::Tcp(tcp) => tcp.ports = (source, destination),
            Transport::Udp(udp) => udp.ports = (source, destination),
            Transport::Other { .. } => panic!("no ports here"),
        }
        self
    }

    /// The TCP flags byte; SYN unless said.
    pub fn flags(mut self, flags: u8) -> Self {
        self.tcp_header().flags = flags;
        self
    }

    /// The TCP sequence number.
    pub fn sequence(mut self, sequence: u32) -> Self {
        self.tcp_header().sequence = sequence;
        self
    }

    /// The TCP acknowledgement number.
    pub fn acknowledgement(mut self, acknowledgement: u32) -> Self {
        self.tcp_header().acknowledgement = acknowledgement;
        self
    }

    /// TCP options: a multiple of 4 bytes, at most 40.
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        assert!(options.len().is_multiple_of(4) && options.len() <= 40);
        self.tcp_header().options = options.to_vec();
        self
    }

    /// TCP: instead of the true header length, in words.
    pub fn data_offset(mut self, words: u8) -> Self {
        self.tcp_header().data_offset = Some(words);
        self
    }

    /// UDP: instead of the true length.
    pub fn udp_length(mut self, length: u16) -> Self {
        match self.transport() {
            Transport::Udp(udp) => udp.length = Some(length),
            _ => panic!("not a UDP packet"),
        }
        self
    }

    pub fn payload(mut self, bytes: &[u8]) -> Self {
        match &mut self.content {
            Content::Ip { payload, .. } => *payload = bytes.to_vec(),
            Content::Raw(_) => panic!("not an IP packet"),
        }
        self
    }

    /// Only the first `bytes` bytes behind the IP headers, whose lengths stay true.
    pub fn cut_transport(mut self, bytes: usize) -> Self {
        match &mut self.content {
            Content::Ip { cut, .. } => *cut = bytes,
            Content::Raw(_) => panic!("not an IP packet"),
        }
        self
    }

    /// Every checksum wrong.
    pub fn corrupt_checksums(mut self) -> Self {
        self.header().corrupt_checksum = true;
        match &mut self.content {
            Content::Ip { corrupt_checksum, .. } => *corrupt_checksum = true,
            Content::Raw(_) => panic!("not an IP packet"),
        }
        self
    }

    fn tcp_header(&mut self) -> &mut Tcp {
        match self.transport() {
            Transport::Tcp(tcp) => tcp,
            _ => panic!("not a TCP packet"),
        }
    }

    fn transport(&mut self) -> &mut Transport {
        match &mut self.content {
            Content::Ip { transport, .. } => transport,
            Content::Raw(_) => panic!("not an IP packet"),
        }
    }
}
