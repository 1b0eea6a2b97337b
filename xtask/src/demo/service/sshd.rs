//! An OpenSSH server with keys of its own that are thrown away afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{CONNECT_LIMIT, PORT};
use crate::demo::lab::{Lab, SERVER};
use crate::demo::namespace::Namespace;
use crate::demo::process::Background;
use crate::demo::session::Session;

/// Where sshd wants an empty folder for its unprivileged part.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

pub struct Sshd {
    client_key: PathBuf,
    _server: Background,
    _separation: PrivilegeSeparation,
}

impl Sshd {
    pub fn start(lab: &Lab) -> Result<Self> {
        let separation = PrivilegeSeparation::provide()?;
        let folder = lab.folder.path();
        let host_key = new_key(folder, "host_key")?;
        let client_key = new_key(folder, "client_key")?;
        let config = folder.join("sshd_config");
        fs::write(&config, configuration(&host_key, &client_key))?;
        let mut sshd = lab.server.command("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"]).arg(&config).stdin(Stdio::null()).stderr(Stdio::null());
        Ok(Self { client_key, _server: Background::start(&mut sshd)?, _separation: separation })
    }

    /// Starts a client that repeats there what it is told here.
    pub fn connect(&self, from: &Namespace) -> Result<Session> {
        let mut ssh = from.command("ssh");
        ssh.args(["-F", "/dev/null", "-l", "root", "-i"]).arg(&self.client_key);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=QUIET",
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(["-o", &format!("ConnectTimeout={}", CONNECT_LIMIT.as_secs()), "-p", &PORT.to_string()]);
        ssh.args([&SERVER.to_string(), "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = Background::start(&mut ssh)?;
        let (to, from) = (client.0.stdin.take(), client.0.stdout.take());
        Ok(Session::new(to.context("ssh without input")?, from.context("ssh without output")?, Some(client)))
    }
}

fn configuration(host_key: &Path, client_key: &Path) -> String {
    let authorized = client_key.with_extension("pub");
    format!(
        "ListenAddress {SERVER}:{PORT}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
         UsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\n",
        host_key.display(),
        authorized.display(),
    )
}

fn new_key(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "knock-demo", "-f"]).arg(&path);
    let output = keygen.output().context("running ssh-keygen")?;
    ensure!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
    Ok(path)
}

/// The folder, and whether it is to be removed again.
struct PrivilegeSeparation {
    created: bool,
}

impl PrivilegeSeparation {
    fn provide() -> Result<Self> {
        let created = !Path::new(PRIVILEGE_SEPARATION).exists();
        if created {
            fs::create_dir(PRIVILEGE_SEPARATION).context(PRIVILEGE_SEPARATION)?;
        }
        Ok(Self { created })
    }
}

impl Drop for PrivilegeSeparation {
    fn drop(&mut self) {
        if self.created {
            // Left where something else has begun to use it.
            let _ = fs::remove_dir(PRIVILEGE_SEPARATION);
        }
    }
}
