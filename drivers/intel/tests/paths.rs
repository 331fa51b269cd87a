//! Every path on random rings, against what is written down here once more, bit for bit: so all
//! are equal to the scalar one, and that is right. A million rings in all, most of them of plain
//! packets with something special at any place of a vector.

use fastrand::Rng;

use super::super::path::{Desc, RxPath, RxSetup, TxPath};
use super::*;
use crate::arch::plain_names;
use crate::mem::{Geometry, NAMED_CHUNKS, name};
use crate::pool::{CHAIN, Harvest, Post, Words};
use crate::port::DataPath;

/// Rings of one set-up: making a path's table takes longer than a ring.
const RINGS_A_BLOCK: u32 = if cfg!(miri) { 2 } else { 500 };
const HARVESTED: u32 = 400_000;
const REFILLED: u32 = 200_000;
const POSTED: u32 = 400_000;
/// Longest run: more than eight groups of the widest path, and a rest.
const LONGEST: usize = 70;
/// What nobody wrote to.
const UNTOUCHED: u32 = 0xa5a5_5a5a;
const UNTOUCHED_WORD: u64 = 0xa5a5_5a5a_a5a5_5a5a;

/// Runs as many blocks as `rings` take. A failure's last line of output says how to have just that
/// block first.
fn blocks(rings: u32, mut block: impl FnMut(&mut Rng)) {
    let seed = match std::env::var("BAREWIRE_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => fastrand::u64(..1 << 48),
    };
    let blocks = if cfg!(miri) { 1 } else { u64::from(rings / RINGS_A_BLOCK) };
    for seed in seed..seed + blocks {
        println!("BAREWIRE_SEED={seed}");
        block(&mut Rng::with_seed(seed));
    }
}

fn choices() -> impl Iterator<Item = PathChoice> {
    DataPath::supported().map(|path| PathChoice::new(Some(path)).unwrap())
}

/// A pool's run of chunks at device addresses in any order.
struct Chunks {
    first: u32,
    at: Vec<u64>,
}

impl Chunks {
    fn new(dice: &mut Rng) -> Self {
        let count = dice.u32(1..=9);
        let last = NAMED_CHUNKS as u32 - count;
        let first = if dice.u8(..8) == 0 { last } else { dice.u32(1..last) };
        // A processor's physical addresses have at most 52 bits.
        let at = (0..count).map(|_| dice.u64(..1 << 31) * CHUNK as u64).collect();
        Self { first, at }
    }

    /// A slot's name.
    fn slot(&self, dice: &mut Rng) -> u32 {
        let chunk = self.first + dice.u32(..self.at.len() as u32);
        let line = match dice.u8(..16) {
            0 => 0,
            1 => CHUNK as u32 / 64 - 1,
            _ => dice.u32(..CHUNK as u32 / 64),
        };
        name(chunk, line)
    }

    /// Where the device finds it.
    fn address(&self, id: u32) -> u64 {
        self.at[(id >> 17) as usize - self.first as usize] + 64 * u64::from(id & 0x1_ffff)
    }

    fn has(&self, id: u32) -> bool {
        (id >> 17).checked_sub(self.first).is_some_and(|n| (n as usize) < self.at.len())
    }

    /// The name of a slot of another pool, some of chunks next to these.
    fn foreign(&self, dice: &mut Rng) -> u32 {
        let end = self.first + self.at.len() as u32;
        let chunk = match dice.u8(..4) {
            0 => self.first - 1,
            1 if end < NAMED_CHUNKS as u32 => end,
            _ => dice.u32(..NAMED_CHUNKS as u32),
        };
        name(chunk, dice.u32(..CHUNK as u32 / 64))
    }
}

/// Whether a path's vector loop took all whole groups of `n` plain ones.
fn all_groups(path: DataPath, taken: usize, n: usize) -> bool {
    let group = match path {
        DataPath::Scalar => return taken == 0,
        DataPath::Avx512 => 8,
        _ => 4,
    };
    taken <= n && n - taken < group
}

/// Where special ones are in a run: often nowhere or at one place, sometimes anywhere.
struct Odd {
    at: [usize; 2],
    one_in: u8,
}

impl Odd {
    fn new(dice: &mut Rng) -> Self {
        let at = [dice.usize(..LONGEST), dice.usize(..3 * LONGEST)];
        let one_in = if dice.u8(..4) == 0 { dice.u8(1..=16) } else { 0 };
        Self { at, one_in }
    }

    fn is_at(&self, dice: &mut Rng, i: usize) -> bool {
        self.at.contains(&i) || self.one_in > 0 && dice.u8(..self.one_in) == 0
    }
}

