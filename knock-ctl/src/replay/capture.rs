//! Captures: pcap and pcapng files (<https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/> and its sibling).

use std::borrow::Cow;
use std::io::Read;
use std::time::Duration;

use pcap_parser::{
    Block, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, LegacyPcapBlock, PcapBlockOwned,
    PcapError, PcapHeader, create_reader,
};

use super::link::Link;

/// Room for a block, in bytes, that is enough for nearly all; and for the longest that is read.
const BLOCK_USUAL: usize = 64 << 10;
const BLOCK_MAX: usize = 4 << 20;
/// Interfaces of one section, of which each has to be kept.
const INTERFACES_MAX: usize = 65_536;
/// The first second that dates of four digits can't say: the year 10000.
const YEAR_10000: u128 = 253_402_300_800;
const NANOSECONDS: u128 = 1_000_000_000;

/// Why a capture could not be read on.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("this is no capture: it begins neither as a pcap nor as a pcapng file does")]
    NotACapture,
    #[error("the capture ends within a packet, behind packet {0}; it was cut off")]
    CutOff(u64),
    #[error("the capture makes no sense behind packet {0}")]
    Garbled(u64),
    #[error("behind packet {0} the capture has a block of more than {max} MiB", max = BLOCK_MAX >> 20)]
    TooLarge(u64),
    #[error(
        "the capture has link type {0}, which this can't read; take one from an Ethernet interface, or with `tcpdump -i any`"
    )]
    LinkType(i32),
    #[error("packet {0} belongs to an interface that the capture does not describe")]
    NoInterface(u64),
    #[error("packet {0} has no time that could be told")]
    NoTime(u64),
    #[error("the capture could not be read on behind packet {0}")]
    Read(u64),
}

/// One packet.
pub struct Record<'a> {
    /// Since 1970.
    pub time: Duration,
    /// From its Ethernet header on, as much as was captured.
    pub frame: Cow<'a, [u8]>,
    /// Bytes of the whole frame.
    pub length: usize,
    /// The capture says that it was sent by the machine it was taken on.
    pub outgoing: bool,
}

/// What describes the packets of one interface.
#[derive(Clone, Copy)]
struct Source {
    link: Link,
    /// Units of time in a second.
    resolution: u128,
    /// Seconds to add.
    offset: i64,
}

/// A capture that is being read.
pub struct Capture<R: Read> {
    reader: R,
}

#[derive(Default)]
struct Progress {
    sources: Vec<Source>,
    packets: u64,
    /// Of the packet before.
    time: Duration,
}

impl<R: Read> Capture<R> {
    pub fn new(reader: R) -> Self {
        Self { reader }
    }

    /// Hands each packet to `each`, which may end it with an error of its own.
    pub fn read<E: From<CaptureError>>(
        self,
        mut each: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), E>
    where
        R: Send + 'static,
    {
        let mut capacity = BLOCK_USUAL;
        let mut reader = create_reader(capacity, self.reader).map_err(|_| CaptureError::NotACapture)?;
        let mut progress = Progress::default();
        loop {
            match reader.next() {
                Ok((length, block)) => {
                    if let Some(record) = progress.take(&block)? {
                        each(&record)?;
                    }
                    reader.consume(length);
                    continue;
                }
                Err(PcapError::Eof) => return Ok(()),
                Err(PcapError::Incomplete(_) | PcapError::BufferTooSmall) => {}
                Err(PcapError::UnexpectedEof) => return Err(CaptureError::CutOff(progress.packets).into()),
                Err(_) => return Err(CaptureError::Garbled(progress.packets).into()),
            }
            let before = reader.data().len();
            reader.refill().map_err(|_| CaptureError::Read(progress.packets))?;
            if reader.data().len() == before && !reader.reader_exhausted() {
                capacity *= 2;
                if capacity > BLOCK_MAX || !reader.grow(capacity) {
                    return Err(CaptureError::TooLarge(progress.packets).into());
                }
            }
        }
    }
}

