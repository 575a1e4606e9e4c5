//! Local time in a format of the C library, because `log_timestamp_format` is documented as such: every conversion,
//! flag and quirk of it. The only unsafe code of this crate.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::mem::MaybeUninit;

/// Mosquitto's limit for a whole line.
const STAMP_BYTES_MAX: usize = 1000;

/// `seconds` after 1970 in the local time zone; `None` if the year does not exist or the text is empty or too long.
pub(super) fn local_time(format: &CStr, seconds: i64) -> Option<String> {
    let seconds = libc::time_t::try_from(seconds).ok()?;
    let mut parts = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: both pointers are valid for the call, and `localtime_r` keeps neither. It reads the environment
    // variable TZ; nothing in this process writes the environment after its first thread started.
    let filled = unsafe { libc::localtime_r(&raw const seconds, parts.as_mut_ptr()) };
    if filled.is_null() {
        return None;
    }
    let mut text = [0_u8; STAMP_BYTES_MAX];
    // SAFETY: `localtime_r` returned non-null, so `parts` is filled in; the format ends with NUL; at most
    // `text.len()` bytes are written into `text`.
    let length =
        unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), parts.as_ptr()) };
    match length {
        0 => None,
        length => Some(String::from_utf8_lossy(&text[..length]).into_owned()),
    }
}
