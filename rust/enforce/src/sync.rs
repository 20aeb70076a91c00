//! The atomics of the protocol, imported in one place so that a model checker can stand in.

pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
