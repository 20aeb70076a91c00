//! Claims that hold for every sequence of bytes that a server may send.

use crate::http::{Fault, MAX_BODY, Parser};

/// All that can be seen of a parser after some bytes.
#[derive(Debug, PartialEq)]
struct Seen {
    fed: Result<bool, Fault>,
    ended: Option<Result<(), Fault>>,
    reply: Option<(u16, u64, u64, i64, u64)>,
    statuses: u32,
    reusable: bool,
}

/// Reads an answer, in one piece and in several, and panics where that makes a difference
/// or where what is seen contradicts itself. The pieces follow from `seed`.
pub fn check(answer: &[u8], seed: u64) {
    let mut draw = draws(seed);
    if !answer.is_empty() {
        check_cut(answer, 1 + draw() as usize % answer.len());
    }
    for head in [false, true] {
        for end in [false, true] {
            let mut parser = Parser::default();
            let whole = read(&mut parser, answer, head, end, |_| usize::MAX);
            consistent(&whole);
            if !head && !end {
                framed(answer, &whole);
            }
            let bytewise = read(&mut parser, answer, head, end, |_| 1);
            assert_same(&whole, &bytewise, answer);
            for most in [7, 64, 1 << 16] {
                let pieces = read(&mut parser, answer, head, end, |_| (draw() % most) as usize);
                assert_same(&whole, &pieces, answer);
            }
        }
    }
}

/// Reads an answer in two pieces, cut at `cut`, from 1.
pub fn check_cut(answer: &[u8], cut: usize) {
    let whole = read(&mut Parser::default(), answer, false, true, |_| usize::MAX);
    let first = |at| if at == 0 { cut } else { usize::MAX };
    assert_same(
        &whole,
        &read(&mut Parser::default(), answer, false, true, first),
        answer,
    );
}

/// SplitMix64.
fn draws(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn read(
    parser: &mut Parser,
    answer: &[u8],
    head: bool,
    end: bool,
    mut size: impl FnMut(usize) -> usize,
) -> Seen {
    parser.begin(head);
    let mut at = 0;
    let mut fed = parser.feed(b"");
    while at < answer.len() {
        let size = size(at).min(answer.len() - at);
        fed = parser.feed(&answer[at..at + size]);
        at += size;
        assert!(fed != Ok(true) || parser.reply().is_some());
    }
    let ended = end.then(|| parser.end());
    Seen {
        fed,
        ended,
        reply: parser.reply().map(|reply| {
            (
                reply.status,
                reply.bytes,
                bits(reply.retry_after_s),
                reply.ratelimit_remaining,
                reply.ratelimit_reset_s.to_bits(),
            )
        }),
        statuses: parser.statuses(),
        reusable: parser.reusable(),
    }
}

/// A date without the server's own is counted from now, which moves on meanwhile.
fn bits(wait_s: f64) -> u64 {
    if wait_s.fract() == 0.0 {
        wait_s.to_bits()
    } else {
        wait_s.is_nan().into()
    }
}

fn assert_same(whole: &Seen, pieces: &Seen, answer: &[u8]) {
    assert_eq!(whole, pieces, "{}", answer.escape_ascii());
}

fn consistent(seen: &Seen) {
    if let Some((status, bytes, ..)) = seen.reply {
        assert!((100..1000).contains(&status));
        assert_eq!(seen.fed == Err(Fault::Oversized), bytes > MAX_BODY);
        assert!(seen.statuses > 0);
    }
    assert!(seen.statuses <= 65);
    assert!(!seen.reusable || seen.fed == Ok(true) && seen.ended.is_none());
    assert!(seen.fed != Ok(true) || seen.ended.is_none_or(|ended| ended.is_ok()));
    assert!(seen.fed.is_ok() || seen.ended.is_none_or(|ended| ended == seen.fed.map(drop)));
}

/// A chunked answer with one plain head is what a slow reader of the whole makes of it.
fn framed(answer: &[u8], seen: &Seen) {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let Some(mut rest) = answer.strip_prefix(HEAD) else {
        return;
    };
    let mut bytes = 0;
    let complete = loop {
        let Some((line, after)) = line(rest) else {
            break false;
        };
        let size = line
            .split(|&byte| byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii_end();
        let Some(size) = str::from_utf8(size)
            .ok()
            .and_then(|size| u64::from_str_radix(size, 16).ok())
        else {
            break false;
        };
        rest = after;
        if size == 0 {
            break loop {
                match self::line(rest) {
                    Some((b"", _)) => break true,
                    Some((_, after)) => rest = after,
                    None => break false,
                }
            };
        }
        bytes += size.min(rest.len() as u64);
        if size > rest.len() as u64 {
            break false;
        }
        match rest[size as usize..].strip_prefix(b"\r\n") {
            Some(after) => rest = after,
            None => break false,
        }
    };
    if seen.fed.is_ok() {
        assert_eq!(seen.fed, Ok(complete));
        assert_eq!(seen.reply.map(|reply| reply.1), Some(bytes));
    }
}

/// Up to the next line end, and what follows it.
fn line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b'\n')?;
    let line = &text[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &text[end + 1..]))
}
