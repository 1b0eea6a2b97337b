//! What knock-ctl costs and withstands, beside what else there is: one run, one set of tables. Needs root.

mod attack;
mod cost;
mod defence;
mod effort;
mod event;
mod growth;
mod programs;
mod report;
mod sample;
mod throughput;
mod transfer;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};

use effort::Effort;
use report::{Document, Environment, Section};

#[derive(Parser)]
#[command(about = "Measures knock-ctl beside what else there is; needs root")]
struct CommandLine {
    /// In under two minutes, from few repeats
    #[arg(long)]
    quick: bool,
    /// Only these sections
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Where results.json, results.md and the plots are put
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// The workspace below whose tests/bench/measurements, and in whose README, they are published too
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    publish: Option<PathBuf>,
    /// Only say to this socket what time it is: how the section `event` runs this program
    #[arg(long, hide = true)]
    witness: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Cost,
    Attack,
    Throughput,
    Growth,
    Transfer,
    Event,
}

fn main() -> ExitCode {
    match run(&CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &CommandLine) -> Result<()> {
    if let Some(socket) = &arguments.witness {
        return event::witness::testify(socket);
    }
    ensure!(nix::unistd::geteuid().is_root(), "programs are loaded into the kernel: run it as root");
    ensure!(
        knock_ctl::datapath::is_embedded(),
        "knock-ctl was built without its kernel program: run `cargo xtask setup`, then this again"
    );
    let effort = if arguments.quick { Effort::Quick } else { Effort::Full };
    let environment = Environment::here(arguments.quick);
    println!("{}\n", environment.sentence());
    let mut document = Document::new(environment);
    let mut failed = 0;
    for part in Part::value_variants()
        .iter()
        .filter(|part| arguments.only.is_empty() || arguments.only.contains(part))
    {
        match part.measure(effort) {
            Ok(mut section) => {
                section.plots.retain(|plot| !plot.is_empty());
                println!("{}", section.text());
                document.sections.push(section);
            }
            Err(error) => {
                eprintln!("error: {part:?} was not measured: {error:#}");
                failed += 1;
            }
        }
    }
    document.write(&arguments.folder)?;
    println!("{}", arguments.folder.join("results.md").display());
    if let Some(workspace) = &arguments.publish {
        document.publish(workspace)?;
    }
    failed += document.sections.iter().map(|section| section.failures().count()).sum::<usize>();
    ensure!(failed == 0, "{failed} figures are missing, because what they were to measure did not happen");
    Ok(())
}

impl Part {
    fn measure(self, effort: Effort) -> Result<Section> {
        match self {
            Self::Cost => cost::measure(effort),
            Self::Attack => attack::measure(effort),
            Self::Throughput => throughput::measure(effort),
            Self::Growth => growth::measure(effort),
            Self::Transfer => transfer::measure(effort),
            Self::Event => event::measure(effort),
        }
    }
}
