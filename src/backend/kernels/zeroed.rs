//! Zeroed memory that takes none before it is written: of a cache of 1 GiB
//! only what is used becomes resident.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};

use half::{bf16, f16};

/// Numbers whose zero is all bits 0.
pub trait Number: Copy {}

impl Number for f32 {}
impl Number for f16 {}
impl Number for bf16 {}

/// `len` zeros.
pub fn zeroed<T: Number>(len: usize) -> Vec<T> {
    let Ok(layout) = Layout::array::<T>(len) else { panic!("{len} numbers are too many") };
    if layout.size() == 0 {
        return Vec::new();
    }
    // SAFETY: the layout is that of `len` numbers and not empty, and all bits 0
    // are a valid number.
    unsafe {
        let at = alloc_zeroed(layout);
        if at.is_null() {
            handle_alloc_error(layout);
        }
        Vec::from_raw_parts(at.cast(), len, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_zeros() {
        assert_eq!(zeroed::<f16>(1000), vec![f16::ZERO; 1000]);
        assert_eq!(zeroed::<f32>(3), [0.0; 3]);
        assert!(zeroed::<bf16>(0).is_empty());
    }
}
