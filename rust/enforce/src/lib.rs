//! The limiter table, shared by threads and processes: an exact sliding log.
//!
//! A table admits each key at most N times in every half-open window of length W, under any
//! interleaving of threads and processes, and whatever dies at whatever instruction.
//!
//! # What is in memory
//!
//! A header page, a *tag word* a slot, and N *permit cells* a slot ([`Table::open`] maps them).
//! - A word names the slot's owner: 48 bits of a keyed hash, and 16 bits that count the slot's
//!   owners. 0: never owned. A key's slot is in one of two buckets of 8.
//! - A cell holds the *stamp* (clock reading + 2⁶²) of the admission that last took its permit;
//!   0: never. It is *free* at `now` when `stamp + W ≤ now`, else *live*. With its top bit set it
//!   is *provisional*: the holder of the lock has it in hand.
//!
//! # The steps
//!
//! Without the lock:
//! - **Admit** (cost 1): find the word `w` of the key; read the clock; compare-and-swap a free
//!   cell to `now`; read the word again. Still `w`: admitted. Else start over.
//! - **Deny** (any cost): find `w`; read all cells; read the clock again; of the cells at least
//!   N − cost + 1 are live at that reading and the word is still `w`: denied. If provisional
//!   cells are needed to come to that, the decision is made under the lock. Else start over.
//!
//! Under the lock, where every provisional cell is the leaving of a dead holder and is first
//! made free (`recover`):
//! - **Several** (cost > 1, several tables under all their locks): make cost free cells
//!   provisional in each table. All there: turn them into stamps of one reading of the clock.
//!   Else put them back, and deny if it does not fit by a reading taken after that.
//! - **Claim**: look for the key again; take an empty slot; else *seal* an idle one, that is,
//!   make all its N cells provisional, cell by cell; if one is live, put them back and try
//!   another slot. When all are sealed, publish the new word, then put the cells back. No slot:
//!   `full`, with nothing changed.
//! - **Reset**: make the key's live cells free.
//!
//! # Never more than N in any window
//!
//! 1. *In one cell, stamps are at least W apart.* A stamp `t` replaces `s` only if `s + W ≤ t`,
//!    atomically. Cells are lowered only by putting back what was there, by `recover` to
//!    `p − W`, which is at least what was there before the provisional `p`, and by reset, whose
//!    purpose it is.
//! 2. *An admission counts only in the ownership it was found in*, since the word is the same
//!    before and after the swap, and every change of owner changes the word. The swap cannot
//!    fall between sealing and publishing, when no cell is free; if it comes before its cell is
//!    sealed, the sealer sees a live cell and gives the slot up, or an admission that is already
//!    a window old; if it comes after the cells are put back, it comes after the word changed.
//! 3. *One key has one slot at a time*: claims are serialised and look for the key first.
//! 4. *Ownerships of a key do not share a window.* A reclaim at `c` found every cell free at `c`,
//!    so admissions of the former ownership have stamps ≤ `c − W`. The key's next ownership
//!    begins later, and each of its admissions reads the clock after it found the word, so has a
//!    stamp ≥ `c`. A reading supplied by the caller may be older, so it is lifted to the time of
//!    the table's latest reclaim, which is written down before the new word is published.
//!
//! By 2 to 4 the admissions of a key in one window are in the N cells of one slot, by 1 at most
//! one in each. ∎ Each stamp lies between the begin and the end of its call. (The 16 bits in 2
//! recur after 65,536 owners of one slot, each of them for a window or dead at birth, while one
//! admitter stands still between two instructions. Two keys of equal tags, one pair in 2⁴⁸, that
//! also have their buckets in common share a quota: stricter, never looser.)
//!
//! # Nothing is denied that could pass
//!
//! A denial has read N − cost + 1 stamps, none provisional, all of them live at a reading taken
//! after the last cell: at that instant, within the call, so many admissions are within the
//! window, and the cost does not fit. Cells in the hands of a holder of the lock deny nobody: who
//! needs them waits for the lock. There, with all of a holder's cells put back, a cost that does
//! not fit is denied on the stamps of others alone. So of two calls of cost 3 on a limit of 4 one
//! is always admitted.
//!
//! The exception is a *burnt* permit: taken by a call that died before it answered, or whose slot
//! was given to another key between its finding the word and its swap. It is gone for one window.
//!
//! # What dying costs
//!
//! | dead | costs |
//! |---|---|
//! | after the swap, before the answer | that permit, for a window |
//! | with provisional cells | nothing: the next holder of the lock frees them |
//! | while turning them into stamps | those already turned, for a window |
//! | between sealing and publishing | nothing: the slot is still the former owner's |
//! | after publishing | nothing: the cells are recovered as above |
//! | holding the lock | nothing: the kernel lets go of it (see `lock.rs`) |
//! | while making the file | nothing: the next to open it makes it again |
//!
//! A holder that is *stopped* keeps the lock. Calls that need it answer `full` after
//! [`PATIENCE`]; admissions to and denials of keys that have a slot go on.
//!
//! # Orderings
//!
//! Loads acquire, stores release, swaps do both. Step 2 needs no more: admitter and sealer meet
//! in a swap of the same cell, and who sees a cell that was put back after a publication sees the
//! publication.
#![deny(unsafe_code)]

mod answer;
mod clock;
mod error;
mod file;
mod hash;
mod header;
mod lock;
mod owners;
mod shape;
mod slot;
#[cfg(test)]
mod steps;
mod sync;
mod sys;
mod table;
mod together;

pub use answer::Answer;
pub use clock::{MAX_NOW_NS, MAX_WINDOW_NS};
pub use error::{Error, ErrorKind};
pub use lock::PATIENCE;
pub use shape::{MAX_BYTES, MAX_CAPACITY, MAX_LIMIT};
pub use table::Table;
pub use together::hit_all;
