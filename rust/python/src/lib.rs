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
mod _native {
    #[pymodule_export]
    use crate::{
        access::AccessScanner,
        answers::answers,
        by_key::ByKey,
        column_facts::{
            by_part, distinct, extremes, first_below_0, first_repeated, first_short, parts_by_time,
            parts_of,
        },
        counters::Counters,
        course::Course,
        decider::Decider,
        decision::Decision,
        denials::Denials,
        enforce::{Table, hit_all},
        limiter::{HotLimiter, natively},
        plan::{Traffic, parted, request_widths, summed},
        program::program_trace,
        prove::feasible,
        screen::rows_of,
        simulate::Engine,
        tally::Tally,
        wsgi_desk::WsgiDesk,
        wsgi_key::WsgiKey,
    };
}
