//! Memory shared by two processes.
//!
//! This is the only unsafe code of this crate. The other process may be under a stranger's control and write at any time. So this
//! memory is read by volatile copies and written by plain ones, never borrowed, except for tensors in the runner, whose other
//! process is the owner's own worker and leaves a slot alone while it is run. The file's size is sealed: it cannot shrink under a
//! reader.
#![allow(unsafe_code)]

use std::{fs::File, ptr::NonNull};

use libloading::os::unix::{Library, RTLD_NOW};
use rustix::{
    fs::{SealFlags, fcntl_add_seals, fstat, ftruncate},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

use crate::error::{InferenceFailed, failed};

/// A mapping of an unnamed file.
#[derive(Debug)]
pub(crate) struct Shared {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: plain memory; every access is a copy, or a slice whose caller keeps others away.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// Types of tensors' values, and no others: any bytes are valid.
pub trait Plain: Copy + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($kind:ty),*) => { $(impl sealed::Sealed for $kind {} impl Plain for $kind {})* };
}
plain!(f32, f64, i32, i64, u8);

impl Shared {
    /// Sets and seals the file's size, and maps the file.
    pub(crate) fn create(file: &File, bytes: u64) -> Result<Self, InferenceFailed> {
        ftruncate(file, bytes).map_err(failed)?;
        fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).map_err(failed)?;
        Self::open(file, bytes)
    }

    /// Maps a file after checking its size and its seal.
    pub(crate) fn open(file: &File, bytes: u64) -> Result<Self, InferenceFailed> {
        let seals = rustix::fs::fcntl_get_seals(file).map_err(failed)?;
        let held = fstat(file).map_err(failed)?.st_size;
        if held < 0 || held as u64 != bytes || bytes == 0 || !seals.contains(SealFlags::SHRINK) {
            return Err(failed("the shared memory does not match the agreed layout"));
        }
        let bytes = usize::try_from(bytes).map_err(failed)?;
        // SAFETY: a new mapping, wherever the kernel puts it; no other memory is touched.
        let start = unsafe {
            mmap(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0).map_err(failed)?
        };
        let start = NonNull::new(start.cast()).ok_or_else(|| failed("no memory"))?;
        Ok(Self { start, bytes })
    }

    fn check<T>(&self, at: usize, many: usize) {
        let end = many.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(at));
        assert!(end.is_some_and(|end| end <= self.bytes) && at.is_multiple_of(align_of::<T>()), "beyond the shared memory");
    }

    /// Writes value `row` of each of `columns` consecutively.
    #[inline]
    pub(crate) fn put_row<T: Plain>(&self, at: usize, columns: &[&[T]], row: usize) {
        self.check::<T>(at, columns.len());
        for (i, column) in columns.iter().enumerate() {
            // SAFETY: within the mapping and aligned, as just checked.
            unsafe { self.start.as_ptr().add(at).cast::<T>().add(i).write(column[row]) }
        }
    }

    /// Writes values consecutively.
    pub(crate) fn put_all<T: Plain>(&self, at: usize, values: &[T]) {
        self.check::<T>(at, values.len());
        // SAFETY: within the mapping and aligned, as just checked; the source is elsewhere, or in the runner in the area of rows,
        // which does not overlap.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.start.as_ptr().add(at).cast::<T>(), values.len()) }
    }

    /// Copies values out.
    pub(crate) fn get_all<T: Plain>(&self, at: usize, many: usize, into: &mut Vec<T>) {
        self.check::<T>(at, many);
        into.clear();
        into.reserve(many);
        for i in 0..many {
            // SAFETY: within the mapping and aligned, as just checked; any bytes are a value.
            into.push(unsafe { self.start.as_ptr().add(at).cast::<T>().add(i).read_volatile() });
        }
    }

    /// Borrows values in place. The caller must ensure that nobody writes them meanwhile.
    pub(crate) fn slice<T: Plain>(&self, at: usize, many: usize) -> &[T] {
        self.check::<T>(at, many);
        // SAFETY: within the mapping and aligned, as just checked; the worker, which alone may write there, waits for the slot to
        // be done.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at).cast::<T>(), many) }
    }

    /// Borrows values in place as booleans.
    pub(crate) fn truths(&self, at: usize, many: usize) -> &[bool] {
        let bytes = self.slice::<u8>(at, many);
        assert!(bytes.iter().all(|b| *b <= 1), "no truth values");
        // SAFETY: each byte is 0 or 1, as just checked, and stays so while the slot is run.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), many) }
    }

    /// Page-locks the memory with the device's driver, so that the device copies from and to it by itself, beside its other work.
    ///
    /// It must be called in a thread that the driver is active in. If it fails, everything works as before, but slower.
    pub(crate) fn pin(&self) {
        // int cuMemHostRegister_v2(void *p, size_t bytes, unsigned flags), CUDA driver API, 6.13 Memory Management.
        type Register = unsafe extern "C" fn(*mut std::ffi::c_void, usize, std::ffi::c_uint) -> std::ffi::c_int;
        const PORTABLE: std::ffi::c_uint = 1;
        // SAFETY: nothing is loaded that is not there already; the call has this signature; the mapping lives as long as this
        // process serves, and the driver releases
        // it at the end.
        unsafe {
            let Ok(driver) = Library::open(Some("libcuda.so.1"), RTLD_NOW | libc::RTLD_NOLOAD) else { return };
            if let Ok(register) = driver.get::<Register>(b"cuMemHostRegister_v2") {
                register(self.start.as_ptr().cast(), self.bytes, PORTABLE);
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped by us, and no borrow outlives this value.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
