//! Four descriptors at a time, two to a register of 256 bits.

use core::arch::x86_64::*;

use super::{Desc, RX_ORDER, RxWords, TX_ORDER, Table, TxWords, group, group_mut};
use crate::arch::vector::{load_pair, store_pair};
use crate::pool::Words;

super::witness!(Avx2, "avx2");

/// The same four words in each half.
#[inline]
#[target_feature(enable = "avx2")]
fn twice(words: &Words) -> __m256i {
    // SAFETY: `words` are 16 bytes to read.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(words.as_ptr().cast()) })
}

/// A permutation of eight words. The compiler does not get to know it: it would take it for
/// something else that takes more instructions.
#[repr(C, align(32))]
struct Order([u32; 8]);

impl Order {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(&'static self) -> __m256i {
        let words: *const __m256i = self.0.as_ptr().cast();
        // SAFETY: these are 32 bytes to read, aligned.
        unsafe { words.read_volatile() }
    }
}

/// For the first two of four names, and for the last two: which word goes where, for a name in the
/// first word of each half and, where it matters, word 7 in its last.
static NAMES_LOW: Order = Order([0, 4, 4, 7, 1, 4, 4, 7]);
static NAMES_HIGH: Order = Order([2, 4, 4, 7, 3, 4, 4, 7]);
/// Where names 0 to 3 are after the first words of both halves of two registers were mixed.
static NAMES_MIXED: Order = Order([0, 4, 1, 5, 0, 0, 0, 0]);

/// The sum of word `N` of both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn sum<const N: i32>(of: __m256i) -> u64 {
    let both = _mm_add_epi32(_mm256_castsi256_si128(of), _mm256_extracti128_si256::<1>(of));
    u64::from(_mm_extract_epi32::<N>(both) as u32)
}

/// Whether no word of either is greater than its limit.
#[inline]
#[target_feature(enable = "avx2")]
fn within(limit: __m256i, a: __m256i, b: __m256i) -> bool {
    let a = _mm256_cmpeq_epi32(_mm256_min_epu32(a, limit), a);
    let b = _mm256_cmpeq_epi32(_mm256_min_epu32(b, limit), b);
    _mm256_movemask_epi8(_mm256_and_si256(a, b)) == -1
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "avx2")]
unsafe fn harvest(
    with: &RxWords,
    from: *const Desc,
    ids: *const u32,
    to: *mut Words,
    most: usize,
) -> (usize, u64) {
    let (look, bias, limit) = (twice(&with.look), twice(&with.bias), twice(&with.limit));
    let (keep, scale, start) = (twice(&with.keep), twice(&with.scale), twice(&with.start));
    let order = twice(&RX_ORDER);
    // Names 0 to 3 in the lower half; then zeros, and the headroom in word 7.
    let (low, high) = (NAMES_LOW.load(), NAMES_HIGH.load());
    let handles = |descriptors, names, which| {
        let words = _mm256_shuffle_epi8(descriptors, order);
        let types = _mm256_madd_epi16(_mm256_and_si256(words, keep), scale);
        let words = _mm256_blend_epi32::<0b1000_1000>(words, types);
        _mm256_or_si256(words, _mm256_permutevar8x32_epi32(names, which))
    };
    let mut lengths = _mm256_setzero_si256();
    let most = most / 4 * 4;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let from: &[Desc; 4] = unsafe { group(from, n) };
        // SAFETY: as before.
        let ids: &[u32; 4] = unsafe { group(ids, n) };
        // SAFETY: as before.
        let to: &mut [Words; 4] = unsafe { group_mut(to, n) };
        let (a, b) = (load_pair::<0, 4>(from), load_pair::<2, 4>(from));
        let (seen_a, seen_b) = (_mm256_and_si256(a, look), _mm256_and_si256(b, look));
        if !within(limit, _mm256_add_epi32(seen_a, bias), _mm256_add_epi32(seen_b, bias)) {
            break;
        }
        lengths = _mm256_add_epi32(lengths, _mm256_add_epi32(seen_a, seen_b));
        let to: *mut Words = to.as_mut_ptr();
        // SAFETY: there are 16 bytes of names to read.
        let names = unsafe { _mm_loadu_si128(ids.as_ptr().cast()) };
        let names = _mm256_inserti128_si256::<0>(start, names);
        let (a, b) = (handles(a, names, low), handles(b, names, high));
        // SAFETY: there are 64 bytes to write from `to` on.
        unsafe { _mm256_storeu_si256(to.cast(), a) };
        // SAFETY: this is their second half.
        unsafe { _mm256_storeu_si256(to.wrapping_add(2).cast(), b) };
        n += 4;
    }
    (n, sum::<3>(lengths))
}

