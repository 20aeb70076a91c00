//! The limiter table, shared by threads and processes: six algorithms, none ever looser than it
//! says, under any interleaving and whatever dies at whatever instruction.
//!
//! # What is in memory
//!
//! A header page, a *word* a slot, and each slot's *state* ([`Table::open`] maps them).
//! - A word names the slot's owner: 48 bits of a keyed hash, and 16 bits that count the slot's
//!   owners. 0: never owned. A key's slot is in one of two buckets of 8.
//! - The state of a sliding log is a ring of N *cells* behind a cursor (`sliding_log.rs`). A cell
//!   holds the end of the window of the admission that last took it and is *free* from then on,
//!   else *live*. 0: never taken. The cell at the cursor is the *tail*.
//! - The state of blocks is a number, with the block that is open and how many were admitted in
//!   all, and what that was when each block began (`sliding_blocks.rs`).
//! - The state of every other algorithm is one number of 63 bits (`meter.rs`; each
//!   algorithm's own file says which).
//! - With its top bit set, the tail or the number is *frozen*: the holder of the lock has the slot
//!   in hand. What is below that bit still counts.
//!
//! A slot is *idle* when its whole quota is free: nothing in it matters any more.
//!
//! # The steps
//!
//! Without the lock:
//! - **Admit to a log** (cost 1): find the word `w` of the key; read the cursor, the cell at it,
//!   and the cursor again, until they agree; read the clock. Is the cell free: compare-and-swap it
//!   to `now + W`, or to the end in the cell before it if that is later; move the cursor on; read
//!   the word again. Still `w`: admitted. Else start over.
//! - **Admit to a number** (any cost): find `w`; read the state; read the clock; compare-and-swap
//!   the state to what the algorithm makes of it; read the word again.
//! - **Admit to blocks** (any cost): the same while the latest block is open; the first of a block
//!   takes the lock.
//! - **Deny** (any cost): as above, up to the clock. If the cost-th cell from the tail is live, or
//!   the algorithm finds no room: denied, when the word is still `w`. To admit, a frozen slot takes
//!   the lock; to deny it does not, for freezing changes nothing that is counted.
//!
//! Under the lock, where every frozen slot was left by a process that died and is first thawed
//! (`recover`):
//! - **Several** (cost > 1 of a log, several tables under all their locks): freeze the key's slot
//!   in each table; read the clock. All fit: take what is asked for in each, and thaw it with the
//!   last store. Else thaw all as they were.
//! - **Claim**: look for the key again; take an empty slot; else *seal* an idle one: freeze it, and
//!   if it is idle still, publish the new word; then thaw it. No slot: `full`, with nothing
//!   changed.
//! - **Reset**: freeze the key's slot, free it, the oldest first, and thaw it.
//!
//! # Never more than the algorithm admits
//!
//! 1. *A slot's history is a run of its algorithm.* A number is replaced atomically by what the
//!    algorithm makes of it at a time that was read after it, so no earlier than the time before. A
//!    cell is replaced atomically, and only from its end on: its admissions are W apart, so that a
//!    half-open window of length W holds at most one of each cell, N in all. A holder writes to
//!    what nobody else can change: no cell is taken before the frozen tail. What it writes other
//!    than admissions is what was there before, in `recover` no less than that, and in reset, whose
//!    purpose it is, nothing.
//! 2. *An admission counts only in the ownership it was found in*, since the word is the same
//!    before and after the swap, and every change of owner changes the word. The swap cannot fall
//!    between sealing and publishing; if it comes before the freezing, the sealer finds the slot
//!    busy and gives it up, or an admission that no longer matters; if it comes after the thawing,
//!    it comes after the word changed.
//! 3. *One key has one slot at a time*: claims are serialised and look for the key first.
//! 4. *Ownerships of a key do not share a window.* A reclaim at `c` found the slot idle at `c`: as
//!    if nothing had ever been admitted. The key's next ownership begins later, and each of its
//!    admissions reads the clock after it found the word, so at `c` or later.
//!
//! By 2 to 4 what a key is admitted is a run in one slot, or one run after the other when nothing
//! of the first matters any more; by 1 each is a run of the algorithm. ∎
//!
//! *The clock.* Each time lies between the begin and the end of its call. A reading supplied by the
//! caller may be older than what has happened since; it is lifted to the latest that the table has
//! decided or reclaimed at, which is written down before the state or the word is changed. All who
//! share a table read one clock, and supply its readings either always or never.
//!
//! *What recurs.* The 16 bits in 2 do after 65,536 owners of one slot, each of them busy for a
//! while or dead at birth, while one admitter stands still between two instructions. A cell does
//! after two laps and two resets of its key, while one stands still: it is then taken out of turn,
//! by 1 no looser, and skipped once. Two keys of equal tags, one pair in 2⁴⁸, that also have their
//! buckets in common share a quota: stricter, never looser.
//!
//! # One look at the tail decides
//!
//! *The cursor only grows, and passes a place only when its cell has been taken in that lap*: so
//! much its mover has seen. *A cell is taken only while the cursor is at it*: it was there when the
//! cell was read, and a cell that has not changed since has not been taken, so the cursor has not
//! passed. So cells are taken in ring order, each end no less than the one before it: *the ends
//! never fall from the tail on to the cell before it*, but among those that are over. Holders keep
//! that order: they take cells of one end, give back such as are over by then, and forget the
//! oldest first.
//!
//! So the free cells are a prefix from the tail, in which `remaining` is found by bisection, the
//! cost-th of them tells when that many are free, and the cell before the tail when all are.
//!
//! # Nothing is denied that could pass
//!
//! A denial has read the cost-th cell from the tail, and the clock after it. It was live then, and
//! with it all N − cost cells that follow: so many admissions lie within the window, and the cost
//! does not fit. A number that has no room at a time has none whatever was added to it before that.
//! Who needs a slot that is in hand waits for the lock, and there every slot is as its last holder
//! left it. So of two calls of cost 3 on a limit of 4 one is always admitted.
//!
//! The exception is a *burnt* permit: taken by a call that died before it answered, or whose slot
//! was given to another key between its finding the word and its swap. It is gone for one window.
//!
//! # What dying costs
//!
//! | dead | costs |
//! |---|---|
//! | after the swap, before the answer | that permit, for a window; others move the cursor on |
//! | with a slot in hand | nothing: the next holder gives back what was taken, and thaws it |
//! | with some of several tables thawed | what was taken of those, for a window |
//! | between sealing and publishing | nothing: the slot is still the former owner's |
//! | after publishing | nothing: the slot is thawed as above |
//! | in a reset | nothing: the oldest part of the quota is free |
//! | holding the lock | nothing: who wants it next takes it over |
//! | while making the file | nothing: the next to open it makes it again |
//!
//! A holder that is *stopped* keeps the lock. Calls that need it answer `full` after [`PATIENCE`];
//! admissions to and denials of keys that have a slot go on, but for the one in hand.
//!
//! # One holder at a time
//!
//! The lock is a word of the header page: the number of its holder's process at this table, and
//! above it a turn. It is swapped from free to a holder in a new turn, and stored free by the
//! holder. Whoever finds it taken may swap it from that very value to himself, provided that he
//! has then found that nobody has the number (`life.rs`: the kernel keeps it as long as the
//! process has its memory).
//!
//! So the holder that is replaced was dead before it was replaced: the number was its own from
//! before it took the lock until it died, and the value says that the lock has not changed hands
//! since it was seen, for no turn comes twice (in 2⁴⁰). If the number was given away again before it was
//! asked for, its new owner first frees the lock that it finds in its own name (`lock::inherit`),
//! for whoever took it is dead. By either way no two hold the lock, and what a new holder finds
//! frozen was left by one who is dead. ∎
//!
//! A thread does not die alone with the lock in its hand: it calls no foreign code meanwhile, and
//! a panic gives the lock back.
//!
//! # A file that is deleted
//!
//! Who opens its name afterwards makes another one, and counts anew. So a decision at `now` counts
//! only if the file was seen there less than a second before `now`, or later. Is a look due by the
//! reading of the clock, nothing is charged: the call looks first, and decides again, so that neither
//! the deleted table, which others may have a while longer, nor another one of the policy counts a
//! decision that does not count. Is the file gone, the call goes over to the table of that name,
//! makes it if need be, and decides again, as all do after it. So what counts of the deleted table
//! was decided within a second of the deletion, at most what one table admits; all later windows lie
//! in the new one.
//!
//! # Orderings
//!
//! Loads acquire, stores release, swaps do both. Step 2 needs no more: admitter and sealer meet in
//! a swap of the same word, and who sees a slot that was thawed after a publication sees the
//! publication. A cell that is newer than the cursor read before it was written by one who had seen
//! the cursor further on, and so does the second look at it. `models.rs` explores it all.
#![deny(unsafe_code)]

