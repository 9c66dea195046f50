//! Digests for the tests of this layer and of the channels that lay messages out.

pub mod any;
pub mod digests;