/// What two descriptors start from.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs(table: &Table, first: &u32, second: &u32) -> __m256i {
    // SAFETY: a pair is 16 bytes to read.
    let first = unsafe { _mm_loadu_si128(table.at(first).cast()) };
    // SAFETY: as before.
    let second = unsafe { _mm_loadu_si128(table.at(second).cast()) };
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(first), second)
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "avx2")]
unsafe fn refill(table: &Table, ids: *const u32, to: *const Desc, most: usize) -> usize {
    let scale = twice(&[64, 0, 0, 0]);
    let (low, high) = (NAMES_LOW.load(), NAMES_HIGH.load());
    let most = most / 4 * 4;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let ids: &[u32; 4] = unsafe { group(ids, n) };
        // SAFETY: as before.
        let to: &[Desc; 4] = unsafe { group(to, n) };
        // SAFETY: there are 16 bytes of names to read.
        let names = unsafe { _mm_loadu_si128(ids.as_ptr().cast()) };
        let names = _mm256_castsi128_si256(names);
        let bytes = |which| _mm256_madd_epi16(_mm256_permutevar8x32_epi32(names, which), scale);
        let [a, b, c, d] = ids;
        store_pair::<0, 4>(to, _mm256_add_epi64(pairs(table, a, b), bytes(low)));
        store_pair::<2, 4>(to, _mm256_add_epi64(pairs(table, c, d), bytes(high)));
        n += 4;
    }
    n
}

/// # Safety
/// There are `most` of each; those that are written are nobody else's, but for descriptors.
#[target_feature(enable = "avx2")]
unsafe fn post(
    with: &TxWords,
    table: &Table,
    from: *const Words,
    to: *const Desc,
    ids: *mut u32,
    most: usize,
) -> (usize, u64) {
    let (look, bias, limit) = (twice(&with.look), twice(&with.bias), twice(&with.limit));
    let (scale, order) = (twice(&with.scale), twice(&TX_ORDER));
    let in_order = NAMES_MIXED.load();
    let products = |handles| _mm256_madd_epi16(_mm256_shuffle_epi8(handles, order), scale);
    let mut lengths = _mm256_setzero_si256();
    let most = most / 4 * 4;
    let mut n = 0;
    while n < most {
        // SAFETY: a whole group is left of each.
        let from: &[Words; 4] = unsafe { group(from, n) };
        // SAFETY: as before.
        let to: &[Desc; 4] = unsafe { group(to, n) };
        // SAFETY: as before.
        let ids: &mut [u32; 4] = unsafe { group_mut(ids, n) };
        let handles: *const Words = from.as_ptr();
        // SAFETY: there are 64 bytes of handles to read.
        let a = unsafe { _mm256_loadu_si256(handles.cast()) };
        // SAFETY: this is their second half.
        let b = unsafe { _mm256_loadu_si256(handles.wrapping_add(2).cast()) };
        let (seen_a, seen_b) = (_mm256_and_si256(a, look), _mm256_and_si256(b, look));
        if !within(limit, _mm256_add_epi32(seen_a, bias), _mm256_add_epi32(seen_b, bias)) {
            break;
        }
        lengths = _mm256_add_epi32(lengths, _mm256_add_epi32(seen_a, seen_b));
        let low = pairs(table, &from[0][0], &from[1][0]);
        store_pair::<0, 4>(to, _mm256_add_epi64(low, products(a)));
        let high = pairs(table, &from[2][0], &from[3][0]);
        store_pair::<2, 4>(to, _mm256_add_epi64(high, products(b)));
        let names = _mm256_permutevar8x32_epi32(_mm256_unpacklo_epi32(a, b), in_order);
        let names = _mm256_castsi256_si128(names);
        // SAFETY: there are 16 bytes of names to write.
        unsafe { _mm_storeu_si128(ids.as_mut_ptr().cast(), names) };
        n += 4;
    }
    (n, sum::<1>(lengths))
}