/// Lengths of slices: mostly a ring has enough of all, and one of them ends first.
fn lengths<const N: usize>(dice: &mut Rng) -> [usize; N] {
    let mut all = [dice.usize(..=LONGEST); N];
    if dice.bool() {
        all[dice.usize(..N)] = dice.usize(..=LONGEST);
    }
    all
}

fn untouched() -> Vec<Desc> {
    (0..LONGEST).map(|_| [AtomicU64::new(UNTOUCHED_WORD), AtomicU64::new(UNTOUCHED_WORD)]).collect()
}

fn set(d: &Desc, [w0, w1]: [u64; 2]) {
    d[0].store(w0, Ordering::Relaxed);
    d[1].store(w1, Ordering::Relaxed);
}

fn get(d: &Desc) -> [u64; 2] {
    [d[0].load(Ordering::Relaxed), d[1].load(Ordering::Relaxed)]
}

/// Any write-back of a plain packet: RSS hash, types; tag, length, no error, any other status.
fn plain(dice: &mut Rng, room: u16) -> [u64; 2] {
    let w1 = dice.u64(..) & !(0b111 << 29) & !(0xffff << 32);
    [dice.u64(..), w1 | 0b11 | u64::from(dice.u16(1..=room)) << 32]
}

/// One that is not plain, or that just is.
fn special(dice: &mut Rng, room: u16) -> [u64; 2] {
    let [w0, w1] = plain(dice, room);
    let of_length = |len: u16| w1 & !(0xffff << 32) | u64::from(len) << 32;
    let w1 = match dice.u8(..14) {
        0 => w1 & !0b01,
        1 => w1 & !0b10,
        2 => w1 & !0b11,
        // Damage and both checksums, in either family's order.
        bit @ 3..=5 => w1 | 1 << (26 + bit),
        6 => of_length(0),
        7 => of_length(1),
        8 => of_length(room),
        9 => of_length(room + 1),
        10 => of_length(u16::MAX),
        11 => w1 | 0x8000 << 32,
        12 => 0,
        _ => dice.u64(..),
    };
    [w0, w1]
}

fn is_plain(w1: u64, room: u16) -> bool {
    w1 & 0b11 == 0b11
        && w1 >> 29 & 0b111 == 0
        && (1..=u64::from(room)).contains(&(w1 >> 32 & 0xffff))
}

/// What a handle must be: see `Words`.
fn handle(id: u32, [w0, w1]: [u64; 2], geometry: Geometry, strip: bool) -> Words {
    let status = |bit: u32| (w1 >> bit) as u32 & 1;
    let flags = (u32::from(strip) & status(3)) << 12 | status(5) << 14 | status(6) << 15;
    let info = u32::from(geometry.headroom()) << 16 | flags | w0 as u32 & 0x7ff;
    [id, (w1 >> 32) as u32, (w0 >> 32) as u32, info]
}

fn geometry(dice: &mut Rng) -> Geometry {
    Geometry::new(dice.u16(0..=16) * 64, dice.u16(2..=15) * 1024).unwrap()
}

fn rx_paths(chunks: &Chunks, geometry: Geometry, strip: bool) -> Vec<RxPath> {
    let setup = RxSetup {
        special: 0b111 << 29,
        kept: RxDesc::L4CS | RxDesc::IPCS | if strip { RxDesc::VP } else { 0 },
        geometry,
        first_chunk: chunks.first,
        chunks: &chunks.at,
    };
    choices().map(|choice| RxPath::new(choice, &setup)).collect()
}

