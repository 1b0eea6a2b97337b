//! The machine's file system: the plan, what runs it, and what the tests run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use knock_guest::{MODULES, PLAN, Step};

use super::archive::Archive;
use super::modules::Module;
use super::programs::{self, Programs};
use crate::setup::test_programs;

/// Tests look for knock-ctl beside the folder that they lie in, as cargo has it.
const KNOCK_CTL: &str = "/knock/knock-ctl";
const TESTS: &str = "/knock/deps";

/// What tests and their shell scripts run besides what has to be installed for them.
const COMMON_PROGRAMS: [&str; 40] = [
    "sh", "bash", "awk", "basename", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "echo", "env",
    "grep", "head", "id", "kill", "ln", "ls", "mkdir", "mknod", "mount", "mv", "printf", "readlink", "rm",
    "rmdir", "sed", "seq", "setpriv", "sleep", "sysctl", "tail", "tc", "test", "touch", "true", "umount",
    "unshare", "wc",
];

/// Files and folders that programs read, where the host has them.
const DATA: [&str; 9] = [
    "/etc/protocols",
    "/etc/services",
    "/etc/iproute2",
    "/usr/share/nmap/nmap-payloads",
    "/usr/share/nmap/nmap-protocols",
    "/usr/share/nmap/nmap-services",
    "/usr/lib/x86_64-linux-gnu/bpf",
    "/usr/lib/x86_64-linux-gnu/xtables",
    "/usr/share/terminfo",
];

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
                     sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n";
const GROUPS: &str = "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n";

/// The path of a test program in the machine.
pub fn test_path(name: &str) -> PathBuf {
    Path::new(TESTS).join(name)
}

/// Writes the archive to `path`.
pub fn write(path: &Path, programs: &Programs, modules: &[Module], steps: &[Step]) -> Result<()> {
    let mut archive = Archive::create(path)?;
    for folder in ["/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/var/lib", "/usr/bin", "/usr/sbin"] {
        archive.folder(Path::new(folder))?;
    }
    for (link, to) in [("/bin", "usr/bin"), ("/sbin", "usr/sbin"), ("/var/run", "/run")] {
        archive.link(Path::new(link), Path::new(to))?;
    }
    archive.copy(&programs.first_process, Path::new("/init"))?;
    add_plan(&mut archive, modules, steps)?;

    let mut libraries = BTreeSet::new();
    let mut add = |archive: &mut Archive, source: &Path, target: &Path| {
        libraries.extend(programs::libraries(source)?);
        archive.copy(source, target)
    };
    add(&mut archive, &programs.knock_ctl, Path::new(KNOCK_CTL))?;
    for test in &programs.tests {
        add(&mut archive, test, &test_path(&test.file_name().unwrap_or_default().to_string_lossy()))?;
    }
    for program in COMMON_PROGRAMS.into_iter().chain(test_programs()).filter_map(programs::find) {
        // All folders of programs are one of these two.
        let folder =
            if program.parent().is_some_and(|folder| folder.ends_with("sbin")) { "sbin" } else { "bin" };
        let target = Path::new("/usr").join(folder).join(program.file_name().unwrap_or_default());
        add(&mut archive, &program, &target)?;
    }
    for path in libraries {
        archive.copy(&path, &path)?;
    }
    for path in DATA.map(Path::new) {
        if path.is_dir() {
            archive.copy_tree(path)?;
        } else if path.exists() {
            archive.copy(path, path)?;
        }
    }
    archive.file(Path::new("/etc/passwd"), USERS.as_bytes(), 0o644)?;
    archive.file(Path::new("/etc/group"), GROUPS.as_bytes(), 0o644)?;
    archive.file(
        Path::new("/etc/nsswitch.conf"),
        b"passwd: files\ngroup: files\nhosts: files dns\n",
        0o644,
    )?;
    archive.file(Path::new("/etc/hosts"), b"127.0.0.1 localhost\n::1 localhost\n", 0o644)?;
    archive.finish()
}

fn add_plan(archive: &mut Archive, modules: &[Module], steps: &[Step]) -> Result<()> {
    let mut paths = String::new();
    for Module { name, content } in modules {
        let path = format!("/lib/modules/{name}.ko");
        archive.file(Path::new(&path), content, 0o644)?;
        paths.push_str(&path);
        paths.push('\n');
    }
    let steps: String = steps.iter().map(|step| format!("{step}\n")).collect();
    archive.file(Path::new(MODULES), paths.as_bytes(), 0o644)?;
    archive.file(Path::new(PLAN), steps.as_bytes(), 0o644)
}
