//! All tests of kernels once more, on processors that have fewer instructions.

use crate::processors::{HASWELL, OPTERON, told};

#[test]
fn without_avx_512_the_kernels_are_right() {
    HASWELL.runs(&["kernel::", "the_processor_is"], "elsewhere::without", 25);
}

#[test]
fn without_avx_the_kernels_are_right() {
    OPTERON.runs(&["kernel::", "the_processor_is"], "elsewhere::without", 25);
}

#[test]
fn the_processor_is_the_one_that_was_chosen() {
    told();
}
