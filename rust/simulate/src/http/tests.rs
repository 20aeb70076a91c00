use std::fs;
use std::path::Path;

use super::{Fault, MAX_BODY, Parser};

#[path = "../../fuzz/src/agree.rs"]
mod agree;

/// The end of an answer: its status, its bytes, and whether the connection is kept.
fn read(answer: &[u8]) -> Result<(u16, u64, bool), Fault> {
    read_for(answer, false)
}

fn read_for(answer: &[u8], head: bool) -> Result<(u16, u64, bool), Fault> {
    let mut parser = Parser::default();
    parser.begin(head);
    if !parser.feed(answer)? {
        parser.end()?;
    }
    let reply = parser.reply().expect("a complete answer has a reply");
    Ok((reply.status, reply.bytes, parser.reusable()))
}

fn with_fields(fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}").into_bytes()
}

fn chunked(body: &str) -> Result<(u16, u64, bool), Fault> {
    read(&with_fields("Transfer-Encoding: chunked\r\n", body))
}

fn of_length(length: &str, body: &str) -> Result<(u16, u64, bool), Fault> {
    read(&with_fields(length, body))
}

#[test]
fn the_corpus_reads_the_same_in_any_pieces() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut files = 0;
    for entry in fs::read_dir(&corpus).expect("the corpus is there") {
        let answer = fs::read(entry.expect("an entry").path()).expect("a file");
        agree::check(&answer, files);
        for cut in (1..answer.len()).take_while(|_| answer.len() < 4096) {
            agree::check_cut(&answer, cut);
        }
        files += 1;
    }
    assert!(files >= 20);
}

#[test]
fn content_length_ends_a_body() {
    assert_eq!(
        of_length("Content-Length: 5\r\n", "hello"),
        Ok((200, 5, true))
    );
    assert_eq!(of_length("Content-Length: 0\r\n", ""), Ok((200, 0, true)));
    assert_eq!(
        of_length("content-length:5\r\n", "hell"),
        Err(Fault::Closed)
    );
}

#[test]
fn lengths_that_agree_are_one_and_others_are_none() {
    let twice = |a: &str, b: &str| format!("Content-Length: {a}\r\nContent-Length: {b}\r\n");
    assert_eq!(of_length(&twice("5", "5"), "hello"), Ok((200, 5, true)));
    assert_eq!(
        of_length("Content-Length: 5, 05\r\n", "hello"),
        Ok((200, 5, true))
    );
    assert_eq!(of_length(&twice("5", "6"), "hello"), Err(Fault::Protocol));
    for bad in ["", "-1", "+5", "5x", "0x5", "5,", "5 5", "1e3"] {
        let field = format!("Content-Length: {bad}\r\n");
        assert_eq!(of_length(&field, "hello"), Err(Fault::Protocol), "{bad}");
    }
}

#[test]
fn a_length_beyond_64_bits_is_only_too_long() {
    // The second is 5 where it overflows.
    for length in ["9".repeat(40), "18446744073709551621".into()] {
        let field = format!("Content-Length: {length}\r\n");
        assert_eq!(of_length(&field, "hello"), Err(Fault::Closed));
    }
}

#[test]
fn without_a_length_the_peer_ends_the_body() {
    assert_eq!(of_length("", "hello"), Ok((200, 5, false)));
    assert_eq!(of_length("", ""), Ok((200, 0, false)));
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    let long = with_fields("Content-Length: 5\r\n", "");
    assert_eq!(read_for(&long, true), Ok((200, 0, true)));
    let strange = with_fields("Content-Length: x\r\n", "");
    assert_eq!(read_for(&strange, true), Ok((200, 0, true)));
    for status in [204, 304] {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n");
        assert_eq!(read(answer.as_bytes()), Ok((status, 0, true)));
    }
}

