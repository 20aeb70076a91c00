//! Rows, parted by a number of theirs, in memory or in one file a part.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// Bytes of a part that are gathered before they are written.
const AT_ONCE: usize = 256 << 10;

/// Rows of columns of fixed widths: the part of a row is its code modulo their number.
///
/// Memory holds at most `most_bytes`; from then on each part goes to a file of its own.
/// The folder is the caller's, who removes it.
pub struct Partitions {
    folder: PathBuf,
    widths: Vec<usize>,
    parts: Vec<Part>,
    most_bytes: usize,
    held: usize,
    spilled: bool,
}

#[derive(Default)]
struct Part {
    rows: usize,
    bytes: Vec<u8>,
    file: Option<File>,
}

impl Partitions {
    /// Empty parts; `widths` are the bytes of each column, beside the code, which has 4.
    #[must_use]
    pub fn new(folder: PathBuf, parts: usize, widths: &[usize], most_bytes: usize) -> Self {
        Self {
            folder,
            widths: [&[4], widths].concat(),
            parts: (0..parts.max(1)).map(|_| Part::default()).collect(),
            most_bytes,
            held: 0,
            spilled: false,
        }
    }

    /// Rows of each part.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().map(|part| part.rows)
    }

    /// Adds rows: their codes, none below 0, and their columns, as bytes.
    ///
    /// # Errors
    ///
    /// A column has another length, or the disk is full.
    pub fn add(&mut self, codes: &[i32], columns: &[&[u8]]) -> io::Result<()> {
        let fits = (columns.iter())
            .zip(&self.widths[1..])
            .all(|(column, width)| column.len() == width * codes.len());
        if !fits || columns.len() + 1 != self.widths.len() || codes.iter().any(|&code| code < 0) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "columns do not fit",
            ));
        }
        let (count, wide) = (self.parts.len(), self.widths.iter().sum::<usize>());
        for (row, code) in codes.iter().enumerate() {
            let part = &mut self.parts[*code as usize % count];
            part.rows += 1;
            let mut at = part.bytes.len();
            part.bytes.resize(at + wide, 0);
            place(&mut part.bytes, &mut at, &code.to_ne_bytes());
            for (column, &width) in columns.iter().zip(&self.widths[1..]) {
                place(
                    &mut part.bytes,
                    &mut at,
                    &column[row * width..(row + 1) * width],
                );
            }
            if self.spilled && part.bytes.len() >= AT_ONCE {
                spill(&self.folder, *code as usize % count, part)?;
            }
        }
        self.held += codes.len() * wide;
        if !self.spilled && self.held > self.most_bytes {
            self.spilled = true;
            for (number, part) in self.parts.iter_mut().enumerate() {
                spill(&self.folder, number, part)?;
                part.bytes = Vec::new();
            }
        }
        Ok(())
    }

    /// The rows of a part in the order in which they were added: each the code and then its columns.
    ///
    /// # Errors
    ///
    /// Its file cannot be read.
    pub fn read(&self, number: usize) -> io::Result<Cow<'_, [u8]>> {
        let part = &self.parts[number];
        if part.file.is_none() {
            return Ok(Cow::Borrowed(&part.bytes));
        }
        let wide: usize = self.widths.iter().sum();
        let mut rows = Vec::with_capacity(wide * part.rows);
        File::open(path(&self.folder, number))?.read_to_end(&mut rows)?;
        rows.extend_from_slice(&part.bytes);
        Ok(Cow::Owned(rows))
    }
}

/// Writes a value at a place, and moves the place; the usual lengths need no `memcpy`.
#[inline]
fn place(bytes: &mut [u8], at: &mut usize, value: &[u8]) {
    let room = &mut bytes[*at..*at + value.len()];
    match value.len() {
        4 => room.copy_from_slice(&value[..4]),
        8 => room.copy_from_slice(&value[..8]),
        _ => room.copy_from_slice(value),
    }
    *at += value.len();
}

fn path(folder: &std::path::Path, number: usize) -> PathBuf {
    folder.join(format!("part-{number}"))
}

fn spill(folder: &std::path::Path, number: usize, part: &mut Part) -> io::Result<()> {
    if part.file.is_none() {
        let mut options = OpenOptions::new();
        part.file = Some(
            options
                .create_new(true)
                .append(true)
                .open(path(folder, number))?,
        );
    }
    if let Some(file) = &mut part.file {
        file.write_all(&part.bytes)?;
    }
    part.bytes.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_in_order_from_memory_and_from_files() {
        for most in [0, usize::MAX] {
            let folder = std::env::temp_dir().join(format!("parts-{}-{most}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let mut parts = Partitions::new(folder.clone(), 3, &[8, 1], most);
            for round in 0..40_i64 {
                let codes: Vec<i32> = (0..1_000).collect();
                let times: Vec<u8> = (0..1_000_i64)
                    .flat_map(|row| (round * 1_000 + row).to_ne_bytes())
                    .collect();
                parts.add(&codes, &[&times, &[round as u8; 1_000]]).unwrap();
            }
            assert_eq!(parts.rows().sum::<usize>(), 40_000);
            let rows = parts.read(2).unwrap();
            let (first, last) = (&rows[..13], &rows[rows.len() - 13..]);
            assert_eq!(first[..4], 2_i32.to_ne_bytes());
            assert_eq!(rows[13..17], 5_i32.to_ne_bytes());
            assert_eq!(last[4..12], (39 * 1_000 + 998_i64).to_ne_bytes());
            assert_eq!((first[12], last[12]), (0, 39));
            assert!(parts.add(&[1], &[&[0; 8]]).is_err());
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}
