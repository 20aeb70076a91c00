//! Fixed windows at a known phase: earliest deadline first into slots of capacity N.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::phases::{Piece, Stuck};

/// Jobs that touch d slots only and are more than N*d; None if all fit.
pub(super) fn overfull(piece: &Piece, limit: usize, window: i64, phase: i64) -> Option<Stuck> {
    let opens = |job: usize| Piece::slot(piece.low[job], phase, window);
    let closes = |job: usize| Piece::slot(piece.high[job], phase, window);
    let mut ready: BinaryHeap<Reverse<(i64, usize)>> = BinaryHeap::new();
    let mut placed: Vec<usize> = Vec::new();
    // Where in `placed` each slot since the last that was not full begins.
    let mut slots: Vec<usize> = Vec::new();
    let (mut slot, mut job) = (0, 0);
    while job < piece.low.len() || !ready.is_empty() {
        if ready.is_empty() {
            slot = opens(job);
            placed.clear();
            slots.clear();
        }
        while job < piece.low.len() && opens(job) <= slot {
            ready.push(Reverse((piece.high[job], job)));
            job += 1;
        }
        slots.push(placed.len());
        for _ in 0..limit {
            let Some(Reverse((_, urgent))) = ready.pop() else {
                break;
            };
            if closes(urgent) < slot {
                let mut first = slots.len() - 1;
                while first > 0
                    && (placed[slots[first - 1]..slots[first]].iter())
                        .all(|&job| closes(job) < slot)
                {
                    first -= 1;
                }
                let opening = slot - (slots.len() - 1 - first) as i64;
                let mut block = placed[slots[first]..].to_vec();
                block.push(urgent);
                let behind = (block.iter())
                    .filter(|&&job| opens(job) == opening)
                    .map(|&job| (piece.low[job] - phase).rem_euclid(window));
                let stays = behind
                    .min()
                    .expect("the first slot was filled by such jobs");
                return Some((block, stays));
            }
            placed.push(urgent);
        }
        slot += 1;
    }
    None
}
