//! What cannot be accepted is named, and nothing panics.

use std::time::Duration;

use rateproof_enforce::{
    ErrorKind, MAX_CAPACITY, MAX_LIMIT, MAX_NOW_NS, MAX_WINDOW_NS, Table, hit_all,
};

fn refused(limit: u64, window_ns: u64, capacity: u64) -> String {
    match Table::open(None, limit, window_ns, capacity) {
        Ok(_) => panic!("opened {limit} {window_ns} {capacity}"),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::InvalidArgument);
            error.to_string()
        }
    }
}

#[test]
fn a_shape_out_of_bounds_is_named() {
    assert_eq!(refused(0, 1, 1), "limit is 0 (from 1 to 65536)");
    assert!(refused(MAX_LIMIT + 1, 1, 1).starts_with("limit is 65537"));
    assert!(refused(1, 0, 1).starts_with("window_ns is 0"));
    assert!(refused(1, MAX_WINDOW_NS + 1, 1).starts_with("window_ns is "));
    assert!(refused(1, 1, 0).starts_with("capacity is 0"));
    assert!(refused(1, 1, MAX_CAPACITY + 1).starts_with("capacity is "));
    assert!(refused(u64::MAX, u64::MAX, u64::MAX).starts_with("limit is "));
    assert!(refused(MAX_LIMIT, 1, MAX_CAPACITY).contains("bytes"));
}

#[test]
fn the_extremes_of_time_do_not_overflow() {
    let table = Table::open(None, 2, MAX_WINDOW_NS, 8).expect("a table");
    let hit = |now| {
        table
            .hit(b"a", 1, Some(now), Duration::ZERO)
            .map(|answer| answer.expect("free"))
    };
    assert!(hit(0).expect("valid").admitted);
    assert!(hit(MAX_NOW_NS).expect("valid").admitted);
    let last = hit(MAX_NOW_NS).expect("valid");
    assert!(last.admitted && last.reset_after_ns == MAX_WINDOW_NS);
    assert_eq!(
        hit(MAX_NOW_NS).expect("valid").retry_after_ns,
        MAX_WINDOW_NS
    );
    // Going back in time is stricter, never looser.
    assert_eq!(
        hit(0).expect("valid").retry_after_ns,
        MAX_NOW_NS + MAX_WINDOW_NS
    );
    assert_eq!(
        hit(MAX_NOW_NS + 1).expect_err("too late").kind,
        ErrorKind::InvalidArgument
    );
}

#[test]
fn a_cost_that_can_never_fit_is_told_from_one_that_does_not_fit_now() {
    let table = Table::open(None, 5, 1, 8).expect("a table");
    let kind = |cost| {
        table
            .hit(b"a", cost, None, Duration::ZERO)
            .expect_err("refused")
            .kind
    };
    assert_eq!(kind(0), ErrorKind::InvalidArgument);
    assert_eq!(kind(6), ErrorKind::NeverPossible);
    assert_eq!(kind(u64::MAX), ErrorKind::NeverPossible);
}

#[test]
fn hit_all_wants_one_or_more_tables_each_once() {
    let table = Table::open(None, 5, 1, 8).expect("a table");
    for tables in [&[][..], &[&table, &table]] {
        let error = hit_all(tables, b"a", 1, None, Duration::ZERO).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
    }
}
