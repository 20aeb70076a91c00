//! The Python face of the native core: conversion, errors, releasing the GIL; nothing else.

use pyo3::prelude::*;

mod counters;
mod decision;
mod denials;
mod enforce;
mod errors;
mod gate;
mod http;
mod prove;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    counters::register(module)?;
    decision::register(module)?;
    denials::register(module)?;
    enforce::register(module)?;
    gate::register(module)?;
    http::register(module)?;
    prove::register(module)
}
