//! Instructions that are there for the verifier's sake.

/// `number & MASK`, by an instruction that is there.
///
/// Before Linux 6.8 a number that the compiler keeps on the stack is no longer the one that was compared, or has lost what was
/// known of it. A mask right before the number's use is understood by all, but the compiler leaves out what it can prove to
/// change nothing.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub fn masked<const MASK: usize>(mut number: usize) -> usize {
    // SAFETY: the instruction changes this register alone. Without one at all, the line information of two would be the same,
    // which the kernel refuses.
    unsafe { core::arch::asm!("{0} &= {1}", inout(reg) number, const MASK, options(pure, nomem, nostack)) };
    number
}

#[cfg(not(target_arch = "bpf"))]
pub fn masked<const MASK: usize>(number: usize) -> usize {
    number & MASK
}

/// Has the verifier compare what it knows with what it knew when it came here before. It does so where a jump leads to; this
/// one leads to the next instruction, and the kernel takes it out of the program that it runs.
#[cfg(target_arch = "bpf")]
#[inline(always)]
pub fn compared() {
    // SAFETY: the instruction changes nothing.
    unsafe { core::arch::asm!("goto +0", options(nomem, nostack)) };
}

#[cfg(not(target_arch = "bpf"))]
pub fn compared() {}
