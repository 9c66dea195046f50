//! The text that a reader sees. [`compose`] turns a digest into [`Content`](content::Content),
//! which is independent of any channel. A layout turns the content into what a channel takes:
//! [`plain`] into text for a terminal or a mail, `adapters::slack` into blocks. A layout adds no
//! facts of its own. This layer is pure.

pub mod burst;
pub mod compose;
mod console_link;
pub mod content;
pub mod document;
mod facts;
mod insights_link;
pub mod listing;
pub mod markdown;
mod naming;
mod news;
pub mod plain;
mod sparkline;
pub mod subject;
mod text;
mod time;
mod values;

#[cfg(test)]
pub(crate) mod tests;