impl Progress {
    fn take<'a>(&mut self, block: &'a PcapBlockOwned<'_>) -> Result<Option<Record<'a>>, CaptureError> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => self.describe(legacy(header)?)?,
            PcapBlockOwned::Legacy(block) => return self.legacy_packet(block).map(Some),
            PcapBlockOwned::NG(Block::SectionHeader(_)) => self.sources.clear(),
            PcapBlockOwned::NG(Block::InterfaceDescription(block)) => {
                let source = described(block, self.packets)?;
                self.describe(source)?;
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(block)) => return self.packet(block).map(Some),
            PcapBlockOwned::NG(Block::SimplePacket(block)) => {
                self.packets += 1;
                let source = *self.sources.first().ok_or(CaptureError::NoInterface(self.packets))?;
                let captured = block.data.len().min(block.origlen as usize);
                // Such a block has no time of its own.
                return self.record(source, &block.data[..captured], block.origlen, self.time).map(Some);
            }
            PcapBlockOwned::NG(_) => {}
        }
        Ok(None)
    }

    fn describe(&mut self, source: Source) -> Result<(), CaptureError> {
        if self.sources.len() == INTERFACES_MAX {
            return Err(CaptureError::Garbled(self.packets));
        }
        self.sources.push(source);
        Ok(())
    }

    fn legacy_packet<'a>(&mut self, block: &LegacyPcapBlock<'a>) -> Result<Record<'a>, CaptureError> {
        self.packets += 1;
        let source = *self.sources.first().ok_or(CaptureError::NoInterface(self.packets))?;
        let fraction = u128::from(block.ts_usec) * NANOSECONDS / source.resolution;
        let time = self.time(i128::from(block.ts_sec) * NANOSECONDS as i128 + fraction as i128)?;
        self.record(source, block.data, block.origlen, time)
    }

    fn packet<'a>(&mut self, block: &EnhancedPacketBlock<'a>) -> Result<Record<'a>, CaptureError> {
        self.packets += 1;
        let source =
            *self.sources.get(block.if_id as usize).ok_or(CaptureError::NoInterface(self.packets))?;
        let units = u128::from(block.ts_high) << 32 | u128::from(block.ts_low);
        let nanoseconds = units * NANOSECONDS / source.resolution;
        let time = self.time(nanoseconds as i128 + i128::from(source.offset) * NANOSECONDS as i128)?;
        let bytes = block.data.get(..block.caplen as usize).unwrap_or(block.data);
        self.record(source, bytes, block.origlen, time)
    }

    fn time(&self, nanoseconds: i128) -> Result<Duration, CaptureError> {
        let nanoseconds = u128::try_from(nanoseconds)
            .ok()
            .filter(|nanoseconds| *nanoseconds < YEAR_10000 * NANOSECONDS)
            .ok_or(CaptureError::NoTime(self.packets))?;
        Ok(Duration::new((nanoseconds / NANOSECONDS) as u64, (nanoseconds % NANOSECONDS) as u32))
    }

    fn record<'a>(
        &mut self,
        source: Source,
        bytes: &'a [u8],
        length: u32,
        time: Duration,
    ) -> Result<Record<'a>, CaptureError> {
        self.time = time;
        let frame = source.link.to_ethernet(bytes).ok_or(CaptureError::Garbled(self.packets))?;
        let length = (length as usize).saturating_add_signed(frame.grown).max(frame.bytes.len());
        Ok(Record { time, frame: frame.bytes, length, outgoing: frame.outgoing })
    }
}

fn legacy(header: &PcapHeader) -> Result<Source, CaptureError> {
    // The bits above are about frame check sequences.
    let number = header.network.0 & 0x03ff_ffff;
    let link = Link::from_number(number).ok_or(CaptureError::LinkType(number))?;
    let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
    Ok(Source { link, resolution, offset: 0 })
}

fn described(block: &InterfaceDescriptionBlock<'_>, packets: u64) -> Result<Source, CaptureError> {
    let number = block.linktype.0;
    // The parser reads this one as if every file were little-endian.
    let offset =
        if block.block_type == IDB_MAGIC { block.if_tsoffset } else { block.if_tsoffset.swap_bytes() };
    Ok(Source {
        link: Link::from_number(number).ok_or(CaptureError::LinkType(number))?,
        resolution: resolution(block.if_tsresol).ok_or(CaptureError::Garbled(packets))?,
        offset,
    })
}

/// Units in a second: a power of ten, or, with the highest bit set, of two. `None`: more than could be counted.
fn resolution(tsresol: u8) -> Option<u128> {
    let base: u128 = if tsresol & 0x80 == 0 { 10 } else { 2 };
    base.checked_pow(u32::from(tsresol & 0x7f))
}
