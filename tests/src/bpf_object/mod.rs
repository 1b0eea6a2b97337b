//! A BPF object file, as far as it can be judged without a kernel.

mod instruction;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use object::{
    File, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, Section, SectionKind,
    SymbolKind,
};

use instruction::Instruction;

/// Where a function begins: its section's index, and the bytes before it there.
type Place = (usize, u64);

/// The functions of an object file.
#[derive(Debug)]
pub struct BpfObject {
    functions: BTreeMap<Place, Function>,
}

#[derive(Debug)]
struct Function {
    name: String,
    instructions: Vec<Instruction>,
    calls: BTreeSet<Place>,
}

impl BpfObject {
    /// # Errors
    /// When it is no object file, or calls what it does not hold.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let file = File::parse(bytes)?;
        let mut functions = BTreeMap::new();
        for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
            let section =
                file.section_by_index(symbol.section_index().context("a function without a section")?)?;
            if section.kind() != SectionKind::Text {
                continue;
            }
            let code = section
                .data_range(symbol.address(), symbol.size())?
                .context("a function beyond its section")?;
            let instructions: Vec<_> = Instruction::all(code).collect();
            let place = (section.index().0, symbol.address());
            let relocated = called_by_relocation(&file, &section)?;
            let calls =
                instructions.iter().enumerate().filter(|(_, instruction)| instruction.calls_function());
            let calls = calls.map(|(index, instruction)| {
                let at = symbol.address() + 8 * index as u64;
                let nearby = at.wrapping_add_signed(8 * (1 + i64::from(instruction.immediate)));
                relocated.get(&at).copied().unwrap_or((section.index().0, nearby))
            });
            let calls = calls.collect();
            functions.insert(place, Function { name: symbol.name()?.to_owned(), instructions, calls });
        }
        Ok(Self { functions })
    }

    /// Each function with a loop that ends by falling through to its beginning, from an instruction that is no jump: before
    /// Linux 6.7 (check_cfg in kernel/bpf/verifier.c) that is a "back-edge".
    pub fn loops_by_falling_through(&self) -> Vec<&str> {
        let functions = self.functions.values();
        let looping = functions.filter(|function| instruction::falls_back(&function.instructions));
        looping.map(|function| function.name.as_str()).collect()
    }

    /// Bytes of stack of the deepest chain of calls that begins with each function that nobody calls, by its name; every
    /// frame is rounded up to a multiple of `unit`.
    pub fn stack_depths(&self, unit: u64) -> BTreeMap<&str, u64> {
        let called: BTreeSet<_> = self.functions.values().flat_map(|function| &function.calls).collect();
        let entries = self.functions.iter().filter(|(place, _)| !called.contains(place));
        entries.map(|(place, function)| (function.name.as_str(), self.depth(*place, unit))).collect()
    }

    /// BPF knows no recursion.
    fn depth(&self, place: Place, unit: u64) -> u64 {
        let Some(function) = self.functions.get(&place) else { return 0 };
        let deepest = function.calls.iter().map(|&called| self.depth(called, unit)).max().unwrap_or(0);
        instruction::stack(&function.instructions).max(1).next_multiple_of(unit) + deepest
    }
}

/// The function that each relocated call of a section goes to, by the call's address.
fn called_by_relocation(file: &File, section: &Section) -> Result<BTreeMap<u64, Place>> {
    let mut called = BTreeMap::new();
    let code = section.data()?;
    for (at, relocation) in section.relocations() {
        let RelocationTarget::Symbol(index) = relocation.target() else { continue };
        let symbol = file.symbol_by_index(index)?;
        let Some(target) = symbol.section_index() else { continue };
        let address = if symbol.kind() == SymbolKind::Section {
            let call = code.get(at as usize..).and_then(|code| Instruction::all(code).next());
            let immediate = call.context("a relocation beyond its section")?.immediate;
            8 * (1 + i64::from(immediate)).unsigned_abs()
        } else {
            symbol.address()
        };
        called.insert(at, (target.0, address));
    }
    Ok(called)
}
