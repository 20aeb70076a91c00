//! The feasibility checker behind every verdict, and a screen of whole logs.
//!
//! `feasible` is the twin of `rateproof.prove.over_admission.feasible`, which is the specification: the same
//! inputs give the same answer, the same witness and the same count of work.
//! `docs/theory.md`, section 2, proves the algorithm. `screen` says which keys of a log need
//! no search, and what is to be known of the others.

mod clearance;
mod course;
mod cursor;
mod families;
mod feasible;
mod fullness;
mod gaps;
mod groups;
mod large_pages;
mod leaders;
mod orders;
mod pressure;
mod promises;
mod report;
mod sayings;
mod screen;
mod seen;
mod together;
mod windows;

pub use course::Course;
pub use families::{Clearance, Family, Search, family};
pub use feasible::{Answer, feasible};
pub use fullness::Full;
pub use gaps::{MAX_POSITIONS, Stair};
pub use groups::{Counting, Groups, MOST_ROWS, Placing};
pub use leaders::{Leader, Leaders};
pub use orders::{Episode, Log, explain};
pub use pressure::Pressure;
pub use promises::{Broken, Promised, Promises, promises};
pub use report::{Model, Rejections, Report, Rules, Suspect};
pub use sayings::{Fields, Said, Sayings, Terms};
pub use screen::screen;
pub use seen::{Kind, Name, Row, Seen};
