//! Any bytes are an answer to be read, in any pieces.

#![no_main]

use std::hash::{DefaultHasher, Hash, Hasher};

use libfuzzer_sys::fuzz_target;

mod agree;
#[path = "../../src/http/mod.rs"]
mod http;

fuzz_target!(|answer: &[u8]| {
    // The pieces follow from the bytes, so that what is found is found again.
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    agree::check(answer, hasher.finish());
});
