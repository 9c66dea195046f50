//! The Lambda functions: recognize the event, run the consumer or the notifier, answer in the form
//! the trigger expects, and emit metrics.

pub mod batch_response;
mod due;
pub mod emf;
pub mod handler;
pub mod metric;
mod report;
pub mod series;
