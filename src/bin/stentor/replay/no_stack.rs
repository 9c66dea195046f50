//! A replay in a build without the clients of a deployed stack: it reads files only.

use std::convert::Infallible;

use super::{ReplayArguments, ReplaySource};
use crate::Exit;
use crate::args::needs_aws;
use crate::ui::Ui;

pub(super) async fn replay(_arguments: &ReplayArguments, _ui: Ui) -> anyhow::Result<Exit> {
    Err(needs_aws())
}

pub(super) async fn queue(
    _arguments: &ReplayArguments,
    _queue_url: &str,
) -> anyhow::Result<(ReplaySource, Option<Infallible>)> {
    Err(needs_aws())
}
