//! Every algorithm that a table can keep. One more is a file of its own and a line here.

use std::str::FromStr;

use crate::error::Error;
use crate::quota::Algorithm;

impl Algorithm {
    /// Every algorithm. Its place here is its number in the header of a table.
    pub const ALL: [Self; 6] = [
        Self::SLIDING_LOG,
        Self::TOKEN_BUCKET,
        Self::FIXED_WINDOW,
        Self::FIRST_HIT_WINDOW,
        Self::SLIDING_COUNTER,
        Self::SLIDING_BLOCKS,
    ];

    pub(crate) fn number(self) -> u64 {
        let before = Self::ALL.into_iter().take_while(|known| *known != self);
        before.count() as u64
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| {
            Error::invalid(
                format!("algorithm is {name:?}"),
                format!("one of {}", Self::ALL.map(Self::name).join(", ")),
            )
        })
    }
}
