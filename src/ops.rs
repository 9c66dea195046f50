//! The operator's tools: replay dead letters, explain a line, trace an alert, drill, check a deployment,
//! generate sample events, estimate costs, and say which log events to subscribe to. Adapters read
//! AWS, and the command line prints.

pub mod check;
pub mod cost;
pub mod drill;
pub mod explain;
pub mod patterns;
pub mod replay;
#[cfg(feature = "cli")]
pub mod sample;
pub mod shares;
pub mod subscription_filter;
pub mod trace;
