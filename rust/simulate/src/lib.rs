//! The load engine: sends what a scenario says, and records every request.
//!
//! One event loop a core. A loop owns its lanes (a connection's worth of a client, each
//! following its plan), its connections and its buffers of rows; loops share two counters, the
//! pacer and what is asked of the run. `worker` turns the loop, `lanes` says what is
//! due, `connecting` and `exchange` do one request.

pub mod audit;
pub mod clock;
mod connecting;
pub mod control;
pub mod engine;
mod exchange;
pub mod histogram;
pub mod http;
pub mod identity;
mod instruction;
pub mod interval;
mod lane;
mod lanes;
pub mod outcome;
mod pacer;
mod pool;
pub mod program;
mod ranks;
pub mod rng;
pub mod rows;
pub mod settings;
mod slice;
pub mod stream;
pub mod tls;
mod worker;
