//! knock-ctl as the demo uses it: attached to the server's interfaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::lab::{INTERFACES, Lab};
use super::service::PORT;
use crate::story::Interrupt;
use crate::story::{Background, ask};

/// The sequence is ascending, so that a scan from the lowest port to the highest meets it in its order: the case in
/// which a knock daemon that only counts right ports opens.
pub const SEQUENCE: [u16; 3] = [7411, 21820, 40163];

/// How long a grant accepts new connections.
pub const OPEN_FOR: Duration = Duration::from_secs(5);

const LIMIT: Duration = Duration::from_secs(10);

/// Taken off when dropped.
pub struct Filter<'a> {
    lab: &'a Lab,
    program: PathBuf,
    interrupt: &'a Interrupt,
    controller: Background,
}

impl<'a> Filter<'a> {
    pub fn attach(lab: &'a Lab, program: &Path, interrupt: &'a Interrupt) -> Result<Self> {
        let config = lab.folder.path().join("knock.toml");
        fs::write(&config, configuration())?;
        let log = lab.folder.path().join("controller.log");
        let mut attach = lab.server.command(program);
        attach.arg("attach").args(INTERFACES).arg("--config").arg(&config);
        attach.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
        let controller = Background::start(&mut attach)?;
        let mut filter = Self { lab, program: program.to_owned(), interrupt, controller };
        filter.wait_until_attached(&log)?;
        Ok(filter)
    }

    /// How many grants there are now.
    pub fn grants(&self) -> Result<usize> {
        let answer = ask(self.knock_ctl().args(["grants", "--json"]), LIMIT, self.interrupt)?;
        ensure!(answer.success, "`knock-ctl grants` failed");
        let json: Value = serde_json::from_str(&answer.output).context("`knock-ctl grants --json`")?;
        let grants = json.get("grants").and_then(Value::as_array);
        Ok(grants.context("`knock-ctl grants --json` prints no grants")?.len())
    }

    fn wait_until_attached(&mut self, log: &Path) -> Result<()> {
        self.interrupt.wait_for("attaching the filter", LIMIT, || {
            if let Some(status) = self.controller.0.try_wait()? {
                bail!("`knock-ctl attach` ended with {status}: {}", fs::read_to_string(log)?.trim());
            }
            let status = ask(self.knock_ctl().arg("status").stderr(Stdio::null()), LIMIT, self.interrupt)?;
            Ok(status.success.then_some(()))
        })
    }

    fn knock_ctl(&self) -> Command {
        self.lab.server.command(&self.program)
    }
}

impl Drop for Filter<'_> {
    fn drop(&mut self) {
        let detached = self.knock_ctl().arg("detach").stdin(Stdio::null()).stdout(Stdio::null()).status();
        if !detached.is_ok_and(|status| status.success()) {
            eprintln!("`knock-ctl detach` failed");
        }
    }
}

fn configuration() -> String {
    format!(
        "[doors.ssh]\nsequence = {SEQUENCE:?}\nopens = [\"{PORT}/tcp\"]\n\
         open_for = \"{}s\"\n",
        OPEN_FOR.as_secs()
    )
}
