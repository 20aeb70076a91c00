//! Rejections of the requests of a log under limits, in bounds; no Python in it.
//!
//! To be read in this order: [`Traffic`] holds the requests of keys, [`peaks`] counts the most in a
//! window, [`Gate`] and [`Replay`] bound how many a policy would have rejected, [`retries`] models
//! clients that honour Retry-After once.

mod gate;
mod peaks;
mod replay;
mod retries;
mod traffic;

pub use gate::{Bound, Gate, Gates};
pub use peaks::{Peaks, peaks, places};
pub use replay::{Outcome, Replay};
pub use retries::{Retried, retries};
pub use traffic::{Client, Request, Traffic, distinct, parted};
