//! An OpenSSH server, and clients of it, with keys that are thrown away afterwards.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::Namespace;

/// Their keys and configuration. Whoever runs the commands decides when they end.
#[derive(Debug)]
pub struct OpenSsh {
    folder: TempDir,
    client_key: PathBuf,
}

impl OpenSsh {
    /// For a server that is to listen at `addresses`.
    ///
    /// # Errors
    /// When ssh-keygen fails, or there is no room for files.
    pub fn new(addresses: &[SocketAddr]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("knock-ssh-").tempdir()?;
        let host_key = new_key(folder.path(), "host_key")?;
        let client_key = new_key(folder.path(), "client_key")?;
        let openssh = Self { folder, client_key };
        fs::write(openssh.configuration(), openssh.settings(addresses, &host_key))?;
        Ok(openssh)
    }

    /// The server, in the foreground and without its log. It wants an empty folder for its unprivileged part, which stays:
    /// other servers on this machine may have come to use it.
    pub fn server(&self, machine: &Namespace) -> Command {
        let mut server = machine.command("sh");
        let script = "mkdir -p /run/sshd; exec /usr/sbin/sshd -D -q -f \"$1\"";
        server.args(["-ec", script, "sh"]).arg(self.configuration());
        server
    }

    /// The client's public key, as a line of authorized_keys, for a server that is not [`OpenSsh::server`].
    ///
    /// # Errors
    /// When it can't be read.
    pub fn authorized_key(&self) -> Result<String> {
        let path = self.public_key();
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// A client that logs in to `to` as root and runs `remote` there; it asks nothing and remembers nothing. `patience`, in
    /// whole seconds, is how long it waits for the server.
    pub fn client(&self, machine: &Namespace, to: SocketAddr, patience: Duration, remote: &str) -> Command {
        self.client_with(machine, to, patience, &[], remote)
    }

    /// As [`OpenSsh::client`], with more of ssh_config(5)'s settings, such as "ProxyCommand=...".
    pub fn client_with(
        &self,
        machine: &Namespace,
        to: SocketAddr,
        patience: Duration,
        settings: &[&str],
        remote: &str,
    ) -> Command {
        let mut ssh = machine.command("ssh");
        ssh.args(["-F", "/dev/null", "-l", "root", "-i"]).arg(&self.client_key);
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            &format!("ConnectTimeout={}", patience.as_secs()),
        ] {
            ssh.args(["-o", option]);
        }
        ssh.args(settings.iter().flat_map(|setting| ["-o", setting]));
        ssh.args(["-p", &to.port().to_string(), &to.ip().to_string(), remote]);
        ssh
    }

    fn public_key(&self) -> PathBuf {
        self.client_key.with_extension("pub")
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("sshd_config")
    }

    fn settings(&self, addresses: &[SocketAddr], host_key: &Path) -> String {
        let mut settings = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nPermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\n",
            host_key.display(),
            self.public_key().display(),
        );
        for address in addresses {
            settings.push_str(&format!("ListenAddress {address}\n"));
        }
        settings
    }
}

fn new_key(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "knock-lab", "-f"]).arg(&path);
    let output = keygen.output().context("running ssh-keygen")?;
    ensure!(output.status.success(), "ssh-keygen: {}", String::from_utf8_lossy(&output.stderr));
    Ok(path)
}
