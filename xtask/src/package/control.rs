//! What dpkg is told of the package: deb-control(5), deb-md5sums(5).

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::Version;
use super::layout::Layout;

/// `size` is that of the installed files, in bytes.
pub fn control(version: &Version, architecture: &str, program: &[u8], size: u64) -> String {
    let libc = match oldest_glibc(program) {
        Some((major, minor)) => format!("libc6 (>= {major}.{minor})"),
        None => "libc6".to_owned(),
    };
    format!(
        "Package: knock-ctl\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: knock-ctl <maintainers@knock-ctl.invalid>\n\
         Installed-Size: {kib}\n\
         Depends: {libc}, libgcc-s1, init-system-helpers (>= 1.54~)\n\
         Section: net\n\
         Priority: optional\n\
         Description: port knocking at the network card\n \
         An XDP program follows each source's way through a secret sequence of ports\n \
         and drops what has no business here before the kernel builds a socket buffer\n \
         for it; when a source completes its sequence, the program itself opens the\n \
         door. A controller puts the rules in force, logs and runs commands; the filter\n \
         works on without it. The client that knocks is here too.\n",
        kib = size.div_ceil(1024),
    )
}

/// A line for each installed file.
pub fn md5sums(tree: &Path, layout: &Layout) -> Result<Vec<u8>> {
    let mut sums = Command::new("md5sum");
    let output = sums.args(layout.files.iter().map(|entry| &entry.target)).current_dir(tree).output()?;
    if !output.status.success() {
        bail!("`md5sum` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// The newest version of a symbol that the program wants of the C library, which is the oldest library that it runs with.
fn oldest_glibc(program: &[u8]) -> Option<(u32, u32)> {
    const NAME: &[u8] = b"GLIBC_";
    let ends = program.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    ends.filter_map(|(at, _)| version(&program[at + NAME.len()..])).max()
}

/// Major and minor number, up to what is neither a digit nor a dot.
fn version(text: &[u8]) -> Option<(u32, u32)> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let mut numbers = std::str::from_utf8(&text[..end]).ok()?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_symbol_decides_which_library_is_old_enough() {
        for (program, expected) in [
            (&b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0"[..], Some((2, 34))),
            (b"\0GLIBC_PRIVATE\0GLIBC_\0", None),
            (b"GLIBC_2.99", None),
            (b"", None),
        ] {
            assert_eq!(oldest_glibc(program), expected);
        }
    }

    #[test]
    fn control_names_what_dpkg_must_know() {
        let control = control(&Version::default(), "amd64", b"\0GLIBC_2.34\0", 2049);
        for line in ["Package: knock-ctl", "Architecture: amd64", "Installed-Size: 3"] {
            assert!(control.lines().any(|known| known == line), "{line}");
        }
        assert!(control.contains("Depends: libc6 (>= 2.34), "));
        assert!(
            control.lines().all(|line| line.len() < 100 && (line.starts_with(' ') || line.contains(": ")))
        );
        assert!(control.ends_with('\n'));
    }
}
