//! `stentor completions` and `stentor man`: generated from the definitions of the commands.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{Exit, ui};

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example: stentor completions bash > /etc/bash_completion.d/stentor")]
pub(crate) struct Completions {
    /// Shell
    shell: Shell,
}

/// Print the manual page, or write one page per command
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: stentor man | man -l -\n          stentor man --output /usr/local/share/man/man1"
)]
pub(crate) struct Man {
    /// Directory for one page per command
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn completions(arguments: &Completions) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut crate::Arguments::command(),
        "stentor",
        &mut script,
    );
    ui::print(&String::from_utf8_lossy(&script)).map(|()| Exit::Done)
}

pub(crate) fn man(arguments: &Man) -> anyhow::Result<Exit> {
    let command = crate::Arguments::command();
    match &arguments.output {
        Some(directory) => {
            let cannot_write = || format!("cannot write to {}", directory.display());
            std::fs::create_dir_all(directory).with_context(cannot_write)?;
            clap_mangen::generate_to(command, directory).with_context(cannot_write)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("cannot generate the page")?;
            ui::print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(Exit::Done)
}
