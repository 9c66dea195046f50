//! From the bytes of an event to alerts: parse the event, decode its records, match routes, redact
//! secrets. Pure and synchronous; a record that cannot be read is a value, never an error that ends
//! the batch.

pub mod decode;
pub mod event;
pub mod json;
pub mod lines;
pub mod logs;
mod origin;
pub mod route;