#[test]
fn all_paths_harvest_the_same() {
    let ring = untouched();
    let mut ids = [0; LONGEST];
    let mut places = [[0; 4]; LONGEST];
    let (mut full, mut some, mut none) = (0, 0, 0);
    blocks(HARVESTED, |dice| {
        let (geometry, strip) = (geometry(dice), dice.bool());
        let room = geometry.room();
        let chunks = Chunks::new(dice);
        let paths = rx_paths(&chunks, geometry, strip);
        for _ in 0..RINGS_A_BLOCK {
            let [descriptors, names, to, most] = lengths(dice);
            let odd = Odd::new(dice);
            let mut words = [[0; 2]; LONGEST];
            for i in 0..LONGEST.min(descriptors + 8) {
                words[i] = if odd.is_at(dice, i) { special(dice, room) } else { plain(dice, room) };
                set(&ring[i], words[i]);
                ids[i] = chunks.slot(dice);
            }
            let all = descriptors.min(names).min(to).min(most);
            let n = words[..all].iter().take_while(|[_, w1]| is_plain(*w1, room)).count();
            let bytes: u64 = words[..n].iter().map(|[_, w1]| w1 >> 32 & 0xffff).sum();
            *(if n == all {
                &mut full
            } else if n > 0 {
                &mut some
            } else {
                &mut none
            }) += 1;
            for path in &paths {
                let what = path.choice();
                places[..LONGEST].fill([UNTOUCHED; 4]);
                let (ring, ids) = (&ring[..descriptors], &ids[..names]);
                let got = path.harvest(ring, ids, &mut places[..to], most);
                assert_eq!(got, (n, bytes), "{what}");
                for i in 0..n {
                    let wanted = handle(ids[i], words[i], geometry, strip);
                    assert_eq!(places[i], wanted, "{what}: place {i} of {n}");
                }
                let beyond = places[all..].iter().position(|p| *p != [UNTOUCHED; 4]);
                assert_eq!(beyond, None, "{what}: behind {all}");
                let taken = path.harvested(&ring[..all], ids, &mut places);
                assert!(all_groups(what.path, taken, n), "{what}: {taken} of {n}");
            }
            let changed = (0..descriptors).find(|i| get(&ring[*i]) != words[*i]);
            assert_eq!(changed, None, "reading changes nothing");
        }
    });
    assert!(cfg!(miri) || full > 10_000 && some > 10_000 && none > 1_000, "{full} {some} {none}");
}

#[test]
fn all_paths_refill_the_same() {
    let ring = untouched();
    let mut ids = [0; LONGEST];
    blocks(REFILLED, |dice| {
        let geometry = geometry(dice);
        let chunks = Chunks::new(dice);
        let paths = rx_paths(&chunks, geometry, dice.bool());
        for _ in 0..RINGS_A_BLOCK {
            let (start, n) = (dice.usize(..4), dice.usize(..=LONGEST - 4));
            ids[..n].fill_with(|| chunks.slot(dice));
            for path in &paths {
                let (ids, to) = (&ids[..n], &ring[start..start + n]);
                let taken = path.refilled(ids, to);
                assert!(all_groups(path.choice().path, taken, n), "{}", path.choice());
                ring.iter().for_each(|d| set(d, [UNTOUCHED_WORD; 2]));
                path.refill(ids, to);
                for (i, d) in ring.iter().enumerate() {
                    let wanted = if (start..start + n).contains(&i) {
                        [chunks.address(ids[i - start]) + u64::from(geometry.headroom()), 0]
                    } else {
                        [UNTOUCHED_WORD; 2]
                    };
                    assert_eq!(get(d), wanted, "{}: descriptor {i}", path.choice());
                }
            }
        }
    });
}

/// A packet in one buffer of the pool.
fn sendable(dice: &mut Rng, chunks: &Chunks, longest: u16) -> Words {
    let id = chunks.slot(dice);
    let offset = match dice.u8(..8) {
        0 => 0,
        // The end of the largest buffer.
        1 => 1024 + 15 * 1024,
        _ => dice.u16(..2048),
    };
    // Tag, flags and types are whatever the packet came with.
    let size = dice.u32(..) & !0xffff | u32::from(dice.u16(17..=longest));
    let info = dice.u32(..) & 0xffff | u32::from(offset) << 16;
    [id, size, dice.u32(..), info]
}

/// A packet that is not, or that just is.
fn odd_packet(dice: &mut Rng, chunks: &Chunks, longest: u16) -> Words {
    let mut words = sendable(dice, chunks, longest);
    let mut of_length = |len: u16| words[1] = words[1] & !0xffff | u32::from(len);
    match dice.u8(..10) {
        0 => of_length(0),
        1 => of_length(16),
        2 => of_length(17),
        3 => of_length(longest),
        4 => of_length((longest + 1).min(0x7fff)),
        5 => of_length(0x7fff),
        6 => of_length(dice.u16(..0x8000)),
        7 => words[1] |= CHAIN,
        _ => words[0] = chunks.foreign(dice),
    }
    words
}

