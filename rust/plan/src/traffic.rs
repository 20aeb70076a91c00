//! The requests of keys, in order of time.

/// A unit of a request's width, in ns: what is below it is rounded up.
pub const UNIT_NS: i64 = 1 << 16;
/// The bit of a request that no limiter may have seen.
const UNSEEN: u32 = 1 << 31;
/// A width that is as long or longer: nobody knows its end.
const ENDLESS: u32 = UNSEEN - 1;

/// The width of such a one: no replay has room for it.
pub const ENDLESS_NS: i64 = i64::MAX / 4;

/// A request: decided at `sent_ns` at the earliest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// The number of its key.
    pub code: i32,
    /// The earliest instant of its decision.
    pub sent_ns: i64,
    /// The time to the latest, in units, and the bit of those that no limiter may have seen.
    pub width: u32,
    /// A hash of its user agent.
    pub agent: u32,
    /// A hash of its path.
    pub path: u32,
}

/// Bytes of a row: code, `sent_ns`, width, agent and path, in native order.
const ROW: usize = 24;

impl Request {
    fn of(row: &[u8; ROW]) -> Self {
        let number = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| row[at + byte]));
        Self {
            code: number(0) as i32,
            sent_ns: i64::from_ne_bytes(std::array::from_fn(|byte| row[4 + byte])),
            width: number(12),
            agent: number(16),
            path: number(20),
        }
    }

    fn row(&self) -> [u8; ROW] {
        let mut row = [0; ROW];
        row[..4].copy_from_slice(&self.code.to_ne_bytes());
        row[4..12].copy_from_slice(&self.sent_ns.to_ne_bytes());
        row[12..16].copy_from_slice(&self.width.to_ne_bytes());
        row[16..20].copy_from_slice(&self.agent.to_ne_bytes());
        row[20..].copy_from_slice(&self.path.to_ne_bytes());
        row
    }

    /// The width of a request whose decision lies within so much time.
    #[must_use]
    pub fn packed_width(width_ns: i64, unseen: bool) -> u32 {
        let units = width_ns.saturating_add(UNIT_NS - 1) / UNIT_NS;
        let units = units.clamp(0, i64::from(ENDLESS)) as u32;
        units | if unseen { UNSEEN } else { 0 }
    }

    /// The latest instant of its decision, less the earliest.
    #[must_use]
    pub fn width_ns(&self) -> i64 {
        match self.width & ENDLESS {
            ENDLESS => ENDLESS_NS,
            units => i64::from(units) * UNIT_NS,
        }
    }

    /// True if it may have ended before any limiter saw it.
    #[must_use]
    pub fn unseen(&self) -> bool {
        self.width & UNSEEN > 0
    }
}

/// Requests as rows, in parts: that of a request is its code modulo their number.
#[must_use]
pub fn parted(requests: impl Iterator<Item = Request>, parts: usize) -> Vec<Vec<u8>> {
    let mut rows = vec![Vec::new(); parts.max(1)];
    for request in requests {
        let part = request.code as usize % rows.len();
        rows[part].extend_from_slice(&request.row());
    }
    rows
}

/// The requests of some keys, key by key.
pub struct Traffic {
    stride: usize,
    requests: Vec<Request>,
    /// The first of each key.
    begins: Vec<usize>,
}

/// The requests of one key, in order of their earliest instants.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// The number of the key.
    pub code: i32,
    /// In order.
    pub requests: &'a [Request],
}

impl Traffic {
    /// Sorts requests, of which each is a row; of each part `stride` apart are the codes of its keys.
    #[must_use]
    pub fn new(rows: &[u8], stride: usize) -> Self {
        let (rows, stride) = (rows.as_chunks().0, stride.max(1));
        let place = |row: &[u8; ROW]| Request::of(row).code as usize / stride;
        let keys = rows.iter().map(|row| place(row) + 1).max().unwrap_or(0);
        let mut begins = vec![0; keys + 1];
        for row in rows {
            begins[place(row) + 1] += 1;
        }
        for key in 0..keys {
            begins[key + 1] += begins[key];
        }
        let mut next = begins.clone();
        let mut sorted = vec![Request::default(); rows.len()];
        for row in rows {
            let at = &mut next[place(row)];
            sorted[*at] = Request::of(row);
            *at += 1;
        }
        for key in 0..keys {
            let own = &mut sorted[begins[key]..begins[key + 1]];
            if !own.is_sorted_by_key(|one| one.sent_ns) {
                own.sort_unstable_by_key(|one| one.sent_ns);
            }
        }
        Self {
            stride,
            requests: sorted,
            begins,
        }
    }

    /// The place of a key among those of its part: a key's codes are `stride` apart.
    #[must_use]
    pub fn place(&self, code: i32) -> usize {
        code as usize / self.stride
    }

    /// Places of keys, up to the last that has requests.
    #[must_use]
    pub fn places(&self) -> usize {
        self.begins.len() - 1
    }

    /// Each key that has requests.
    pub fn clients(&self) -> impl Iterator<Item = Client<'_>> {
        self.begins.windows(2).filter_map(|ends| {
            let requests = &self.requests[ends[0]..ends[1]];
            let code = requests.first()?.code;
            Some(Client { code, requests })
        })
    }
}

/// The number of distinct values.
#[must_use]
pub fn distinct(values: impl Iterator<Item = u32>) -> usize {
    let mut all: Vec<u32> = values.collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_they_were_before_they_were_parted() {
        let requests = (0..1_000_i64).map(|sent_ns| Request {
            code: (sent_ns % 7) as i32,
            sent_ns,
            width: 1,
            agent: 2,
            path: 3 + sent_ns as u32,
        });
        for (part, rows) in parted(requests, 3).iter().enumerate() {
            for client in Traffic::new(rows, 3).clients() {
                assert_eq!(client.code % 3, part as i32);
                for (request, at) in client.requests.iter().zip((client.code..).step_by(7)) {
                    let told = (request.code, request.width, request.agent, request.path);
                    assert_eq!(told, (client.code, 1, 2, 3 + at as u32));
                    assert_eq!(request.sent_ns, i64::from(at));
                }
                assert_eq!(
                    client.requests.len(),
                    (1_000 - client.code as usize).div_ceil(7)
                );
            }
        }
    }
}
