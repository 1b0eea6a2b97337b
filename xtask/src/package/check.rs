//! Looks at a package that was built: what dpkg would install, and whether it can be used.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::layout::CONFIGURATION;
use crate::workspace::{has_program, line, run};

/// Fails with everything that is wrong, one a line.
pub fn check(package: &Path) -> Result<()> {
    let unpacked = TempDir::new()?;
    let root = unpacked.path();
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(root))?;
    let scripts = root.join("DEBIAN");
    run(Command::new("dpkg-deb").arg("--control").arg(package).arg(&scripts))?;

    let mut faults = wrong_modes(root)?;
    for script in ["postinst", "prerm", "postrm"] {
        faults.extend(fails(Command::new("sh").arg("-n").arg(scripts.join(script))));
    }
    faults.extend(fails(
        Command::new("md5sum").args(["--check", "--quiet"]).arg(scripts.join("md5sums")).current_dir(root),
    ));
    faults.extend(unreadable_pages(&root.join("usr/share/man/man1"))?);
    faults.extend(unreadable_completions(&root.join("usr/share")));
    let program = root.join("usr/bin/knock-ctl");
    let example = root.join("usr/share/doc/knock-ctl/examples/knock.toml");
    faults.extend(fails(Command::new(&program).args(["check", "--offline"]).arg(example)));
    faults.extend(unsound_unit(root));
    ensure!(faults.is_empty(), "{} is not fit to be installed:\n{}", package.display(), faults.join("\n"));
    eprintln!("{} is sound", package.display());
    Ok(())
}

/// Who may read and run what is installed.
fn wrong_modes(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in walk(root)? {
        let metadata = fs::symlink_metadata(&path)?;
        let name = path.strip_prefix(root)?;
        let mode = metadata.permissions().mode() & 0o7777;
        let expected = if name == Path::new(CONFIGURATION) {
            0o700
        } else if metadata.is_dir() || name.starts_with("usr/bin") || is_script(name) {
            0o755
        } else {
            0o644
        };
        if mode != expected {
            faults.push(format!("{}: mode {mode:04o}, not {expected:04o}", name.display()));
        }
        if metadata.is_file() && name.starts_with("etc") {
            faults.push(format!("{}: the configuration is its writer's", name.display()));
        }
        if metadata.is_file() && metadata.size() == 0 {
            faults.push(format!("{}: it is empty", name.display()));
        }
    }
    Ok(faults)
}

fn is_script(name: &Path) -> bool {
    name.parent() == Some(Path::new("DEBIAN"))
        && ["postinst", "prerm", "postrm"].iter().any(|script| name.ends_with(script))
}

/// A page for the program and one for each subcommand, none of which man has anything to say against.
fn unreadable_pages(folder: &Path) -> Result<Vec<String>> {
    let pages = walk(folder)?;
    let mut faults = Vec::new();
    for name in ["knock-ctl", "knock-ctl-attach", "knock-ctl-knock"] {
        if !pages.contains(&folder.join(format!("{name}.1.gz"))) {
            faults.push(format!("{name}(1) is missing"));
        }
    }
    if !has_program("man") {
        eprintln!("there is no `man` here: whether pages can be read is not looked at");
        return Ok(faults);
    }
    for page in pages {
        let output = Command::new("man")
            .args(["--warnings", "--local-file"])
            .arg(&page)
            .env("MANROFFSEQ", "")
            .env("MANWIDTH", "100")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .context("`man` did not start")?;
        let warnings = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || !warnings.is_empty() || output.stdout.len() < 100 {
            faults.push(format!("{}: man: {} {warnings}", page.display(), output.status));
        }
    }
    Ok(faults)
}

/// By each shell that is here; bash always is.
fn unreadable_completions(share: &Path) -> Vec<String> {
    let shells = [
        ("bash", "bash-completion/completions/knock-ctl"),
        ("zsh", "zsh/vendor-completions/_knock-ctl"),
        ("fish", "fish/vendor_completions.d/knock-ctl.fish"),
    ];
    let here = shells.into_iter().filter(|(shell, _)| has_program(shell));
    here.filter_map(|(shell, file)| fails(Command::new(shell).arg("-n").arg(share.join(file)))).collect()
}

/// In a root that has nothing but the package, so that only what is ours is judged.
fn unsound_unit(root: &Path) -> Option<String> {
    if !has_program("systemd-analyze") {
        eprintln!("there is no `systemd-analyze` here: the unit is not looked at");
        return None;
    }
    let unit = root.join("usr/lib/systemd/system/knock-ctl.service");
    let mut verify = Command::new("systemd-analyze");
    // Its programs are looked for on this machine; what it says of them is not about the unit.
    let output = match verify.args(["verify", "--man=no", "--recursive-errors=no"]).arg(&unit).output() {
        Ok(output) => output,
        Err(error) => return Some(format!("`{}`: {error}", line(&verify))),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let faults: Vec<&str> = said.lines().filter(|line| !line.contains("is not executable")).collect();
    if faults.is_empty() { None } else { Some(faults.join("\n")) }
}

/// Every file and folder below one.
fn walk(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if fs::symlink_metadata(&path)?.is_dir() {
            found.extend(walk(&path)?);
        }
        found.push(path);
    }
    Ok(found)
}

/// What a command said that has failed.
fn fails(command: &mut Command) -> Option<String> {
    let text = line(command);
    match command.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("`{text}`: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("`{text}` did not start: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
mod tests {
    use std::fs::Permissions;

    use super::super::layout::write;
    use super::*;

    #[test]
    fn what_anybody_may_read_or_run_is_told() {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        write(&root.join("usr/bin/knock-ctl"), "program", 0o755).unwrap();
        write(&root.join("DEBIAN/prerm"), "script", 0o755).unwrap();
        write(&root.join("usr/share/doc/README.md"), "text", 0o644).unwrap();
        fs::create_dir_all(root.join(CONFIGURATION)).unwrap();
        for folder in ["etc", "usr", "usr/bin", "usr/share", "usr/share/doc", "DEBIAN"] {
            fs::set_permissions(root.join(folder), Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(root.join(CONFIGURATION), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(wrong_modes(root).unwrap(), [""; 0]);

        fs::set_permissions(root.join(CONFIGURATION), Permissions::from_mode(0o755)).unwrap();
        assert_eq!(wrong_modes(root).unwrap(), ["etc/knock: mode 0755, not 0700"]);
        fs::set_permissions(root.join(CONFIGURATION), Permissions::from_mode(0o700)).unwrap();
        write(&root.join("etc/knock/knock.toml"), "secret", 0o644).unwrap();
        assert_eq!(wrong_modes(root).unwrap(), ["etc/knock/knock.toml: the configuration is its writer's"]);
        fs::remove_file(root.join("etc/knock/knock.toml")).unwrap();
        write(&root.join("usr/share/doc/README.md"), "", 0o664).unwrap();
        assert_eq!(
            wrong_modes(root).unwrap(),
            ["usr/share/doc/README.md: mode 0664, not 0644", "usr/share/doc/README.md: it is empty"]
        );
    }
}
