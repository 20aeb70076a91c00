//! The Python face of the native core: conversion, errors, releasing the GIL; nothing else.

use pyo3::prelude::*;

mod enforce;
mod errors;
mod prove;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    enforce::register(module)?;
    prove::register(module)
}
