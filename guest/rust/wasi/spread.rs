//! The spread of a person's numbers, by Rust's own library: how far the median lies from the mean, and the logarithm of the largest. Rows without a
//! number are left out. The same as `guest/c/wasi/spread.c`, with the world's ABI by hand: any rustc for WASI's first preview compiles it.

use std::alloc::{Layout, alloc, realloc};

/// A column as the host lays it out: `values` are f64s (kind 0) or s64s (1), and `valid` has a flag a row, or none where all rows are valid.
#[repr(C)]
pub struct Column {
    name: (*const u8, usize),
    kind: u8,
    values: *const u8,
    len: usize,
    valid: *const bool,
    valid_len: usize,
}

impl Column {
    unsafe fn number(&self, row: usize) -> Option<f64> {
        if self.valid_len > 0 && !*self.valid.add(row) {
            return None;
        }
        Some(if self.kind == 0 { *self.values.cast::<f64>().add(row) } else { *self.values.cast::<i64>().add(row) as f64 })
    }
}

#[no_mangle]
pub unsafe extern "C" fn cabi_realloc(old: *mut u8, old_size: usize, align: usize, size: usize) -> *mut u8 {
    match (old_size, size) {
        (_, 0) => align as *mut u8,
        (0, _) => alloc(Layout::from_size_align_unchecked(size, align)),
        _ => realloc(old, Layout::from_size_align_unchecked(old_size, align), size),
    }
}

#[no_mangle]
pub unsafe extern "C" fn contribute(rows: usize, columns: *const Column, count: usize) -> *const [usize; 2] {
    let mut numbers: Vec<f64> = (0..rows).filter(|_| count > 0).filter_map(|row| (*columns).number(row)).collect();
    numbers.sort_by(f64::total_cmp);
    println!("{} of {} rows, of {}", numbers.len(), rows, std::env::var("HOME").unwrap_or_else(|_| "nobody".into()));
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    let out = numbers.last().map_or([0.0; 2], |last| [(numbers[numbers.len() / 2] - mean).abs(), last.ln_1p()]);
    let out = Box::leak(Box::new(out));
    Box::leak(Box::new([out.as_ptr() as usize, out.len()]))
}
