//! Descriptors in vector registers.
//!
//! Written in assembly, because a device, or a software NIC on another thread, accesses the same
//! words, and Rust has no atomic access to vectors. Each load here takes whole descriptors of 16
//! bytes, which a processor with AVX does in one piece when they are aligned (Intel SDM vol. 3A,
//! 9.1.1; AMD64 manual vol. 2, 7.3.2). To Rust that is a relaxed load of each
//! word. A store does each word of 8 bytes in one piece. Neither tells the compiler that it leaves
//! other memory alone, so nothing is moved across it, and the processor keeps loads and stores in
//! order.

use core::arch::asm;
use core::arch::x86_64::{__m128i, __m256i, __m512i};
use std::sync::atomic::AtomicU64;

type Desc = [AtomicU64; 2];

/// Descriptor `AT` of these, its second word first: this one must do on processors without AVX,
/// which may take a vector in several pieces, in any order.
#[inline]
#[target_feature(enable = "sse4.1")]
pub(crate) fn load_one<const AT: usize, const N: usize>(from: &[Desc; N]) -> __m128i {
    const { assert!(AT < N) };
    let v: __m128i;
    // SAFETY: there are so many descriptors, and a reference to an atomic word may be read.
    unsafe {
        asm!("movddup {v}, qword ptr [{p} + {second}]",
            "movlps {v}, qword ptr [{p} + {at}]",
            v = out(xmm_reg) v, p = in(reg) from, at = const 16 * AT, second = const 16 * AT + 8,
            options(nostack, preserves_flags))
    }
    v
}

/// Writes descriptor `AT` of these.
#[inline]
#[target_feature(enable = "sse4.1")]
pub(crate) fn store_one<const AT: usize, const N: usize>(to: &[Desc; N], v: __m128i) {
    const { assert!(AT < N) };
    // SAFETY: there are so many descriptors, and atomic words may be written through a shared
    // reference.
    unsafe {
        asm!("movdqu xmmword ptr [{p} + {at}], {v}",
            v = in(xmm_reg) v, p = in(reg) to, at = const 16 * AT,
            options(nostack, preserves_flags))
    }
}

/// Descriptors `AT` and the next of these.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn load_pair<const AT: usize, const N: usize>(from: &[Desc; N]) -> __m256i {
    const { assert!(AT + 2 <= N) };
    let v: __m256i;
    // SAFETY: as in `load_one`.
    unsafe {
        asm!("vmovdqu {v:x}, xmmword ptr [{p} + {at}]",
            "vinserti128 {v}, {v}, xmmword ptr [{p} + {next}], 1",
            v = out(ymm_reg) v, p = in(reg) from, at = const 16 * AT, next = const 16 * AT + 16,
            options(nostack, preserves_flags))
    }
    v
}

/// Writes descriptors `AT` and the next of these.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn store_pair<const AT: usize, const N: usize>(to: &[Desc; N], v: __m256i) {
    const { assert!(AT + 2 <= N) };
    // SAFETY: as in `store_one`.
    unsafe {
        asm!("vmovdqu ymmword ptr [{p} + {at}], {v}",
            v = in(ymm_reg) v, p = in(reg) to, at = const 16 * AT,
            options(nostack, preserves_flags))
    }
}

/// Descriptors `AT` and the next three of these.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(crate) fn load_four<const AT: usize, const N: usize>(from: &[Desc; N]) -> __m512i {
    const { assert!(AT + 4 <= N) };
    let v: __m512i;
    // SAFETY: as in `load_one`.
    unsafe {
        asm!("vmovdqu64 {v:x}, xmmword ptr [{p} + {a}]",
            "vinserti32x4 {v:y}, {v:y}, xmmword ptr [{p} + {b}], 1",
            "vinserti32x4 {v}, {v}, xmmword ptr [{p} + {c}], 2",
            "vinserti32x4 {v}, {v}, xmmword ptr [{p} + {d}], 3",
            v = out(zmm_reg) v, p = in(reg) from,
            a = const 16 * AT, b = const 16 * AT + 16, c = const 16 * AT + 32,
            d = const 16 * AT + 48,
            options(nostack, preserves_flags))
    }
    v
}

/// Writes descriptors `AT` and the next three of these.
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
pub(crate) fn store_four<const AT: usize, const N: usize>(to: &[Desc; N], v: __m512i) {
    const { assert!(AT + 4 <= N) };
    // SAFETY: as in `store_one`.
    unsafe {
        asm!("vmovdqu64 zmmword ptr [{p} + {at}], {v}",
            v = in(zmm_reg) v, p = in(reg) to, at = const 16 * AT,
            options(nostack, preserves_flags))
    }
}
