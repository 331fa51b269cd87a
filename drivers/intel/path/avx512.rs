//! Eight descriptors at a time, four to a register of 512 bits.

use core::arch::x86_64::*;

use super::{Desc, RX_ORDER, RxWords, TX_ORDER, Table, TxWords, group, group_mut};
use crate::arch::vector::{load_four, store_four};
use crate::pool::Words;

super::witness!(Avx512, "avx512f", "avx512bw", "avx512vl", "avx2");

/// Word 0 of each quarter, and word 3.
const FIRST: u16 = 0x1111;
const LAST: u16 = 0x8888;

/// The same four words in each quarter.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn four_times(words: &Words) -> __m512i {
    // SAFETY: `words` are 16 bytes to read.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(words.as_ptr().cast()) })
}

/// The sum of word `N` of all quarters.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn sum<const N: i32>(of: __m512i) -> u64 {
    let half = _mm256_add_epi32(_mm512_castsi512_si256(of), _mm512_extracti64x4_epi64::<1>(of));
    let both = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
    u64::from(_mm_extract_epi32::<N>(both) as u32)
}

/// Whether no word of either is greater than its limit.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn within(limit: __m512i, a: __m512i, b: __m512i) -> bool {
    let (a, b) = (_mm512_cmpgt_epu32_mask(a, limit), _mm512_cmpgt_epu32_mask(b, limit));
    _mm512_kortestz(a, b) != 0
}

/// Eight names, four for the first word of each quarter of two registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn spread(names: &[u32; 8]) -> [__m512i; 2] {
    // SAFETY: there are 32 bytes of names to read.
    let names = _mm512_castsi256_si512(unsafe { _mm256_loadu_si256(names.as_ptr().cast()) });
    let low = _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0);
    let high = _mm512_setr_epi32(4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0);
    [
        _mm512_maskz_permutexvar_epi32(FIRST, low, names),
        _mm512_maskz_permutexvar_epi32(FIRST, high, names),
    ]
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn harvest(
    with: &RxWords,
    from: *const Desc,
    ids: *const u32,
    to: *mut Words,
    most: usize,
) -> (usize, u64) {
    let (look, bias) = (four_times(&with.look), four_times(&with.bias));
    let (limit, keep) = (four_times(&with.limit), four_times(&with.keep));
    let (scale, start) = (four_times(&with.scale), four_times(&with.start));
    let order = four_times(&RX_ORDER);
    let handles = |descriptors, names| {
        let words = _mm512_shuffle_epi8(descriptors, order);
        let types = _mm512_and_si512(words, keep);
        let words = _mm512_mask_madd_epi16(words, LAST, types, scale);
        // Or of all three.
        _mm512_ternarylogic_epi32::<0xfe>(words, names, start)
    };
    let mut lengths = _mm512_setzero_si512();
    let most = most / 8 * 8;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let from: &[Desc; 8] = unsafe { group(from, n) };
        // SAFETY: as before.
        let ids: &[u32; 8] = unsafe { group(ids, n) };
        // SAFETY: as before.
        let to: &mut [Words; 8] = unsafe { group_mut(to, n) };
        let (a, b) = (load_four::<0, 8>(from), load_four::<4, 8>(from));
        let (seen_a, seen_b) = (_mm512_and_si512(a, look), _mm512_and_si512(b, look));
        if !within(limit, _mm512_add_epi32(seen_a, bias), _mm512_add_epi32(seen_b, bias)) {
            break;
        }
        lengths = _mm512_add_epi32(lengths, _mm512_add_epi32(seen_a, seen_b));
        let [low, high] = spread(ids);
        let to: *mut Words = to.as_mut_ptr();
        // SAFETY: there are 128 bytes to write from `to` on.
        unsafe { _mm512_storeu_si512(to.cast(), handles(a, low)) };
        // SAFETY: this is their second half.
        unsafe { _mm512_storeu_si512(to.wrapping_add(4).cast(), handles(b, high)) };
        n += 8;
    }
    (n, sum::<3>(lengths))
}

