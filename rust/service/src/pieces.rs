//! Text of pieces and numbers, without the machinery of formatting: several are in each answer.

/// Text or a number, as it is written.
pub trait Piece {
    fn put(self, out: &mut Vec<u8>);
}

impl Piece for &str {
    fn put(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
}

impl Piece for u64 {
    fn put(self, out: &mut Vec<u8>) {
        itoa::Buffer::new().format(self).put(out);
    }
}

/// Appends pieces to bytes.
macro_rules! put {
    ($out:expr, $($piece:expr),+ $(,)?) => {{
        $(crate::pieces::Piece::put($piece, $out);)+
    }};
}
pub(crate) use put;
