//! The screen against plain counting, on random logs.

use rateproof_prove::{
    Answer, Counting, Full, Groups, Kind, Log, Model, Rejections, Report, Row, Rules, Stair,
    feasible, screen,
};

/// xorshift64*: the same logs in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % bound
    }
}

const LIMIT: usize = 3;
const WINDOW: i64 = 20;

fn rules() -> Rules {
    let model = |rise: i64| Model {
        stairs: vec![Stair::new(LIMIT, 0, rise.into(), 1, 0).unwrap()],
        families: Vec::new(),
    };
    let full = |lasts| Full::Window {
        limit: LIMIT,
        lasts,
    };
    Rules {
        exact: model(WINDOW),
        tolerated: Some(model(WINDOW - 2)),
        whole: true,
        rejections: Some(Rejections {
            exact: vec![full(WINDOW)],
            tolerated: vec![full(WINDOW + 2)],
            horizon_ns: (WINDOW + 2).into(),
            denied_count: false,
            until_ns: None,
            logs: vec![Log {
                limit: LIMIT,
                low_ns: WINDOW - 2,
                high_ns: WINDOW + 2,
            }],
        }),
        fresh: true,
        since_ns: None,
        longest_ns: None,
        over: true,
    }
}

fn random_rows(random: &mut Random) -> Vec<Row> {
    let longest = 1 + random.below(40);
    (0..random.below(60))
        .map(|_| {
            let sent_ns = random.below(300) as i64 - 150;
            let kind = [Kind::Admitted, Kind::Rejected, Kind::Unknown][random.below(3) as usize];
            let ended = kind != Kind::Unknown || random.below(2) == 0;
            Row {
                key: random.below(4) as usize,
                kind,
                sent_ns,
                end_ns: ended.then(|| sent_ns + random.below(longest) as i64),
            }
        })
        .collect()
}

fn grouped(rows: &[Row], keys: usize) -> Option<Groups> {
    let mut counting = Counting::new((0..keys as u64).collect());
    assert!(rows.iter().all(|row| counting.count(row.key)));
    let mut placing = counting.room();
    rows.iter().for_each(|row| placing.place(row, 0));
    placing.groups()
}

fn screened(rows: &[Row], threads: usize) -> Report {
    screen(&mut grouped(rows, 4).unwrap(), &rules(), threads)
}

/// Times of the rows of a key and a kind; what never ended did as it was sent.
fn times(rows: &[Row], key: usize, kinds: &[Kind]) -> Vec<(i64, i64)> {
    rows.iter()
        .filter(|row| row.key == key && kinds.contains(&row.kind))
        .map(|row| (row.sent_ns, row.end_ns.unwrap_or(row.sent_ns)))
        .collect()
}

fn most(count: impl Fn(i64) -> usize) -> usize {
    (-200..250).map(count).max().unwrap()
}

#[test]
fn the_pressure_is_what_counting_at_every_instant_gives() {
    let mut random = Random(1);
    for _ in 0..300 {
        let rows = random_rows(&mut random);
        let report = screened(&rows, 2);
        let every = [Kind::Admitted, Kind::Rejected, Kind::Unknown];
        let (mut attempts, mut possible, mut provable) = (0, 0, 0);
        for key in 0..4 {
            let touching = |jobs: &[(i64, i64)], at: i64| {
                let touches = |&&(sent, end): &&(i64, i64)| sent < at + WINDOW && end >= at;
                jobs.iter().filter(touches).count()
            };
            let all = times(&rows, key, &every);
            let admitted = times(&rows, key, &[Kind::Admitted]);
            let nested = |at: i64| {
                let inside = |&&(sent, end): &&(i64, i64)| sent >= at && end < at + WINDOW;
                admitted.iter().filter(inside).count()
            };
            attempts = attempts.max(most(|at| touching(&all, at)));
            possible = possible.max(most(|at| touching(&admitted, at)));
            provable = provable.max(most(nested));
        }
        let pressure = &report.pressure[0];
        let found = (pressure.attempts, pressure.possible, pressure.provable);
        assert_eq!(found, (attempts, possible, provable), "{rows:?}");
        assert_eq!(pressure.stressed, attempts > LIMIT);
    }
}

#[test]
fn exactly_what_can_be_explained_is_cleared() {
    let mut random = Random(2);
    let mut searched = 0;
    for _ in 0..10_000 {
        let rows = random_rows(&mut random);
        let report = screened(&rows, 1);
        let rules = rules();
        for key in 0..4 {
            let suspect = report
                .suspects
                .iter()
                .find(|suspect| suspect.name.code == key);
            let costs = suspect.map_or([Some(0); 2], |found| [found.exact, found.tolerated]);
            let stairs =
                [&rules.exact, rules.tolerated.as_ref().unwrap()].map(|model| &model.stairs);
            let (sent, end): (Vec<i64>, Vec<i64>) =
                times(&rows, key, &[Kind::Admitted]).into_iter().unzip();
            for (cost, stairs) in costs.into_iter().zip(stairs) {
                let answer = feasible(&sent, &end, stairs, 1_000_000);
                let holds = matches!(answer, Answer::Feasible { .. });
                assert_eq!(holds, cost.is_some(), "{rows:?}");
                searched += usize::from(cost.is_some_and(|cost| cost > 0));
            }
        }
    }
    assert!(searched > 5, "{searched}");
}

#[test]
fn a_rejection_is_wrong_when_no_instant_of_it_sees_a_full_window() {
    let mut random = Random(3);
    for _ in 0..1_000 {
        let rows = random_rows(&mut random);
        let report = screened(&rows, 1);
        for key in 0..4 {
            let full = |at: i64, window: i64| {
                let counts = |row: &&Row| {
                    let ends = (row.kind == Kind::Admitted).then(|| row.end_ns.unwrap());
                    row.key == key
                        && row.kind != Kind::Rejected
                        && row.sent_ns <= at
                        && ends.is_none_or(|end| end + window >= at)
                };
                rows.iter().filter(counts).count() >= LIMIT
            };
            let wrong = |&(sent, end): &(i64, i64)| (sent..=end).all(|at| !full(at, WINDOW + 2));
            let expected = times(&rows, key, &[Kind::Rejected]).iter().any(wrong);
            let suspect = report
                .suspects
                .iter()
                .find(|suspect| suspect.name.code == key);
            assert_eq!(suspect.is_some_and(|found| found.wrong), expected);
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let mut random = Random(4);
    let row = |number: u64, random: &mut Random| Row {
        key: random.below(5_000) as usize,
        kind: [Kind::Admitted, Kind::Rejected][random.below(2) as usize],
        sent_ns: number as i64,
        end_ns: Some((number + random.below(9)) as i64),
    };
    let rows: Vec<Row> = (0..400_000).map(|n| row(n, &mut random)).collect();
    let of = |threads| screen(&mut grouped(&rows, 5_000).unwrap(), &rules(), threads);
    let alone = of(1);
    assert_eq!(alone, of(2));
    assert_eq!(alone, of(7));
}

#[test]
fn a_log_of_more_than_73_years_or_with_answers_before_requests_is_not_screened() {
    let row = |sent_ns, end_ns| Row {
        key: 0,
        kind: Kind::Admitted,
        sent_ns,
        end_ns: Some(end_ns),
    };
    assert!(grouped(&[row(0, (1 << 61) - 1)], 1).is_some());
    assert!(grouped(&[row(0, 1 << 61)], 1).is_none());
    assert!(grouped(&[row(5, 4)], 1).is_none());
}
