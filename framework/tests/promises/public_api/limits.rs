//! Sizes.

use mycelia::limits::{INLINE_ALIGN, INLINE_BYTES, MESSAGE_BYTES_MAX};

#[test]
fn sizes_are_constants() {
    const { assert!(INLINE_ALIGN <= INLINE_BYTES && INLINE_BYTES < MESSAGE_BYTES_MAX) }
}
