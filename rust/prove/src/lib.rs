//! The feasibility checker behind every verdict, and a screen of whole logs.
//!
//! `feasible` is the twin of `rateproof.prove.over_admission.feasible`, which is the specification: the same
//! inputs give the same answer, the same witness and the same count of work.
//! `docs/theory.md`, section 2, proves the algorithm. `screen` says which keys of a log need
//! no search, and what is to be known of the others.

mod clearance;
mod cursor;
mod examine;
mod families;
mod groups;
mod joint;
mod leaders;
mod occupancy;
mod overlaps;
mod places;
mod pressure;
mod promises;
mod screen;
mod search;
mod seen;
mod stair;
mod windows;

pub use families::{Algorithm, Family, Windows, search_windows};
pub use groups::{Counting, Groups, Placing};
pub use joint::{Log, Piece, explain};
pub use leaders::{Leader, Leaders};
pub use occupancy::Full;
pub use pressure::Pressure;
pub use promises::{Broken, Promises, Said, Terms, Told, UNKNOWN_END};
pub use screen::{Clearance, Rejections, Report, Rules, Suspect, screen};
pub use search::{Answer, feasible};
pub use seen::{Kind, Row};
pub use stair::{MAX_POSITIONS, Stair};
