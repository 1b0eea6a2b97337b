//! The kernel program's object files, embedded by the build script.

use super::DatapathError;
use super::program::Variant;

#[cfg(knock_bpf)]
static PLAIN: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/knock.o"));
#[cfg(knock_bpf)]
static TRACE: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/knock-trace.o"));

/// Whether this binary holds the kernel program.
pub const fn is_embedded() -> bool {
    cfg!(knock_bpf)
}

/// The object file.
///
/// # Errors
/// [`DatapathError::NoProgram`] when none is embedded.
#[cfg(knock_bpf)]
pub fn object(variant: Variant) -> Result<&'static [u8], DatapathError> {
    Ok(match variant {
        Variant::Plain => PLAIN,
        Variant::Trace => TRACE,
    })
}

#[cfg(not(knock_bpf))]
pub fn object(_variant: Variant) -> Result<&'static [u8], DatapathError> {
    Err(DatapathError::NoProgram)
}
