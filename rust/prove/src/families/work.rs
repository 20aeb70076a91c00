//! What a search may spend.

/// The budget is spent.
#[derive(Debug)]
pub(super) struct Spent;

const FREE_LOOKS: u64 = 16;

/// Counts the jobs that a search looks at; the first looks at each are free.
pub(super) struct Work {
    pub jobs: usize,
    looks: u64,
    free: u64,
    most: u64,
}

impl Work {
    pub(super) fn new(jobs: usize, budget: u64) -> Self {
        let free = FREE_LOOKS * jobs as u64;
        Self {
            jobs,
            looks: 0,
            free,
            most: free.saturating_add(budget),
        }
    }

    /// Looks beyond the free ones.
    pub(super) fn spent(&self) -> u64 {
        self.looks.saturating_sub(self.free)
    }

    pub(super) fn add(&mut self, looks: usize) -> Result<(), Spent> {
        self.looks += looks as u64;
        if self.looks > self.most {
            return Err(Spent);
        }
        Ok(())
    }
}
