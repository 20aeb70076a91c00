//! The Python face of the native core: conversion, errors, releasing the GIL; nothing else.

use pyo3::prelude::*;

mod access;
mod answers;
mod ask;
mod by_key;
mod column_facts;
mod counters;
mod course;
mod decider;
mod decision;
mod denials;
mod enforce;
mod errors;
mod held;
mod limiter;
mod plan;
mod program;
mod promises;
mod prove;
mod screen;
mod seen_columns;
mod simulate;
mod tally;
mod wsgi_desk;
mod wsgi_key;

#[pymodule(gil_used = true)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    access::register(module)?;
    answers::register(module)?;
    by_key::register(module)?;
    column_facts::register(module)?;
    counters::register(module)?;
    course::register(module)?;
    decider::register(module)?;
    decision::register(module)?;
    denials::register(module)?;
    enforce::register(module)?;
    limiter::register(module)?;
    wsgi_desk::register(module)?;
    wsgi_key::register(module)?;
    simulate::register(module)?;
    plan::register(module)?;
    program::register(module)?;
    tally::register(module)?;
    prove::register(module)?;
    screen::register(module)
}
