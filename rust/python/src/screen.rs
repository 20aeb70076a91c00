//! The screen of whole logs for Python.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rateproof_prove::{
    Clearance, Family, Full, Groups, Kind, Leaders, Model, Rejections, Rules,
    screen as screen_groups,
};

use crate::errors::raise;
use crate::prove::{StairFigures, cut, logs, stair};
use crate::seen_columns::Column;

/// algorithm, limit, window_ns, ppm, granularity_ns.
type FamilyFigures = (String, usize, i64, i64, i64);

type ModelFigures = (Vec<StairFigures>, Vec<FamilyFigures>);

/// attempts, possible, provable, tightest_ns, stressed, code of the key.
type PressureFigures = (usize, usize, usize, Option<i64>, bool, Option<usize>);

/// Code of the key, index of the quota and rank of `Leader`.
type LeaderFigures = (usize, usize, i64);

/// Code of the key and broken of `Suspect`, then its tolerated, exact, unknown, wrong, joint and nested.
type SuspectFigures = (
    usize,
    Broken,
    Clearance,
    Clearance,
    Clearance,
    bool,
    Clearance,
    Vec<usize>,
);

type Broken = Option<(i64, i64)>;

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Asked {
    exact: ModelFigures,
    tolerated: Option<ModelFigures>,
    whole: bool,
    rejections: Option<AskedOfRejections>,
    fresh: bool,
    since_ns: Option<i64>,
    longest_ns: Option<(Option<i64>,)>,
    over: bool,
}

impl Asked {
    fn rules(self, py: Python<'_>) -> PyResult<Rules> {
        let model = |(stairs, families): ModelFigures| -> PyResult<Model> {
            let stairs = stairs.into_iter().map(|one| stair(py, one));
            let families = families.into_iter().map(|one| family(py, one));
            Ok(Model {
                stairs: stairs.collect::<PyResult<_>>()?,
                families: families.collect::<PyResult<_>>()?,
            })
        };
        Ok(Rules {
            exact: model(self.exact)?,
            tolerated: self.tolerated.map(model).transpose()?,
            whole: self.whole,
            rejections: self.rejections.map(AskedOfRejections::rules),
            fresh: self.fresh,
            since_ns: self.since_ns,
            longest_ns: self.longest_ns.map(|(longest_ns,)| longest_ns),
            over: self.over,
        })
    }
}

fn family(py: Python<'_>, figures: FamilyFigures) -> PyResult<Family> {
    let (name, limit, window_ns, ppm, granularity_ns) = &figures;
    rateproof_prove::family(name, *limit, *window_ns, *ppm, *granularity_ns).ok_or_else(|| {
        let hint = Some("at most 100000 ppm, times below 2**61");
        raise(py, "InvalidArgument", &format!("family {figures:?}"), hint)
    })
}

/// Figures of a quota: limit and how long each counts, or limit, gain, cost and slack of a bucket.
#[derive(FromPyObject)]
enum FullFigures {
    Window(usize, i128),
    Bucket(usize, i128, i128, i128),
}

impl FullFigures {
    fn full(self) -> Full {
        match self {
            Self::Window(limit, lasts) => Full::Window {
                limit,
                lasts: cut(lasts),
            },
            Self::Bucket(limit, gain, cost, slack) => Full::Bucket {
                limit,
                gain,
                cost,
                slack,
            },
        }
    }
}

#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct AskedOfRejections {
    exact: Vec<FullFigures>,
    tolerated: Vec<FullFigures>,
    horizon_ns: i128,
    denied_count: bool,
    until_ns: Option<i64>,
    logs: Vec<(usize, i128, i128)>,
}

impl AskedOfRejections {
    fn rules(self) -> Rejections {
        let all = |figures: Vec<FullFigures>| figures.into_iter().map(FullFigures::full).collect();
        Rejections {
            exact: all(self.exact),
            tolerated: all(self.tolerated),
            horizon_ns: self.horizon_ns,
            denied_count: self.denied_count,
            until_ns: self.until_ns,
            logs: logs(self.logs),
        }
    }
}

#[derive(IntoPyObject)]
pub struct Screened {
    keys: usize,
    admitted: usize,
    rejected: usize,
    unknown: usize,
    judged: usize,
    longest_ns: Option<i64>,
    marked: bool,
    pressure: Vec<PressureFigures>,
    closest: Vec<LeaderFigures>,
    densest: Vec<LeaderFigures>,
    busiest: Vec<LeaderFigures>,
    wrong_if_exact: bool,
    wrong_if_unknown: bool,
    suspects: Vec<SuspectFigures>,
}

/// The findings of a screen, on at most so many threads.
pub fn screen(
    py: Python<'_>,
    groups: &mut Groups,
    marked: bool,
    rules: Asked,
    threads: usize,
) -> PyResult<Screened> {
    let rules = rules.rules(py)?;
    let report = py.detach(|| screen_groups(groups, &rules, threads));
    let pressure = report.pressure.into_iter().map(|figures| {
        (
            figures.attempts,
            figures.possible,
            figures.provable,
            figures.tightest_ns,
            figures.stressed,
            figures.key.map(|name| name.code),
        )
    });
    let suspects = report.suspects.into_iter().map(|suspect| {
        (
            suspect.name.code,
            suspect.broken,
            suspect.tolerated,
            suspect.exact,
            suspect.unknown,
            suspect.wrong,
            suspect.joint,
            suspect.nested,
        )
    });
    Ok(Screened {
        keys: groups.keys(),
        admitted: groups.total(Kind::Admitted),
        rejected: groups.total(Kind::Rejected),
        unknown: groups.total(Kind::Unknown),
        judged: report.judged,
        longest_ns: groups.longest_ns(),
        marked,
        pressure: pressure.collect(),
        closest: leaders(&report.closest),
        densest: leaders(&report.densest),
        busiest: leaders(&report.busiest),
        wrong_if_exact: report.wrong_if_exact,
        wrong_if_unknown: report.wrong_if_unknown,
        suspects: suspects.collect(),
    })
}

fn leaders(leaders: &Leaders) -> Vec<LeaderFigures> {
    (leaders.iter())
        .map(|leader| (leader.name.code, leader.quota, leader.rank))
        .collect()
}

/// The rows of each of the keys with these codes, as bytes of 64-bit integers.
#[pyfunction]
pub fn rows_of<'py>(
    py: Python<'py>,
    key: Column<i32>,
    rows: usize,
    wanted: Vec<usize>,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let key = key.values(py, rows)?;
    let mut place = vec![usize::MAX; wanted.iter().max().map_or(0, |most| most + 1)];
    for (at, &code) in wanted.iter().enumerate() {
        place[code] = at;
    }
    let mut found = vec![Vec::new(); wanted.len()];
    for row in 0..rows {
        let place = place.get(key.at(row) as u32 as usize);
        if let Some(rows) = place.and_then(|&at| found.get_mut(at)) {
            rows.extend_from_slice(&(row as i64).to_ne_bytes());
        }
    }
    Ok(found.iter().map(|rows| PyBytes::new(py, rows)).collect())
}
