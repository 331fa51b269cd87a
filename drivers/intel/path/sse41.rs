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

/// Whether no word of any is greater than its limit.
#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
fn within(limit: __m128i, all: [__m128i; 4]) -> bool {
    let [a, b, c, d] = all.map(|v| _mm_cmpeq_epi32(_mm_min_epu32(v, limit), v));
    let all = _mm_and_si128(_mm_and_si128(a, b), _mm_and_si128(c, d));
    _mm_movemask_epi8(all) == 0xffff
}

#[inline]
#[target_feature(enable = "sse4.1,ssse3")]
fn sum(all: [__m128i; 4]) -> __m128i {
    let [a, b, c, d] = all;
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
        let all = [
            load_one::<0, 4>(from),
            load_one::<1, 4>(from),
            load_one::<2, 4>(from),
            load_one::<3, 4>(from),
        ];
        let seen = all.map(|d| _mm_and_si128(d, look));
        if !within(limit, seen.map(|d| _mm_add_epi32(d, bias))) {
            break;
        }
        lengths = _mm_add_epi32(lengths, sum(seen));
        for ((d, id), to) in all.into_iter().zip(ids).zip(to) {
            let words = _mm_shuffle_epi8(d, order);
            let types = _mm_madd_epi16(_mm_and_si128(words, keep), scale);
            let words = _mm_blend_epi16::<0b1100_0000>(words, types);
            let name = _mm_cvtsi32_si128(*id as i32);
            let words = _mm_or_si128(words, _mm_or_si128(name, start));
            // SAFETY: `to` are 16 bytes to write.
            unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), words) };
        }
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
        let all = from.each_ref().map(|words| load(words));
        let seen = all.map(|handle| _mm_and_si128(handle, look));
        if !within(limit, seen.map(|handle| _mm_add_epi32(handle, bias))) {
            break;
        }
        lengths = _mm_add_epi32(lengths, sum(seen));
        let descriptor = |i: usize| {
            let products = _mm_madd_epi16(_mm_shuffle_epi8(all[i], order), scale);
            _mm_add_epi64(pair(table, &from[i][0]), products)
        };
        store_one::<0, 4>(to, descriptor(0));
        store_one::<1, 4>(to, descriptor(1));
        store_one::<2, 4>(to, descriptor(2));
        store_one::<3, 4>(to, descriptor(3));
        *ids = from.map(|words| words[0]);
        n += 4;
    }
    (n, u64::from(_mm_extract_epi32::<1>(lengths) as u32))
}