#[test]
fn chunks_are_taken_apart() {
    assert_eq!(chunked("5\r\nhello\r\n0\r\n\r\n"), Ok((200, 5, true)));
    assert_eq!(chunked("0\r\n\r\n"), Ok((200, 0, true)));
    assert_eq!(
        chunked("000A \r\n0123456789\r\n0\r\n\r\n"),
        Ok((200, 10, true))
    );
    assert_eq!(
        chunked("a;x=\"1;2\"\r\n0123456789\r\n0;y\r\n\r\n"),
        Ok((200, 10, true))
    );
    assert_eq!(
        chunked("1\r\na\r\n0\r\nSum: 1\r\nMore: 2\r\n\r\n"),
        Ok((200, 1, true))
    );
    assert_eq!(chunked("1\na\r\n0\n\n"), Ok((200, 1, true)));
}

#[test]
fn broken_chunks_are_a_fault() {
    for bad in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "5x\r\n",
        "5 5\r\n",
        "5\rx",
        "1\r\nab",
        "1\r\na\rx",
        "1\r\na\n",
        ";\r\n",
        "0\r\n\rx",
        "00000000000000001\r\n",
        " 5\r\n",
        "0x5\r\n",
    ] {
        assert_eq!(chunked(bad), Err(Fault::Protocol), "{bad:?}");
    }
}

#[test]
fn a_chunked_body_is_whole_once_the_last_chunk_has_been_read() {
    assert_eq!(chunked("1\r\na\r\n0\r\n"), Ok((200, 1, false)));
    assert_eq!(chunked("1\r\na\r\n0\r\nSum: "), Ok((200, 1, false)));
    for cut in [
        "",
        "1",
        "1\r\n",
        "1\r\na",
        "1\r\na\r\n",
        "1\r\na\r\n0",
        "1\r\na\r\n0\r",
    ] {
        assert_eq!(chunked(cut), Err(Fault::Closed), "{cut:?}");
    }
}

#[test]
fn framing_is_bounded() {
    let many = |count| "1;x\r\na\r\n".repeat(count) + "0\r\n\r\n";
    assert_eq!(chunked(&many(1 << 15)), Ok((200, 1 << 15, true)));
    assert_eq!(chunked(&many((1 << 15) + 1)), Err(Fault::Protocol));
    let trailer = |count| format!("0\r\n{}\r\n\r\n", "x".repeat(count));
    assert_eq!(chunked(&trailer(65_534)), Ok((200, 0, true)));
    assert_eq!(chunked(&trailer(65_535)), Err(Fault::Protocol));
}

#[test]
fn the_last_coding_decides() {
    let coded =
        |coding: &str, body: &str| of_length(&format!("Transfer-Encoding: {coding}\r\n"), body);
    assert_eq!(
        coded("gzip, Chunked", "1\r\na\r\n0\r\n\r\n"),
        Ok((200, 1, true))
    );
    assert_eq!(coded("chunked, gzip", "1\r\na"), Ok((200, 4, false)));
    assert_eq!(coded("gzip", "abc"), Ok((200, 3, false)));
    assert_eq!(coded("chunked, chunked", "0\r\n\r\n"), Err(Fault::Protocol));
    assert_eq!(coded("identity", "abc"), Ok((200, 3, false)));
}

#[test]
fn chunks_outrank_a_length_and_cost_the_connection() {
    let fields = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(
        of_length(fields, "5\r\nhello\r\n0\r\n\r\n"),
        Ok((200, 5, false))
    );
    let fields = "Content-Length: x\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(of_length(fields, "0\r\n\r\n"), Ok((200, 0, false)));
}

