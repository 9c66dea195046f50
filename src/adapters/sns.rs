//! SNS topics as targets. The subscriptions of the topic decide how a message is read: as mail, text
//! message, queue or function. SNS needs nothing outside AWS, which makes a topic a good fallback.

pub mod message;
#[cfg(feature = "stack")]
mod publish;

#[cfg(feature = "stack")]
pub use publish::{Sns, Topic, TopicError};
