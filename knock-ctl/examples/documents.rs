//! Writes man pages and shell completions, as the command line is defined, into a folder: `documents FOLDER`.
//!
//! `FOLDER/man/NAME.1` for the program and each subcommand, and `FOLDER/completions/` with a file a shell.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::CommandFactory;
use clap_complete::Shell;
use knock_ctl::cli::Cli;

fn main() -> Result<(), Box<dyn Error>> {
    knock_ctl::version::announce(knock_ctl::built_version!());
    let folder: PathBuf = env::args_os().nth(1).ok_or("write where: documents FOLDER")?.into();
    let [man, completions] = ["man", "completions"].map(|name| folder.join(name));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder)?;
    }
    write_pages(&man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "knock-ctl", &completions)?;
    }
    Ok(())
}

fn write_pages(folder: &Path) -> Result<(), Box<dyn Error>> {
    // The subcommand that prints help is in every page already.
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder)?;
    Ok(())
}
