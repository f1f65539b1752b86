//! Memory that two processes share.
//!
//! The only unsafe code of this room. The other process may be under a stranger's control and write at any time: what lies here is read by volatile copies and written by plain ones, never
//! borrowed, but for tensors in the runner, whose other process is the owner's own worker and leaves a slot alone while it is run. The file's size is sealed: it cannot shrink under a reader.
#![allow(unsafe_code)]

use std::{fs::File, ptr::NonNull};

use libloading::os::unix::{Library, RTLD_NOW};
use rustix::{
    fs::{SealFlags, fcntl_add_seals, fstat, ftruncate},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

use crate::error::{InferenceFailed, failed};

/// A mapping of a file without a name.
#[derive(Debug)]
pub(crate) struct Shared {
    start: NonNull<u8>,
    bytes: usize,
}

// SAFETY: plain memory; every access is a copy, or a slice whose caller keeps others away.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// Values that are any bytes: those of tensors, and no others.
pub trait Plain: Copy + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

macro_rules! plain {
    ($($kind:ty),*) => { $(impl sealed::Sealed for $kind {} impl Plain for $kind {})* };
}
plain!(f32, f64, i32, i64, u8);

impl Shared {
    /// Gives the file its size, for good, and maps it.
    pub(crate) fn create(file: &File, bytes: u64) -> Result<Self, InferenceFailed> {
        ftruncate(file, bytes).map_err(failed)?;
        fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).map_err(failed)?;
        Self::open(file, bytes)
    }

    /// Maps a file that has this size, for good.
    pub(crate) fn open(file: &File, bytes: u64) -> Result<Self, InferenceFailed> {
        let seals = rustix::fs::fcntl_get_seals(file).map_err(failed)?;
        let held = fstat(file).map_err(failed)?.st_size;
        if held < 0 || held as u64 != bytes || bytes == 0 || !seals.contains(SealFlags::SHRINK) {
            return Err(failed("the shared memory is not what was agreed"));
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

    /// Writes value `row` of each of `columns`, one after the other.
    #[inline]
    pub(crate) fn put_row<T: Plain>(&self, at: usize, columns: &[&[T]], row: usize) {
        self.check::<T>(at, columns.len());
        for (i, column) in columns.iter().enumerate() {
            // SAFETY: within the mapping and aligned, as just checked.
            unsafe { self.start.as_ptr().add(at).cast::<T>().add(i).write(column[row]) }
        }
    }

    /// Writes values one after the other.
    pub(crate) fn put_all<T: Plain>(&self, at: usize, values: &[T]) {
        self.check::<T>(at, values.len());
        // SAFETY: within the mapping and aligned, as just checked; what is written comes from elsewhere, or in the runner from rows, which lie in another area.
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

    /// Values as they lie. The caller sees to it that nobody writes them meanwhile.
    pub(crate) fn slice<T: Plain>(&self, at: usize, many: usize) -> &[T] {
        self.check::<T>(at, many);
        // SAFETY: within the mapping and aligned, as just checked; the worker, which alone may write there, waits for the slot to be done.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(at).cast::<T>(), many) }
    }

    /// The same as truth values.
    pub(crate) fn truths(&self, at: usize, many: usize) -> &[bool] {
        let bytes = self.slice::<u8>(at, many);
        assert!(bytes.iter().all(|b| *b <= 1), "no truth values");
        // SAFETY: each byte is 0 or 1, as just checked, and stays so while the slot is run.
        unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), many) }
    }

    /// Has the device's driver keep the pages where they are (page-locked), so that the device copies from and to them by itself, beside its other work.
    /// For a thread in which the driver is at work. Where it does not, everything is as before, and slower.
    pub(crate) fn pin(&self) {
        // int cuMemHostRegister_v2(void *p, size_t bytes, unsigned flags), CUDA driver API, 6.13 Memory Management.
        type Register = unsafe extern "C" fn(*mut std::ffi::c_void, usize, std::ffi::c_uint) -> std::ffi::c_int;
        const PORTABLE: std::ffi::c_uint = 1;
        // SAFETY: nothing is loaded that is not there already; the call has this signature; the mapping lives as long as this process serves, and the driver lets go of it at the end.
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
