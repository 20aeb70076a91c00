//! The feasibility checker behind every verdict.
//!
//! The twin of `rateproof.prove.feasible`, which is the specification: the same
//! inputs give the same answer, the same witness and the same count of work.
//! `docs/theory.md`, section 2, proves the algorithm.

mod search;
mod stair;

pub use search::{Answer, feasible};
pub use stair::{MAX_POSITIONS, Stair};
