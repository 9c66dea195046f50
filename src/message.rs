//! What a reader sees. [`render`] composes the content of a message from a digest; [`plain`] lays it out as text for a
//! terminal or a mail. Pure; channels add no facts of their own.

pub mod plain;
pub mod render;

#[cfg(test)]
pub(crate) mod tests;
