//! The first process of a virtual machine: it loads modules, runs the plan, tells the host, and turns the machine off.

mod run;
mod system;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use knock_guest::{MODULES, PLAN, Report, Step};
use nix::sys::utsname::uname;

/// The second serial port.
const PORT: &str = "/dev/ttyS1";

/// Where reports go, from several threads.
#[derive(Clone)]
struct Host(Arc<Mutex<File>>);

impl Host {
    fn tell(&self, report: &Report) -> io::Result<()> {
        let mut port = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        port.write_all(format!("{report}\n").as_bytes())
    }
}

fn main() {
    if let Err(error) = serve() {
        eprintln!("knock-guest: {error:#}");
    }
    // It returns only when it fails; then the kernel panics for want of a first process, and the machine ends too.
    let error = system::power_off();
    eprintln!("knock-guest: the machine can't be turned off: {error}");
}

fn serve() -> Result<()> {
    system::mount_all()?;
    let port = OpenOptions::new().write(true).open(PORT).context(PORT)?;
    let host = Host(Arc::new(Mutex::new(port)));
    host.tell(&Report::Booted { release: uname()?.release().to_string_lossy().into_owned() })?;
    let result = work(&host);
    let last = result.as_ref().map_or_else(|error| Report::Failed(format!("{error:#}")), |()| Report::Done);
    host.tell(&last)?;
    result
}

fn work(host: &Host) -> Result<()> {
    let lines = |path| fs::read_to_string(path).context(path);
    for module in lines(MODULES)?.lines() {
        system::load_module(module)?;
    }
    let steps = lines(PLAN)?.lines().map(str::parse::<Step>).collect::<Result<Vec<_>>>()?;
    for (number, step) in steps.iter().enumerate() {
        host.tell(&Report::Begins(number))?;
        let (end, took) = run::to_its_end(step, host)?;
        host.tell(&Report::Ended { step: number, end, took })?;
    }
    Ok(())
}