#[test]
fn all_paths_post_the_same() {
    let ring = untouched();
    let mut ids = [0; LONGEST];
    let (mut full, mut some, mut none) = (0, 0, 0);
    blocks(POSTED, |dice| {
        let chunks = Chunks::new(dice);
        let frames = [17, 60, 1522, 9022, 15_872, 0x7fff, u16::MAX];
        let max_frame = frames[dice.usize(..frames.len())];
        let longest = max_frame.min(0x7fff);
        let path = |choice| TxPath::new(choice, chunks.first, &chunks.at, max_frame);
        let paths: Vec<TxPath> = choices().map(path).collect();
        for _ in 0..RINGS_A_BLOCK {
            let [packets, descriptors, names, most] = lengths(dice);
            let odd = Odd::new(dice);
            let mut words = [[0; 4]; LONGEST];
            for (i, packet) in words.iter_mut().enumerate() {
                *packet = if odd.is_at(dice, i) {
                    odd_packet(dice, &chunks, longest)
                } else {
                    sendable(dice, &chunks, longest)
                };
            }
            let len = |packet: &Words| packet[1] as u16;
            let goes = |p: &&Words| chunks.has(p[0]) && (17..=longest).contains(&len(p));
            let all = packets.min(descriptors).min(names).min(most);
            let n = words[..all].iter().take_while(goes).count();
            let bytes: u64 = words[..n].iter().map(|p| u64::from(len(p))).sum();
            *(if n == all {
                &mut full
            } else if n > 0 {
                &mut some
            } else {
                &mut none
            }) += 1;
            let descriptor = |i: usize| {
                let len = len(&words[i]);
                let address = chunks.address(words[i][0]) + u64::from(words[i][3] >> 16);
                [address, TxDesc::data(len, len.into(), TxDesc::EOP)]
            };
            for path in &paths {
                let what = path.choice();
                ring.iter().for_each(|d| set(d, [UNTOUCHED_WORD; 2]));
                ids.fill(UNTOUCHED);
                let (to, names) = (&ring[..descriptors], &mut ids[..names]);
                let got = path.post(&words[..packets], to, names, most);
                assert_eq!(got, (n, bytes), "{what}");
                for i in 0..n {
                    assert_eq!(get(&ring[i]), descriptor(i), "{what}: descriptor {i} of {n}");
                    assert_eq!(ids[i], words[i][0], "{what}: name {i} of {n}");
                }
                // Entries up to `all` are free, but behind the tail no descriptor is written.
                let beyond = (n..LONGEST).find(|i| {
                    let entry = *i >= all && ids[*i] != UNTOUCHED;
                    entry || get(&ring[*i]) != [UNTOUCHED_WORD; 2]
                });
                assert_eq!(beyond, None, "{what}: behind {n}");
                let taken = path.posted(&words[..all], &ring, &mut ids);
                assert!(all_groups(what.path, taken, n), "{what}: {taken} of {n}");

                let last = &ring[LONGEST - 1];
                set(last, [UNTOUCHED_WORD; 2]);
                let one = goes(&&words[0]);
                let sent = one.then(|| u64::from(len(&words[0])));
                assert_eq!(path.post_one(&words[0], last), sent, "{what}");
                let wanted = if one { descriptor(0) } else { [UNTOUCHED_WORD; 2] };
                assert_eq!(get(last), wanted, "{what}");
            }
        }
    });
    assert!(cfg!(miri) || full > 10_000 && some > 10_000 && none > 1_000, "{full} {some} {none}");
}

#[test]
fn four_plain_names_are_found_as_one_at_a_time() {
    let (mut found, mut missed) = (0, 0);
    blocks(if cfg!(miri) { 2 } else { 100_000 }, |dice| {
        let chunks = Chunks::new(dice);
        let range = name(chunks.first, 0)..name(chunks.first + chunks.at.len() as u32 - 1, 32_767);
        for _ in 0..RINGS_A_BLOCK {
            let mut four = [[0; 4]; 4];
            for words in &mut four {
                *words = [chunks.slot(dice), dice.u32(..), dice.u32(..), dice.u32(..)];
                words[1] &= !CHAIN;
            }
            let odd = &mut four[dice.usize(..4)];
            match dice.u8(..8) {
                0 => odd[0] = chunks.foreign(dice),
                1 => odd[0] = range.start,
                2 => odd[0] = range.start - 1,
                3 => odd[0] = range.end - 1,
                4 => odd[0] = range.end,
                5 => odd[1] |= CHAIN,
                6 => odd[0] = dice.u32(..),
                _ => {}
            }
            let plain = four.iter().all(|w| range.contains(&w[0]) && w[1] & CHAIN == 0);
            let wanted = plain.then(|| four.map(|w| w[0]));
            assert_eq!(plain_names(&four, &range), wanted, "{four:x?} in {range:x?}");
            *(if plain { &mut found } else { &mut missed }) += 1;
        }
    });
    assert!(cfg!(miri) || found > 1_000 && missed > 1_000, "{found} {missed}");
}