#[test]
fn each_version_has_its_own_default_for_the_connection() {
    let kept = |version: &str, connection: &str| {
        let answer = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{connection}\r\n");
        read(answer.as_bytes()).expect("an answer").2
    };
    assert!(kept("1.1", ""));
    assert!(!kept("1.1", "Connection: close\r\n"));
    assert!(!kept("1.1", "Connection: x, CLOSE\r\n"));
    assert!(!kept(
        "1.1",
        "Connection: keep-alive\r\nConnection: close\r\n"
    ));
    assert!(!kept("1.0", ""));
    assert!(kept("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!kept("1.0", "Connection: keep-alive, close\r\n"));
    let old =
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(read(old), Ok((200, 0, false)));
}

#[test]
fn surplus_bytes_cost_the_connection_whenever_they_come() {
    assert_eq!(
        of_length("Content-Length: 1\r\n", "ab"),
        Ok((200, 1, false))
    );
    assert_eq!(chunked("0\r\n\r\nx"), Ok((200, 0, false)));
    let mut parser = Parser::default();
    assert_eq!(
        parser.feed(&with_fields("Content-Length: 1\r\n", "a")),
        Ok(true)
    );
    assert!(parser.reusable());
    assert_eq!(parser.feed(b""), Ok(true));
    assert!(parser.reusable());
    assert_eq!(parser.feed(b"\r\n"), Ok(true));
    assert!(!parser.reusable());
}

#[test]
fn a_closed_connection_is_not_reusable() {
    let mut parser = Parser::default();
    assert_eq!(
        parser.feed(&with_fields("Content-Length: 1\r\n", "a")),
        Ok(true)
    );
    assert_eq!(parser.end(), Ok(()));
    assert!(!parser.reusable());
}

#[test]
fn interim_answers_are_skipped_up_to_a_bound() {
    let last = "HTTP/1.1 204 No Content\r\n\r\n";
    let many = |count| "HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n".repeat(count) + last;
    assert_eq!(read(many(1).as_bytes()), Ok((204, 0, true)));
    assert_eq!(read(many(64).as_bytes()), Ok((204, 0, true)));
    assert_eq!(read(many(65).as_bytes()), Err(Fault::Protocol));
    assert_eq!(read(b"HTTP/1.1 100 Continue\r\n\r\n"), Err(Fault::Closed));
}

#[test]
fn an_upgrade_is_final_and_takes_the_connection() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(read(answer), Ok((101, 0, false)));
}

#[test]
fn a_status_has_arrived_with_its_third_digit() {
    let mut parser = Parser::default();
    let mut after = |data: &[u8]| {
        parser.feed(data).expect("no fault");
        parser.statuses()
    };
    assert_eq!(after(b""), 0);
    assert_eq!(after(b"HTTP/1.1 10"), 0);
    assert_eq!(after(b"0"), 1);
    assert_eq!(after(b" Continue\r\n\r"), 1);
    assert_eq!(after(b"\nHTTP/1.1 "), 1);
    assert_eq!(after(b"103 X\r\n"), 2);
    assert_eq!(after(b"\r\nHTTP/1.1 20"), 2);
    assert_eq!(after(b"0 OK\r\nContent-Length: 1\r\n\r\n"), 3);
    assert_eq!(after(b"x"), 3);
    parser.begin(false);
    assert_eq!(parser.statuses(), 0);
    parser
        .feed(b"HTTP/1.1 100 X\r\n\r\nHTTP/1.1 204 X\r\n\r\n")
        .expect("no fault");
    assert_eq!(parser.statuses(), 2);
}

#[test]
fn an_empty_line_starts_no_answer() {
    assert_eq!(read(b"\r\nHTTP/1.1 204 X\r\n\r\n"), Err(Fault::Protocol));
    assert_eq!(
        read(b"HTTP/1.1 100 X\r\n\r\n\nHTTP/1.1 204 X\r\n\r\n"),
        Err(Fault::Protocol)
    );
}

#[test]
fn what_is_not_http_is_a_fault() {
    for bad in [
        "SSH-2.0-OpenSSH_9\r\n",
        "220 mail ESMTP\r\n",
        "<html>",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "\0",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n",
    ] {
        assert_eq!(read(bad.as_bytes()), Err(Fault::Protocol), "{bad:?}");
    }
}

#[test]
fn a_cut_head_is_a_closed_connection() {
    let whole = b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\n";
    for cut in 0..whole.len() {
        assert_eq!(read(&whole[..cut]), Err(Fault::Closed), "{cut}");
    }
}

#[test]
fn a_line_is_judged_once_it_is_whole_or_never_will_be() {
    let mut parser = Parser::default();
    assert_eq!(parser.feed(b"HTTP/1.1 200 OK\r\nX: \0"), Ok(false));
    assert_eq!(parser.end(), Err(Fault::Protocol));
    parser.begin(false);
    assert_eq!(parser.feed(b"HTTP/1.1 200 OK\r\nX: \0"), Ok(false));
    assert_eq!(parser.feed(b"\n"), Err(Fault::Protocol));
}

#[test]
fn heads_are_bounded() {
    let padded = |length: usize| {
        let start = "HTTP/1.1 204 X\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4)).into_bytes()
    };
    assert_eq!(read(&padded(1 << 16)), Ok((204, 0, true)));
    assert_eq!(read(&padded((1 << 16) + 1)), Err(Fault::Oversized));
    let mut parser = Parser::default();
    assert_eq!(
        parser.feed(&padded(1 << 20)[..1 << 16]),
        Err(Fault::Oversized)
    );
    let many = |count| format!("HTTP/1.1 204 X\r\n{}\r\n", "A: b\r\n".repeat(count)).into_bytes();
    assert_eq!(read(&many(100)), Ok((204, 0, true)));
    assert_eq!(read(&many(101)), Err(Fault::Oversized));
    let nonsense = vec![b'x'; 1 << 16];
    assert_eq!(read(&nonsense), Err(Fault::Protocol));
}

#[test]
fn bodies_are_bounded_however_they_end() {
    let body = |length: usize| "x".repeat(length);
    let most = MAX_BODY as usize;
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    assert_eq!(
        of_length(&length(most), &body(most)),
        Ok((200, MAX_BODY, true))
    );
    assert_eq!(
        of_length(&length(most + 9), &body(most + 9)),
        Err(Fault::Oversized)
    );
    assert_eq!(of_length(&length(most + 9), "x"), Err(Fault::Closed));
    assert_eq!(of_length("", &body(most)), Ok((200, MAX_BODY, false)));
    assert_eq!(of_length("", &body(most + 1)), Err(Fault::Oversized));
    let chunk = format!("{:x}\r\n{}", most + 1, body(most + 1));
    assert_eq!(chunked(&chunk), Err(Fault::Oversized));
}

#[test]
fn a_fault_stays_and_so_does_what_was_known() {
    let mut parser = Parser::default();
    let answer = with_fields("Transfer-Encoding: chunked\r\n", "1\r\na\r\nx");
    assert_eq!(parser.feed(&answer), Err(Fault::Protocol));
    assert_eq!(parser.feed(b"0\r\n\r\n"), Err(Fault::Protocol));
    assert_eq!(parser.end(), Err(Fault::Protocol));
    let reply = parser.reply().expect("the head was whole");
    assert_eq!((reply.status, reply.bytes), (200, 1));
    parser.begin(false);
    assert_eq!(parser.feed(b"HTTP/1.1 204 X\r\n\r\n"), Ok(true));
}

#[test]
fn limits_are_read_from_the_fields() {
    let reply = |fields: &str| {
        let mut parser = Parser::default();
        parser.feed(&with_fields(fields, "")).expect("no fault");
        let reply = *parser.reply().expect("a whole head");
        (
            reply.retry_after_s,
            reply.ratelimit_remaining,
            reply.ratelimit_reset_s,
        )
    };
    let (wait, remaining, reset) = reply("X: y\r\n");
    assert!(wait.is_nan() && remaining == i64::MIN && reset.is_nan());
    let fields = "RETRY-AFTER: 7\r\nRateLimit: \"a\";r=3;t=9\r\nratelimit: \"b\";r=2;t=4\r\n";
    assert_eq!(reply(fields), (7.0, 2, 4.0));
    let now = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRateLimit: \"a\";r=3;t=9\r\n";
    let fields = format!("Retry-After: Sunday, 06-Nov-94 08:49:47 GMT\r\n{now}");
    assert_eq!(reply(&fields), (10.0, 3, 9.0));
    assert!(reply("Retry-After: 1\r\nRetry-After: 1\r\n").0.is_nan());
    assert_eq!(
        reply("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n").0,
        0.0
    );
    assert_eq!(reply("Retry-After:\r\n 5\r\n").0, 5.0);
}
