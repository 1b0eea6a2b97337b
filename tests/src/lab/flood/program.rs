//! An XDP program that gives each frame a source port at random and sends it out of an interface.

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

const NAME: &str = "inject";
/// Frames that the kernel handles at once.
const BATCH: u32 = 64;

/// Source port, and two bytes that are data to the checksum: of TCP's acknowledgment, or the first of a datagram.
const SOURCE_PORT: i16 = 0;
const BALANCE: i16 = 8;
/// What the program wants of a frame behind its IP header.
const LEAST: i16 = BALANCE + 2;

/// The loaded program.
pub struct Injector {
    ebpf: Ebpf,
}

impl Injector {
    /// For untagged frames of one family whose IP header has no options; they leave by the interface of this index in the
    /// calling thread's namespace.
    pub fn load(is_v4: bool, interface: u32) -> Result<Self> {
        let transport = if is_v4 { 14 + 20 } else { 14 + 40 };
        let mut ebpf = Ebpf::load(&object(&code(transport, interface.cast_signed()))?)?;
        program(&mut ebpf)?.load()?;
        Ok(Self { ebpf })
    }

    /// Sends `count` copies of a frame whose source port and two bytes for the checksum's balance are 0.
    pub fn inject(&mut self, frame: &[u8], count: u32) -> Result<()> {
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat: count,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        };
        program(&mut self.ebpf)?.test_run(options).context("injecting frames")?;
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp> {
    Ok(ebpf.program_mut(NAME).context("the program is not in its object")?.try_into()?)
}

/// By RFC 9669. A port and its complement sum up to nothing in a checksum.
fn code(transport: i16, interface: i32) -> Vec<u8> {
    const GET_PRANDOM_U32: i32 = 7;
    const REDIRECT: i32 = 23;
    let end = i32::from(transport + LEAST);
    [
        // r6 and r7: where the frame begins and ends.
        instruction(0x61, 6, 1, 0, 0),
        instruction(0x61, 7, 1, 4, 0),
        // To the end, unless it is long enough.
        instruction(0xbf, 2, 6, 0, 0),
        instruction(0x07, 2, 0, 0, end),
        instruction(0x2d, 2, 7, 4, 0),
        instruction(0x85, 0, 0, 0, GET_PRANDOM_U32),
        instruction(0x6b, 6, 0, transport + SOURCE_PORT, 0),
        instruction(0xa7, 0, 0, 0, -1),
        instruction(0x6b, 6, 0, transport + BALANCE, 0),
        // The end: out of the interface.
        instruction(0xb7, 1, 0, 0, interface),
        instruction(0xb7, 2, 0, 0, 0),
        instruction(0x85, 0, 0, 0, REDIRECT),
        instruction(0x95, 0, 0, 0, 0),
    ]
    .concat()
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> [u8; 8] {
    let [offset_low, offset_high] = offset.to_le_bytes();
    let [a, b, c, d] = immediate.to_le_bytes();
    [code, source << 4 | destination, offset_low, offset_high, a, b, c, d]
}

/// An object file with one XDP program.
fn object(code: &[u8]) -> Result<Vec<u8>> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let section = object.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
    let value = object.append_section_data(section, code, 8);
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    object.add_symbol(Symbol {
        name: NAME.as_bytes().to_vec(),
        value,
        size: code.len() as u64,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    });
    object.write().context("writing an object file")
}
