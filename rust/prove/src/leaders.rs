//! The first few keys in some order, whatever the number of threads that looked.

use crate::seen::Name;

/// Number that is kept of each order.
const MOST: usize = 5;

/// A key and what ranks it; of equal ranks, the key with the least name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leader {
    /// The value that it is ordered by, the least first.
    pub rank: i64,
    /// The key.
    pub name: Name,
    /// The quota that gave it its rank.
    pub quota: usize,
}

/// At most `MOST` of the keys that were added, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaders(Vec<Leader>);

impl Leaders {
    /// Ranks one more key.
    pub(crate) fn add(&mut self, leader: Leader) {
        let at = self.0.partition_point(|other| *other < leader);
        if at < MOST {
            self.0.truncate(MOST - 1);
            self.0.insert(at, leader);
        }
    }

    /// Ranks the keys of another list too.
    pub(crate) fn join(&mut self, other: Self) {
        for leader in other.0 {
            self.add(leader);
        }
    }

    /// The leaders, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = &Leader> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaders(numbers: impl Iterator<Item = usize>) -> Leaders {
        let mut leaders = Leaders::default();
        for number in numbers {
            leaders.add(Leader {
                rank: (number as i64 * 7) % 5,
                name: Name {
                    digest: number as u64,
                    code: 0,
                },
                quota: 0,
            });
        }
        leaders
    }

    #[test]
    fn the_leaders_do_not_depend_on_who_looked_at_which_keys() {
        let whole = leaders(0..100);
        assert!(
            whole
                .iter()
                .map(|leader| leader.name.digest)
                .eq([0, 5, 10, 15, 20])
        );
        for step in 1..20 {
            let mut joined = leaders((0..100).filter(|number| number % step == 0).rev());
            joined.join(leaders((0..100).filter(|number| number % step != 0)));
            assert_eq!(joined, whole);
        }
    }
}