/// What four descriptors start from.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn pairs(table: &Table, names: [&u32; 4]) -> __m512i {
    // SAFETY: a pair is 16 bytes to read.
    let pair = |name| unsafe { _mm_loadu_si128(table.at(name).cast()) };
    let [a, b, c, d] = names;
    let pairs = _mm512_castsi128_si512(pair(a));
    let pairs = _mm512_inserti32x4::<1>(pairs, pair(b));
    let pairs = _mm512_inserti32x4::<2>(pairs, pair(c));
    _mm512_inserti32x4::<3>(pairs, pair(d))
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn refill(table: &Table, ids: *const u32, to: *const Desc, most: usize) -> usize {
    let scale = four_times(&[64, 0, 0, 0]);
    let most = most / 8 * 8;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let ids: &[u32; 8] = unsafe { group(ids, n) };
        // SAFETY: as before.
        let to: &[Desc; 8] = unsafe { group(to, n) };
        let [low, high] = spread(ids);
        let bytes = |names| _mm512_madd_epi16(names, scale);
        let [a, b, c, d, e, f, g, h] = ids;
        store_four::<0, 8>(to, _mm512_add_epi64(pairs(table, [a, b, c, d]), bytes(low)));
        store_four::<4, 8>(to, _mm512_add_epi64(pairs(table, [e, f, g, h]), bytes(high)));
        n += 8;
    }
    n
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn post(
    with: &TxWords,
    table: &Table,
    from: *const Words,
    to: *const Desc,
    ids: *mut u32,
    most: usize,
) -> (usize, u64) {
    let (look, bias) = (four_times(&with.look), four_times(&with.bias));
    let (limit, scale) = (four_times(&with.limit), four_times(&with.scale));
    let order = four_times(&TX_ORDER);
    // Word 0 of each quarter, first of one register, then of the other.
    let in_order = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 0, 0, 0, 0, 0, 0, 0);
    let products = |handles| _mm512_madd_epi16(_mm512_shuffle_epi8(handles, order), scale);
    let mut lengths = _mm512_setzero_si512();
    let most = most / 8 * 8;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let from: &[Words; 8] = unsafe { group(from, n) };
        // SAFETY: as before.
        let to: &[Desc; 8] = unsafe { group(to, n) };
        // SAFETY: as before.
        let ids: &mut [u32; 8] = unsafe { group_mut(ids, n) };
        let handles: *const Words = from.as_ptr();
        // SAFETY: there are 128 bytes of handles to read.
        let a = unsafe { _mm512_loadu_si512(handles.cast()) };
        // SAFETY: this is their second half.
        let b = unsafe { _mm512_loadu_si512(handles.wrapping_add(4).cast()) };
        let (seen_a, seen_b) = (_mm512_and_si512(a, look), _mm512_and_si512(b, look));
        if !within(limit, _mm512_add_epi32(seen_a, bias), _mm512_add_epi32(seen_b, bias)) {
            break;
        }
        lengths = _mm512_add_epi32(lengths, _mm512_add_epi32(seen_a, seen_b));
        let [i, j, k, l, o, p, q, r] = from;
        store_four::<0, 8>(
            to,
            _mm512_add_epi64(pairs(table, [&i[0], &j[0], &k[0], &l[0]]), products(a)),
        );
        store_four::<4, 8>(
            to,
            _mm512_add_epi64(pairs(table, [&o[0], &p[0], &q[0], &r[0]]), products(b)),
        );
        let names = _mm512_castsi512_si256(_mm512_permutex2var_epi32(a, in_order, b));
        // SAFETY: there are 32 bytes of names to write.
        unsafe { _mm256_storeu_si256(ids.as_mut_ptr().cast(), names) };
        n += 8;
    }
    (n, sum::<1>(lengths))
}
