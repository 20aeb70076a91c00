//! The twin of `program.py`, which says what every instruction means.

pub use crate::instruction::Code;
use crate::instruction::{COUNTERS, Instruction};
use crate::interval::{Interval, ramp_gap};
use crate::outcome::Outcome;
use crate::rng::Rng;

/// Instants beyond are cut to this, 146 years: no sum overflows.
pub const NEVER_NS: i64 = 1 << 62;

/// A request that a plan asks for; `intended_ns` in the past means at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Send {
    /// The instant, in ns since the client's start.
    pub intended_ns: i64,
    /// Under which identity of the client; 0 is its own.
    pub alias: u32,
    /// 0 for a first try, n for its n-th repetition.
    pub attempt: u32,
    /// Above 0, the request's header is dripped out over so long.
    pub over_ns: i64,
}

/// The answer to the request that a plan asked for; instants as in `Send`.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Instant at which its answer was complete or given up.
    pub done_ns: i64,
    /// Its outcome.
    pub outcome: Outcome,
    /// Time that the server asked to wait, if it did.
    pub retry_after_ns: Option<i64>,
}

/// The plan of a client: shared by all lanes of its behaviour.
#[derive(Debug)]
pub struct Program {
    instructions: Vec<Instruction>,
}

/// State of one connection that runs a program.
#[derive(Clone, Debug)]
pub struct Lane {
    rng: Rng,
    cursor_ns: i64,
    done_ns: i64,
    retry_after_ns: Option<i64>,
    counters: [u32; COUNTERS],
    at: u32,
    alias: u32,
    attempt: u32,
    connection: u32,
    connections: u32,
    outcome: Outcome,
}

impl Lane {
    /// At the start of any program, with the generator in its initial state.
    ///
    /// `connection` is its number among the `connections` of its client, 1 or more of them.
    pub fn new(seed: &[u8], connection: u32, connections: u32) -> Self {
        Self {
            rng: Rng::new(seed),
            connection,
            connections,
            cursor_ns: 0,
            done_ns: 0,
            retry_after_ns: None,
            counters: [0; COUNTERS],
            at: 0,
            alias: 0,
            attempt: 0,
            outcome: Outcome::Admitted,
        }
    }

    fn move_to(&mut self, from_ns: i64, by_ns: i64) {
        self.cursor_ns = from_ns.saturating_add(by_ns).clamp(-NEVER_NS, NEVER_NS);
    }

    fn share(&self, of: u32) -> u32 {
        of / self.connections + u32::from(self.connection < of % self.connections)
    }

    fn back_off(&mut self, base_ns: i64, cap_ns: i64) {
        let most_ns = match self.attempt {
            attempt @ 0..62 if base_ns <= cap_ns >> attempt => base_ns << attempt,
            _ => cap_ns,
        };
        let by_ns = Interval::Uniform(0, most_ns).draw(&mut self.rng);
        self.move_to(self.done_ns, by_ns);
        self.attempt = self.attempt.saturating_add(1);
    }
}

impl Program {
    /// From a list of instructions, as `Program.code` gives it.
    ///
    /// Errors: an op that is not known, an operand out of bounds, a jump to nowhere.
    pub fn new(code: &[Code]) -> Result<Self, String> {
        if code.len() >= u32::MAX as usize {
            return Err(format!("{} instructions", code.len()));
        }
        let mut instructions = Vec::with_capacity(code.len());
        for (at, line) in code.iter().enumerate() {
            let instruction = Instruction::decode(*line, code.len())
                .ok_or_else(|| format!("instruction {at} is {line:?}, which has no meaning"))?;
            instructions.push(instruction);
        }
        Ok(Self { instructions })
    }

    /// The first request of a new lane; None where the plan has none.
    pub fn first(&self, lane: &mut Lane) -> Option<Send> {
        self.run(lane)
    }

    /// The request after the one whose answer is given; None: the plan has ended.
    pub fn next(&self, lane: &mut Lane, heard: &Heard) -> Option<Send> {
        lane.done_ns = heard.done_ns;
        lane.outcome = heard.outcome;
        lane.retry_after_ns = heard.retry_after_ns;
        self.run(lane)
    }

    // Ends: `program.py` made sure that between two sends no instruction comes twice.
    fn run(&self, lane: &mut Lane) -> Option<Send> {
        while let Some(&now) = self.instructions.get(lane.at as usize) {
            lane.at += 1;
            match now {
                Instruction::Send(over_ns) => {
                    return Some(Send {
                        intended_ns: lane.cursor_ns,
                        alias: lane.alias,
                        attempt: lane.attempt,
                        over_ns,
                    });
                }
                Instruction::Wait(interval) => {
                    let by_ns = interval.draw(&mut lane.rng);
                    lane.move_to(lane.cursor_ns, by_ns);
                }
                Instruction::Ramp {
                    start,
                    end,
                    over_ns,
                } => match ramp_gap(&mut lane.rng, lane.cursor_ns.max(0), start, end, over_ns) {
                    Some(by_ns) => lane.move_to(lane.cursor_ns, by_ns),
                    None => lane.at = u32::MAX,
                },
                Instruction::Resume => lane.move_to(lane.done_ns, 0),
                Instruction::Honour(target) => {
                    if let Some(by_ns) = lane.retry_after_ns {
                        lane.move_to(lane.done_ns, by_ns);
                        lane.at = target;
                    }
                }
                Instruction::Backoff { base_ns, cap_ns } => lane.back_off(base_ns, cap_ns),
                Instruction::Again => lane.attempt = lane.attempt.saturating_add(1),
                Instruction::Fresh => lane.attempt = 0,
                Instruction::Rename => lane.alias = lane.alias.saturating_add(1),
                Instruction::Pick(zipf) => lane.alias = zipf.draw(&mut lane.rng) - 1,
                Instruction::Jump(target) => lane.at = target,
                Instruction::Unless(target, mask) => {
                    if mask >> (lane.outcome as u8) & 1 == 0 {
                        lane.at = target;
                    }
                }
                Instruction::Count(counter, times) => lane.counters[counter as usize] = times,
                Instruction::Share(counter, times) => {
                    lane.counters[counter as usize] = lane.share(times).saturating_add(1);
                }
                Instruction::Loop(target, counter) => {
                    let left = &mut lane.counters[counter as usize];
                    *left = left.saturating_sub(1);
                    if *left > 0 {
                        lane.at = target;
                    }
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, Lane, Program};
    use crate::outcome::Outcome;

    #[test]
    fn a_lane_is_small() {
        assert!(size_of::<Lane>() <= 104, "{}", size_of::<Lane>());
    }

    #[test]
    fn a_lane_of_another_program_has_ended_and_does_no_harm() {
        let long = Program::new(&[(0, 0, 0, 0.0); 3]).expect("sound");
        let short = Program::new(&[(0, 0, 0, 0.0)]).expect("sound");
        let answer = Heard {
            done_ns: 1,
            outcome: Outcome::Admitted,
            retry_after_ns: None,
        };
        let mut lane = Lane::new(b"", 0, 1);
        long.first(&mut lane);
        long.next(&mut lane, &answer);
        assert_eq!(short.next(&mut lane, &answer), None);
    }
}
