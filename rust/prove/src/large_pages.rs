//! Memory in large pages, of which a log's takes fewer: rows are put there in no order.

/// Values that are zero, in large pages where the machine has any to give.
pub(crate) fn zeros<const N: usize>(rows: usize) -> Vec<[i64; N]> {
    let memory = vec![[0; N]; rows];
    #[cfg(target_os = "linux")]
    advise(&memory);
    memory
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
