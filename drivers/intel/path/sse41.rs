//! Four descriptors at a time, one to a register of 128 bits.

use core::arch::x86_64::*;

use super::{Desc, RX_ORDER, RxWords, TX_ORDER, Table, TxWords, group, group_mut};
use crate::arch::vector::{load_one, store_one};
use crate::pool::Words;

super::witness!(Sse41, "sse4.1", "ssse3");

#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
fn load(words: &Words) -> __m128i {
    // SAFETY: `words` are 16 bytes to read.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

/// The greatest of each word.
#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
fn greatest(a: __m128i, b: __m128i, c: __m128i, d: __m128i) -> __m128i {
    _mm_max_epu32(_mm_max_epu32(a, b), _mm_max_epu32(c, d))
}

/// Whether no word is greater than its limit.
#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
fn within(limit: __m128i, words: __m128i) -> bool {
    let over = _mm_xor_si128(words, _mm_min_epu32(words, limit));
    _mm_testz_si128(over, over) == 1
}

#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
fn sum(a: __m128i, b: __m128i, c: __m128i, d: __m128i) -> __m128i {
    _mm_add_epi32(_mm_add_epi32(a, b), _mm_add_epi32(c, d))
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn harvest(
    with: &RxWords,
    from: *const Desc,
    ids: *const u32,
    to: *mut Words,
    most: usize,
) -> (usize, u64) {
    let (look, bias, limit) = (load(&with.look), load(&with.bias), load(&with.limit));
    let (keep, scale, start) = (load(&with.keep), load(&with.scale), load(&with.start));
    let order = load(&RX_ORDER);
    let mut lengths = _mm_setzero_si128();
    let most = most / 4 * 4;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let from: &[Desc; 4] = unsafe { group(from, n) };
        // SAFETY: as before.
        let ids: &[u32; 4] = unsafe { group(ids, n) };
        // SAFETY: as before.
        let to: &mut [Words; 4] = unsafe { group_mut(to, n) };
        let (a, b) = (load_one::<0, 4>(from), load_one::<1, 4>(from));
        let (c, d) = (load_one::<2, 4>(from), load_one::<3, 4>(from));
        let seen = |d| _mm_and_si128(d, look);
        let over = |d| _mm_add_epi32(seen(d), bias);
        if !within(limit, greatest(over(a), over(b), over(c), over(d))) {
            break;
        }
        lengths = _mm_add_epi32(lengths, sum(seen(a), seen(b), seen(c), seen(d)));
        let mut write = |at: usize, d| {
            let words = _mm_shuffle_epi8(d, order);
            let types = _mm_madd_epi16(_mm_and_si128(words, keep), scale);
            let words = _mm_blend_epi16::<0b1100_0000>(words, types);
            let name = _mm_cvtsi32_si128(ids[at] as i32);
            let words = _mm_or_si128(words, _mm_or_si128(name, start));
            // SAFETY: these are 16 bytes to write.
            unsafe { _mm_storeu_si128(to[at].as_mut_ptr().cast(), words) };
        };
        write(0, a);
        write(1, b);
        write(2, c);
        write(3, d);
        n += 4;
    }
    (n, u64::from(_mm_extract_epi32::<3>(lengths) as u32))
}

/// What a descriptor starts from.
#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
fn pair(table: &Table, name: &u32) -> __m128i {
    // SAFETY: a pair is 16 bytes to read.
    unsafe { _mm_loadu_si128(table.at(name).cast()) }
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn refill(table: &Table, ids: *const u32, to: *const Desc, most: usize) -> usize {
    let scale = load(&[64, 0, 0, 0]);
    let descriptor = |name: &u32| {
        let bytes = _mm_madd_epi16(_mm_cvtsi32_si128(*name as i32), scale);
        _mm_add_epi64(pair(table, name), bytes)
    };
    let most = most / 4 * 4;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let ids: &[u32; 4] = unsafe { group(ids, n) };
        // SAFETY: as before.
        let to: &[Desc; 4] = unsafe { group(to, n) };
        store_one::<0, 4>(to, descriptor(&ids[0]));
        store_one::<1, 4>(to, descriptor(&ids[1]));
        store_one::<2, 4>(to, descriptor(&ids[2]));
        store_one::<3, 4>(to, descriptor(&ids[3]));
        n += 4;
    }
    n
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "sse4.1,ssse3")]
unsafe fn post(
    with: &TxWords,
    table: &Table,
    from: *const Words,
    to: *const Desc,
    ids: *mut u32,
    most: usize,
) -> (usize, u64) {
    let (look, bias, limit) = (load(&with.look), load(&with.bias), load(&with.limit));
    let (scale, order) = (load(&with.scale), load(&TX_ORDER));
    let mut lengths = _mm_setzero_si128();
    let most = most / 4 * 4;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let from: &[Words; 4] = unsafe { group(from, n) };
        // SAFETY: as before.
        let to: &[Desc; 4] = unsafe { group(to, n) };
        // SAFETY: as before.
        let ids: &mut [u32; 4] = unsafe { group_mut(ids, n) };
        let (a, b, c, d) = (load(&from[0]), load(&from[1]), load(&from[2]), load(&from[3]));
        let seen = |d| _mm_and_si128(d, look);
        let over = |d| _mm_add_epi32(seen(d), bias);
        if !within(limit, greatest(over(a), over(b), over(c), over(d))) {
            break;
        }
        lengths = _mm_add_epi32(lengths, sum(seen(a), seen(b), seen(c), seen(d)));
        let descriptor = |handle, name| {
            let products = _mm_madd_epi16(_mm_shuffle_epi8(handle, order), scale);
            _mm_add_epi64(pair(table, name), products)
        };
        store_one::<0, 4>(to, descriptor(a, &from[0][0]));
        store_one::<1, 4>(to, descriptor(b, &from[1][0]));
        store_one::<2, 4>(to, descriptor(c, &from[2][0]));
        store_one::<3, 4>(to, descriptor(d, &from[3][0]));
        // The first words of all four.
        let names = _mm_unpacklo_epi64(_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
        // SAFETY: there are 16 bytes of names to write.
        unsafe { _mm_storeu_si128(ids.as_mut_ptr().cast(), names) };
        n += 4;
    }
    (n, u64::from(_mm_extract_epi32::<1>(lengths) as u32))
}
