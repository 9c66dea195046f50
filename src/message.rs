//! What a reader sees. [`compose`] turns a digest into [`Content`](content::Content), which no channel has shaped yet. A
//! layout turns the content into what a channel takes: [`plain`] into text for a terminal or a mail, `adapters::slack`
//! into blocks. This layer is pure, and a layout adds no facts of its own.

pub mod burst;
pub mod compose;
pub mod content;
mod facts;
mod naming;
pub mod plain;
pub mod subject;
mod text;
mod time;

#[cfg(test)]
pub(crate) mod tests;
