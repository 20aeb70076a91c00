//! The chunked transfer coding (RFC 9112, section 7.1).

use super::{Fault, Reply};

/// Of extensions and trailers together, in bytes, so that no answer goes on for ever.
const MAX_FRAMING: u32 = 1 << 16;
/// As many as fit into 64 bits.
const MAX_DIGITS: u8 = 16;

/// Takes the framing off a chunked body.
///
/// A line may end without its CR, as in heads; the CRLF after a chunk's bytes is no line's end.
#[derive(Debug, Default)]
pub struct Chunks {
    step: Step,
    /// Size of the chunk as far as its digits have been read, then what is left of it.
    size: u64,
    digits: u8,
    framing: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Size,
    /// After the size: spaces, then an extension or the line's end.
    AfterSize,
    Extension,
    /// A CR has been read that only an LF may follow.
    SizeEnd,
    Data,
    AfterData,
    DataEnd,
    /// At the start of a line after the last chunk.
    Trailer,
    InTrailer,
    TrailerEnd,
    Done,
}

impl Chunks {
    /// Takes the body's bytes into `reply`; how many bytes were used, and whether it is complete.
    pub fn take(&mut self, data: &[u8], reply: &mut Reply) -> Result<(usize, bool), Fault> {
        let mut used = 0;
        while self.step != Step::Done {
            let Some(&byte) = data.get(used) else { break };
            if self.step == Step::Data {
                let here =
                    (data.len() - used).min(usize::try_from(self.size).unwrap_or(usize::MAX));
                reply.count(here)?;
                used += here;
                self.size -= here as u64;
                if self.size == 0 {
                    self.step = Step::AfterData;
                }
            } else {
                used += 1;
                self.step = self.after(byte)?;
            }
        }
        Ok((used, self.step == Step::Done))
    }

    /// The last chunk has been read: the body is whole, even where its trailers are not.
    ///
    /// RFC 9112, section 8.
    pub fn ended(&self) -> bool {
        matches!(
            self.step,
            Step::Trailer | Step::InTrailer | Step::TrailerEnd | Step::Done
        )
    }

    /// The step that a byte of framing leads to.
    fn after(&mut self, byte: u8) -> Result<Step, Fault> {
        match (self.step, byte) {
            (Step::Size, _) if byte.is_ascii_hexdigit() => self.digit(byte),
            (Step::Size, _) if self.digits == 0 => Err(Fault::Protocol),
            (Step::Size | Step::AfterSize, b';') => Ok(Step::Extension),
            (Step::Size | Step::AfterSize, b' ' | b'\t') => self.framed(Step::AfterSize),
            (Step::Size | Step::AfterSize, b'\r') => Ok(Step::SizeEnd),
            (Step::Size | Step::AfterSize | Step::SizeEnd | Step::Extension, b'\n') => {
                self.digits = 0;
                Ok(if self.size == 0 {
                    Step::Trailer
                } else {
                    Step::Data
                })
            }
            (Step::Extension, _) => self.framed(Step::Extension),
            (Step::AfterData, b'\r') => Ok(Step::DataEnd),
            (Step::DataEnd, b'\n') => Ok(Step::Size),
            (Step::Trailer, b'\r') => Ok(Step::TrailerEnd),
            (Step::Trailer | Step::TrailerEnd, b'\n') => Ok(Step::Done),
            (Step::InTrailer, b'\n') => self.framed(Step::Trailer),
            (Step::Trailer | Step::InTrailer, _) => self.framed(Step::InTrailer),
            _ => Err(Fault::Protocol),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<Step, Fault> {
        if self.digits == MAX_DIGITS {
            return Err(Fault::Protocol);
        }
        self.digits += 1;
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.size = self.size << 4 | u64::from(value);
        Ok(Step::Size)
    }

    fn framed(&mut self, next: Step) -> Result<Step, Fault> {
        self.framing += 1;
        if self.framing > MAX_FRAMING {
            return Err(Fault::Protocol);
        }
        Ok(next)
    }
}
