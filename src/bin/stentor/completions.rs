//! `stentor completions` and `stentor man`: what shells and `man` know of the commands, made from the same
//! definitions that the commands are read by.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Exit;

/// Print what a shell needs to complete commands and options.
#[derive(Debug, Args)]
#[command(after_help = "Example: stentor completions bash > /etc/bash_completion.d/stentor")]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Print the manual page, or write one for each command.
#[derive(Debug, Args)]
#[command(after_help = "Examples: stentor man | man -l -\n          stentor man --output /usr/local/share/man/man1")]
pub struct Man {
    /// Directory to write a page for each command into
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn completions(arguments: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::Arguments::command(), "stentor", &mut script);
    crate::print(&String::from_utf8_lossy(&script)).map(|()| Exit::Done)
}

pub fn man(arguments: &Man) -> anyhow::Result<Exit> {
    let command = crate::Arguments::command();
    match &arguments.output {
        Some(directory) => {
            let named = || format!("cannot write to {}", directory.display());
            std::fs::create_dir_all(directory).with_context(named)?;
            clap_mangen::generate_to(command, directory).with_context(named)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("cannot make the page")?;
            crate::print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Exit::Done)
}
