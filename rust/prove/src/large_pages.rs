//! Memory in large pages, of which a log's takes fewer: rows are put there in no order.

use std::mem::ManuallyDrop;

use crate::seen::Request;

/// A request in memory that is zero when it is new, which costs nothing to get.
type Zeros = [i64; 3];

const _: () = assert!(
    size_of::<Request>() == size_of::<Zeros>() && align_of::<Request>() == align_of::<Zeros>()
);

/// Room for requests, in large pages where the machine has any to give.
#[allow(unsafe_code)]
pub(crate) fn room(requests: usize) -> Vec<Request> {
    let mut memory = ManuallyDrop::new(vec![Zeros::default(); requests]);
    #[cfg(target_os = "linux")]
    advise(&memory);
    let (start, held) = (memory.as_mut_ptr().cast(), memory.capacity());
    // SAFETY: the memory is that of a Vec that is not dropped; a request is as large and aligned
    // as these zeros, and four integers, which any bits are.
    unsafe { Vec::from_raw_parts(start, requests, held) }
}

/// Asks for large pages for the whole pages of a new piece of memory: whether they come or
/// not, its content is the same.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn advise<T>(memory: &[T]) {
    const LARGE: usize = 1 << 21;
    const PAGE: usize = 1 << 12;
    let bytes = size_of_val(memory);
    if bytes < 2 * LARGE {
        return;
    }
    let start = memory.as_ptr().cast::<u8>();
    let skipped = start.align_offset(PAGE);
    // SAFETY: the range lies within the slice, and this advice changes no byte of it.
    unsafe {
        let first = start.add(skipped).cast_mut().cast();
        libc::madvise(first, (bytes - skipped) / PAGE * PAGE, libc::MADV_HUGEPAGE);
    }
}
