//! Arguments that cannot be accepted are named, and nothing panics.

use std::time::Duration;

use rateproof_enforce::{
    Algorithm, ErrorKind, MAX_CAPACITY, MAX_LIMIT, MAX_NOW_NS, MAX_WINDOW_NS, Quota, Table, hit_all,
};

fn refused(quota: Quota, capacity: u64) -> String {
    match Table::open(None, quota, capacity) {
        Ok(_) => panic!("opened {quota}, {capacity}"),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::InvalidArgument);
            error.to_string()
        }
    }
}

#[test]
fn a_shape_out_of_bounds_is_named() {
    let refused =
        |limit, window_ns, capacity| refused(Quota::sliding_log(limit, window_ns), capacity);
    assert_eq!(refused(0, 1, 1), "limit is 0 (from 1 to 65536)");
    assert!(refused(65_537, 1, 1).starts_with("limit is 65537"));
    assert!(refused(1, 0, 1).starts_with("window_ns is 0"));
    assert!(refused(1, MAX_WINDOW_NS + 1, 1).starts_with("window_ns is "));
    assert!(refused(1, 1, 0).starts_with("capacity is 0"));
    assert!(refused(1, 1, MAX_CAPACITY + 1).starts_with("capacity is "));
    assert!(refused(u64::MAX, u64::MAX, u64::MAX).starts_with("limit is "));
    assert!(refused(65_536, 1, MAX_CAPACITY).contains("bytes"));
}

#[test]
fn a_quota_that_its_algorithm_cannot_keep_is_named() {
    let refused = |algorithm, limit, window_ns, burst| {
        let quota = Quota {
            burst,
            ..Quota::new(algorithm, limit, window_ns)
        };
        refused(quota, 1)
    };
    for algorithm in Algorithm::ALL {
        let most = algorithm.max_limit();
        assert!(refused(algorithm, most + 1, 1 << 50, 1).starts_with("limit is "));
        assert!(refused(algorithm, 1, 1 << 50, MAX_LIMIT + 1).starts_with("burst is "));
    }
    for algorithm in Algorithm::ALL
        .into_iter()
        .filter(|known| *known != Algorithm::TOKEN_BUCKET)
    {
        assert!(refused(algorithm, 5, 1 << 50, 6).starts_with("burst is 6 with "));
    }
    assert!(refused(Algorithm::TOKEN_BUCKET, 5, 4_999, 5).contains("one a microsecond"));
    assert!(refused(Algorithm::TOKEN_BUCKET, 1, MAX_WINDOW_NS, 2).contains("takes too long"));
    assert!(
        refused(Algorithm::TOKEN_BUCKET, 1, MAX_WINDOW_NS, MAX_LIMIT).contains("takes too long")
    );
    assert!(
        refused(Algorithm::SLIDING_BLOCKS, 8, 59_999, 8).contains("blocks of at least 1000 ns")
    );
    assert!(refused(Algorithm::FIRST_HIT_WINDOW, 8, 3_999, 8).contains("at least 4000 ns"));
}

#[test]
fn an_algorithm_is_known_by_its_name() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.name().parse(), Ok(algorithm));
    }
    let error = "leaky".parse::<Algorithm>().expect_err("refused");
    assert!(error.to_string().contains("sliding-log, token-bucket, "));
}

#[test]
fn the_extremes_of_time_do_not_overflow() {
    let table = Table::open(None, Quota::sliding_log(2, MAX_WINDOW_NS), 8).expect("a table");
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
    let table = Table::open(None, Quota::sliding_log(5, 1), 8).expect("a table");
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
    let table = Table::open(None, Quota::sliding_log(5, 1), 8).expect("a table");
    for tables in [&[][..], &[&table, &table]] {
        let error = hit_all(tables, b"a", 1, None, Duration::ZERO).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
    }
}

#[test]
fn a_parameter_out_of_bounds_and_one_of_what_has_none_are_named() {
    let refused = |algorithm, parameter| {
        let quota = Quota {
            parameter,
            ..Quota::new(algorithm, 5, 1 << 50)
        };
        refused(quota, 1)
    };
    assert!(refused(Algorithm::SLIDING_BLOCKS, 0).starts_with("blocks is 0"));
    assert!(refused(Algorithm::SLIDING_BLOCKS, 1_001).starts_with("blocks is 1001"));
    assert!(refused(Algorithm::FIXED_WINDOW, 2).starts_with("parameter is 2 with "));
}
