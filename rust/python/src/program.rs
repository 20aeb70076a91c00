//! Programs of behaviours, run on answers that are given: for the agreement with Python.

use pyo3::prelude::*;
use rateproof_simulate::outcome::Outcome;
use rateproof_simulate::program::{Heard, Lane, Program, Send};

use crate::errors::raise;

const OUTCOMES: [Outcome; 3] = [Outcome::Admitted, Outcome::Rejected, Outcome::Unknown];

/// done_ns, number of the outcome, retry_after_ns or -1.
type HeardFigures = (i64, u8, i64);

/// intended_ns, alias, attempt, over_ns.
type SendFigures = (i64, u32, u32, i64);

/// The first request of a program and one after each answer, until it ends.
#[pyfunction]
pub fn program_trace(
    py: Python<'_>,
    code: Vec<(u8, i64, i64, f64)>,
    seed: &str,
    heard: Vec<HeardFigures>,
    place: (u32, u32),
) -> PyResult<Vec<SendFigures>> {
    let refused = |message: &str| raise(py, "InvalidArgument", message, Some("see `Program.code`"));
    let program = Program::new(&code).map_err(|message| refused(&message))?;
    let mut answers = Vec::with_capacity(heard.len());
    for (done_ns, number, retry_after_ns) in heard {
        let outcome = *OUTCOMES
            .get(usize::from(number))
            .ok_or_else(|| refused(&format!("outcome {number}")))?;
        answers.push(Heard {
            done_ns,
            outcome,
            retry_after_ns: (retry_after_ns >= 0).then_some(retry_after_ns),
        });
    }
    let lane = Lane::new(seed.as_bytes(), place.0, place.1.max(1));
    Ok(py.detach(|| trace(&program, lane, &answers)))
}

fn trace(program: &Program, mut lane: Lane, answers: &[Heard]) -> Vec<SendFigures> {
    let figures = |send: Send| (send.intended_ns, send.alias, send.attempt, send.over_ns);
    let mut sends: Vec<SendFigures> = program.first(&mut lane).map(figures).into_iter().collect();
    for answer in answers {
        match program.next(&mut lane, answer) {
            Some(send) => sends.push(figures(send)),
            None => break,
        }
    }
    sends
}
