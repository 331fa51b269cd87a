//! The ordering rules: the device is told of descriptors only after they were written, and what
//! it wrote is read only after its word that it did.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::arch::barriers;

/// What the device found when its doorbell rang.
#[derive(Debug, Default)]
struct Seen {
    rings: AtomicU64,
    descriptors: AtomicU64,
}

impl Seen {
    fn get(&self) -> (u64, u64) {
        (self.rings.load(Ordering::Relaxed), self.descriptors.load(Ordering::Relaxed))
    }
}

/// Looks at the ring like the device, at once when the doorbell rings: everything below the tail
/// must satisfy `written`, and one release must have come since the last time.
fn watch(rig: &Rig, written: fn(u64, u64) -> bool) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let (ring, log) = (rig.ring.clone(), seen.clone());
    let mut releases = barriers().0;
    *rig.bar.0.watch.lock().unwrap() = Some(Box::new(move |from, to| {
        let descriptors = ring.descriptors();
        let size = descriptors.len();
        assert!(to < size && from != to, "tail from {from} to {to}");
        let mut at = from;
        while at != to {
            let [w0, w1] = descriptors[at].each_ref().map(|w| w.load(Ordering::Relaxed));
            assert!(written(w0, w1), "descriptor {at} below tail {to}: {w0:#x} {w1:#x}");
            log.descriptors.fetch_add(1, Ordering::Relaxed);
            at = (at + 1) % size;
        }
        assert_eq!(barriers().0 - releases, 1, "releases for one doorbell");
        releases = barriers().0;
        log.rings.fetch_add(1, Ordering::Relaxed);
    }));
    seen
}

fn ours(address: u64) -> bool {
    (FAR..FAR + CHUNK as u64).contains(&address)
}

#[test]
fn rx_posts_descriptors_before_their_doorbell_and_reads_after_an_acquire() {
    for size in [64, 72, 128] {
        let mut rig = Rig::new(size);
        let seen = watch(&rig, |address, status| ours(address) && status == 0);
        let mut q = rig.rx(9022);
        assert_eq!(seen.get(), (1, u64::from(size) - 1));
        let (mut out, mut next) = (Batch::new(32), 0);
        for round in 0..200 {
            // Nothing there, nothing posted.
            let rung = seen.get();
            assert_eq!(q.rx_burst(&mut rig.cache, &mut out), 0);
            assert_eq!(seen.get(), rung);
            // Plain packets, packets of two descriptors, damaged ones, packets of no bytes.
            let n = 1 + round % 20;
            for i in 0..n {
                let at = (next + i) % usize::from(size);
                match round / 20 % 4 {
                    1 if i % 2 == 0 && i + 1 < n => rig.write_back(at, 0, 0x1 | 2048 << 32),
                    2 => rig.write_back(at, 0, 0x3 | 1 << 29 | 60 << 32),
                    3 if i % 3 == 0 => rig.good(at, 0),
                    _ => rig.good(at, 60),
                }
            }
            next = (next + n) % usize::from(size);
            let before = barriers().1;
            q.rx_burst(&mut rig.cache, &mut out);
            assert!(barriers().1 > before, "size {size}, round {round}: no acquire");
            assert_eq!(q.backlog(), 0);
            rig.cache.free_batch(&mut out);
        }
        let (rings, descriptors) = seen.get();
        assert_eq!(rings, rig.rings() as u64);
        assert!(descriptors > 1000, "{descriptors}");
        drop((out, q));
        all_back(rig);
    }
}

#[test]
fn tx_posts_descriptors_before_their_doorbell_and_reclaims_after_an_acquire() {
    for size in [64usize, 72, 256] {
        let mut rig = Rig::new(size as u16);
        // DEXT, and not done: neither an empty descriptor nor one of the last round.
        let posted = |address, command| ours(address) && command & (1 << 29 | 1 << 32) == 1 << 29;
        let mut q: TxRing<Tails, Flavor82599> = TxRing::new(rig.setup(9022)).unwrap();
        let mut own = rig.pool.cache();
        let seen = watch(&rig, posted);
        let mut reclaimed = 0;
        for round in 0..200 {
            let mut b = Batch::new(24);
            for i in 0..1 + round % 20 {
                let mut m = rig.packet(60);
                if round % 3 == 1 && i % 4 == 0 {
                    m.chain(rig.packet(61));
                    m.chain(rig.packet(62));
                }
                b.push(m).unwrap();
            }
            let (rung, from) = (seen.get(), rig.tail());
            assert!(q.tx_burst(&mut own, &mut b) > 0, "size {size}, round {round}");
            let posted = (rig.tail() + size - from) % size;
            assert_eq!(seen.get(), (rung.0 + 1, rung.1 + posted as u64), "one doorbell a burst");
            // All that was asked for is reported, as a done descriptor with nothing else in it.
            for i in (from..from + posted).map(|i| i % size) {
                let done = if rig.word(2 * i + 1) & 1 << 27 != 0 { 1 << 32 } else { 0 };
                rig.write_back(i, 0, done);
            }
            let before = barriers();
            let n = q.reclaim(&mut own);
            assert_eq!(n > 0, barriers().1 > before.1, "size {size}, round {round}: {n} taken");
            assert_eq!(barriers().0, before.0);
            reclaimed += n;
        }
        assert!(reclaimed > 1000, "{reclaimed}");
        drop((q, own));
        all_back(rig);
    }
}
