//! Any bytes are lines of an access log, in any pieces.

#![no_main]

use std::hash::{DefaultHasher, Hash, Hasher};

use libfuzzer_sys::fuzz_target;
use rateproof_access::{Findings, Kind, Program, Reach, Scanner, Step, Tree};

#[path = "../../src/json.rs"]
#[allow(dead_code, unreachable_pub)]
mod json;

const SECOND: i64 = 1_000_000_000;
const PATHS: [&str; 6] = [
    "ts",
    "status",
    "duration",
    "request/remote_ip",
    "request/headers/X/0",
    "b/1",
];

fuzz_target!(|log: &[u8]| {
    for (number, (program, kinds)) in programs().into_iter().enumerate() {
        check(log, &program, &kinds, number as u64);
    }
    for line in log.split(|&byte| byte == b'\n') {
        agrees_on_objects(line);
    }
});

fn programs() -> Vec<(Program, Vec<Kind>)> {
    let text = |prefix: &str, open, steps: &[(Kind, &str)]| {
        let kinds = steps.iter().map(|&(kind, _)| kind).collect();
        let steps = steps.iter().map(|&(kind, until)| Step {
            kind,
            until: until.into(),
        });
        let program = Program {
            prefix: prefix.into(),
            steps: steps.collect(),
            open,
            escaped: true,
            tree: None,
        };
        (program, kinds)
    };
    let mut object = text(
        "",
        false,
        &[
            (Kind::Instant(SECOND), ""),
            (Kind::Status, ""),
            (Kind::Duration(SECOND), ""),
            (Kind::Text, ""),
            (Kind::Text, ""),
            (Kind::Text, ""),
        ],
    );
    object.0.tree = Some(Tree::new(&PATHS.map(parts)));
    vec![
        text(
            "",
            false,
            &[
                (Kind::Text, " "),
                (Kind::Text, " "),
                (Kind::Text, " ["),
                (Kind::Clf, "] \""),
                (Kind::Text, "\" "),
                (Kind::Status, " "),
                (Kind::Number, " \""),
                (Kind::List, "\" \""),
                (Kind::Text, "\""),
            ],
        ),
        text(
            "[",
            true,
            &[
                (Kind::Iso, "] \""),
                (Kind::Text, "\" "),
                (Kind::Status, " "),
                (Kind::Duration(1_000_000), " "),
                (Kind::Began, " "),
            ],
        ),
        text(
            "",
            false,
            &[
                (Kind::Day, "\t"),
                (Kind::Clock, "\t"),
                (Kind::List, "\t"),
                (Kind::Status, "\t"),
                (Kind::Epoch(1_000), ""),
            ],
        ),
        object,
    ]
}

fn parts(path: &str) -> Vec<Vec<u8>> {
    path.split('/')
        .map(|name| name.as_bytes().to_vec())
        .collect()
}

/// Rows are the same in any pieces; an interval has its ends in order; and the fields, with
/// what stands between them, are the line.
fn check(log: &[u8], program: &Program, kinds: &[Kind], number: u64) {
    let reach = Reach {
        before: number % 2 == 0,
        after: number % 3 == 0,
        longest_ns: 5 * SECOND,
        slack_ns: 10_000_000,
    };
    let groups = (0..kinds.len())
        .map(|field| vec![field])
        .collect::<Vec<_>>();
    let scanner = || Scanner::new(program.clone(), groups.clone(), reach).unwrap();
    let mut whole = scanner();
    whole.feed(log);
    whole.end();
    let found = whole.take();
    let words: Vec<Vec<&[u8]>> = (0..kinds.len())
        .map(|group| whole.words(group).collect())
        .collect();
    let mut pieces = scanner();
    let mut hasher = DefaultHasher::new();
    log.hash(&mut hasher);
    for piece in log.chunks(1 + hasher.finish() as usize % 97) {
        pieces.feed(piece);
    }
    pieces.end();
    assert!(same(&found, &pieces.take()));
    let mut halves = scanner().side_by_side(2);
    halves.feed(log);
    halves.end();
    assert!(same(&found, &halves.take()));
    for (group, words) in words.iter().enumerate() {
        assert!(halves.words(group).eq(words.iter().copied()));
    }
    let lines: Vec<&[u8]> = log.split(|&byte| byte == b'\n').collect();
    for (row, &line) in found.line.iter().enumerate() {
        assert!(0 <= found.sent[row] && found.sent[row] <= found.received[row]);
        if program.tree.is_some() {
            continue;
        }
        let mut told = program.prefix.clone();
        for (field, step) in program.steps.iter().enumerate() {
            told.extend(words[field][found.groups[field][row] as usize]);
            told.extend(&step.until);
        }
        let line = lines[line as usize - 1];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.starts_with(&told) && (program.open || line.len() == told.len()));
    }
}

fn same(one: &Findings, other: &Findings) -> bool {
    one.sent == other.sent
        && one.received == other.received
        && one.status == other.status
        && one.line == other.line
        && one.groups == other.groups
        && (one.lines, one.strange, one.cut, one.back_ns, one.back_line)
            == (
                other.lines,
                other.strange,
                other.cut,
                other.back_ns,
                other.back_line,
            )
        && one.shown == other.shown
}

/// Every object of JSON that is not too deep is one, and its fields are found.
fn agrees_on_objects(line: &[u8]) {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(line) else {
        return;
    };
    if line
        .iter()
        .filter(|&&byte| matches!(byte, b'{' | b'['))
        .count()
        >= 64
    {
        return;
    }
    let mut spans = [(0, 0); 2];
    let tree = json::Tree::new(&["ts", "status"].map(parts));
    assert!(tree.spans(line, &mut spans));
    if line.contains(&b'\\') {
        return; // names with escapes are not looked for
    }
    for (name, (from, to)) in ["ts", "status"].into_iter().zip(spans) {
        let told = &line[from..to];
        match object.get(name) {
            None | Some(serde_json::Value::Null) => assert!(told.is_empty()),
            Some(serde_json::Value::String(text)) => assert_eq!(told, text.as_bytes()),
            Some(_) => assert!(!told.is_empty()),
        }
    }
}