mod algorithms;
mod answer;
mod calls;
mod census;
mod clock;
mod counters;
mod error;
mod file;
mod first_hit_window;
mod fixed_window;
mod hash;
mod header;
mod hold;
mod kernel;
pub mod key;
#[cfg(all(test, not(loom)))]
mod kills;
mod life;
mod lock;
mod mapping;
mod meter;
#[cfg(all(test, loom))]
mod models;
mod opening;
mod origin;
mod owners;
mod quota;
mod shape;
mod sliding_blocks;
mod sliding_counter;
mod sliding_log;
mod slot;
#[cfg(all(test, not(loom)))]
mod stepping;
#[cfg(all(test, not(loom)))]
mod steps;
mod sync;
mod sys;
mod table;
mod token_bucket;

pub use answer::Answer;
pub use calls::{Answers, Ruling, hit_all, peek_all};
pub use census::Census;
pub use clock::{MAX_NOW_NS, MAX_WINDOW_NS, PATIENCE, now_ns};
pub use counters::{COUNTS, Count, Counters};
pub use error::{Error, ErrorKind};
pub use quota::{Algorithm, MAX_LIMIT, Parameter, Quota};
pub use shape::{MAX_BYTES, MAX_CAPACITY};
pub use sys::effective_user;
pub use table::Table;
