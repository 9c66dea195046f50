//! What an operator asks for: replay dead letters, explain a line, check a deployment, generate samples. Rules only;
//! adapters look and fetch, the command line prints.

pub mod check;
pub mod explain;
pub mod replay;
#[cfg(feature = "cli")]
pub mod sample;
