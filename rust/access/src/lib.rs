//! Access logs: bytes in, columns out; no Python in it.
//!
//! A format is a [`Program`]: a literal, then steps, each of which takes a field up to the next
//! literal, or has a [`Tree`] of the places where they lie in a JSON object. A [`Scanner`] runs it on every line, gives each request the interval in which it was
//! decided, and numbers the distinct values of the fields that are asked for.

mod findings;
mod helper;
mod instant;
mod json;
mod program;
mod scanner;
mod words;

pub use findings::{Findings, Line, NULL};
pub use json::Tree;
pub use program::{Kind, Program, Step};
pub use scanner::{Reach, Scanner};
