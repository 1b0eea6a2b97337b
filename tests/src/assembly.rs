//! Small XDP programs, instruction by instruction (RFC 9669).

use anyhow::{Context, Result};
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

/// One instruction in its 64 bits: code, registers, offset, immediate.
pub fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> [u8; 8] {
    let [offset_low, offset_high] = offset.to_le_bytes();
    let [a, b, c, d] = immediate.to_le_bytes();
    [code, source << 4 | destination, offset_low, offset_high, a, b, c, d]
}

/// An object file with one XDP program, under the GPL.
///
/// # Errors
/// When the name can't be that of a symbol.
pub fn xdp_object(name: &str, code: &[[u8; 8]]) -> Result<Vec<u8>> {
    let code = code.concat();
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let section = object.add_section(Vec::new(), b"xdp".to_vec(), SectionKind::Text);
    let value = object.append_section_data(section, &code, 8);
    let license = object.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    object.append_section_data(license, b"GPL\0", 1);
    object.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
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
