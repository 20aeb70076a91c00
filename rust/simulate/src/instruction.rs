//! Instructions of a program, decoded and checked.

use crate::interval::Interval;
use crate::ranks::Zipf;

/// So deep may loops with a count be nested.
pub(crate) const COUNTERS: usize = 4;

/// Of a rate in requests in a million seconds, those in a nanosecond.
const PER_NS: f64 = 1e-15;

/// As an instruction stands in a list: op, a, b, x.
pub type Code = (u8, i64, i64, f64);

/// One instruction, its operands those of a program that Python has checked; `Op` in `program.py` says what each means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Instruction {
    Send(i64),
    Wait(Interval),
    Ramp { start: f64, end: f64, over_ns: f64 },
    Resume,
    Honour(u32),
    Backoff { base_ns: i64, cap_ns: i64 },
    Again,
    Fresh,
    Rename,
    Pick(Zipf),
    Jump(u32),
    Unless(u32, u8),
    Count(u8, u32),
    Loop(u32, u8),
    Share(u8, u32),
}

impl Instruction {
    /// From a line of `Program.code`; None where it has no meaning in a list so long.
    pub(crate) fn decode((op, a, b, x): Code, length: usize) -> Option<Self> {
        let target = || u32::try_from(a).ok().filter(|&at| at as usize <= length);
        let counter = |value: i64| {
            u8::try_from(value)
                .ok()
                .filter(|&at| usize::from(at) < COUNTERS)
        };
        let wait = |interval: Interval| Some(Instruction::Wait(interval));
        match op {
            0 => Some(Instruction::Send(a)),
            1 => wait(Interval::Constant(a)),
            2 => wait(Interval::Uniform(a, b)),
            3 => wait(Interval::Exponential(a)),
            4 => wait(Interval::LogNormal(a, x)),
            5 => Some(Instruction::Ramp {
                start: a as f64 * PER_NS,
                end: b as f64 * PER_NS,
                over_ns: x,
            }),
            6 => Some(Instruction::Resume),
            7 => target().map(Instruction::Honour),
            8 => Some(Instruction::Backoff {
                base_ns: a,
                cap_ns: b,
            }),
            9 => Some(Instruction::Again),
            10 => Some(Instruction::Fresh),
            11 => Some(Instruction::Rename),
            12 => Zipf::new(a, x).map(Instruction::Pick),
            13 => target().map(Instruction::Jump),
            14 => Some(Instruction::Unless(target()?, b as u8)),
            15 => Some(Instruction::Count(counter(a)?, u32::try_from(b).ok()?)),
            16 => Some(Instruction::Loop(target()?, counter(b)?)),
            17 => Some(Instruction::Share(counter(a)?, u32::try_from(b).ok()?)),
            _ => None,
        }
    }
}
