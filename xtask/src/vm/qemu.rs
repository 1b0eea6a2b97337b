//! The emulator.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::apt;
use super::programs;

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
/// Of the machine, in MiB.
const MEMORY: &str = "2048";
/// Within a package, where its libraries are.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];

/// Where it lies: installed, or unpacked.
pub enum Qemu {
    Installed(PathBuf),
    Unpacked { root: PathBuf },
}

/// What a machine is made of, and where it writes.
pub struct Machine<'a> {
    pub kernel: &'a Path,
    pub file_system: &'a Path,
    /// All that the kernel says.
    pub console: &'a Path,
    /// The machine's report.
    pub report: &'a Path,
}

impl Qemu {
    /// The installed one; else Debian's is unpacked into `folder`, and the system left alone.
    pub fn find(folder: &Path) -> Result<Self> {
        if let Some(program) = programs::find(PROGRAM) {
            return Ok(Self::Installed(program));
        }
        let root = folder.join("root");
        if !root.join("usr/bin").join(PROGRAM).is_file() {
            apt::unpack_with_dependencies(PACKAGE, &root)?;
        }
        ensure!(root.join("usr/bin").join(PROGRAM).is_file(), "the package {PACKAGE} holds no {PROGRAM}");
        Ok(Self::Unpacked { root })
    }

    /// Turns a machine on. The emulation is of the processor too, so that it works within virtual machines.
    pub fn start(&self, machine: &Machine) -> Result<Child> {
        let mut command = self.command();
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY]);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        command.arg("-kernel").arg(machine.kernel).arg("-initrd").arg(machine.file_system);
        command.args(["-append", "console=ttyS0 panic=-1 loglevel=6"]);
        for port in [machine.console, machine.report] {
            command.args(["-serial", &format!("file:{}", port.display())]);
        }
        command.stdin(Stdio::null()).spawn().with_context(|| format!("{PROGRAM} did not start"))
    }

    fn command(&self) -> Command {
        match self {
            Self::Installed(program) => Command::new(program),
            Self::Unpacked { root } => {
                let mut command = Command::new(root.join("usr/bin").join(PROGRAM));
                let libraries = LIBRARIES.map(|folder| root.join(folder).display().to_string()).join(":");
                command.env("LD_LIBRARY_PATH", libraries);
                for data in ["usr/share/qemu", "usr/share/seabios"] {
                    command.arg("-L").arg(root.join(data));
                }
                command
            }
        }
    }
}
