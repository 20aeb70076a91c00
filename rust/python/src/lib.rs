//! The Python face of the native core: conversion, errors, releasing the GIL; nothing else.

use pyo3::prelude::*;

mod counters;
mod decision;
mod denials;
mod enforce;
mod errors;
mod gate;
mod limit_fields;
mod program;
mod promises;
mod prove;
mod repeated;
mod response;
mod screen;
mod seen_columns;
mod simulate;
mod tally;
mod wsgi_desk;
mod wsgi_key;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    counters::register(module)?;
    decision::register(module)?;
    denials::register(module)?;
    enforce::register(module)?;
    gate::register(module)?;
    limit_fields::register(module)?;
    wsgi_desk::register(module)?;
    wsgi_key::register(module)?;
    response::register(module)?;
    simulate::register(module)?;
    program::register(module)?;
    tally::register(module)?;
    promises::register(module)?;
    prove::register(module)?;
    screen::register(module)
}
