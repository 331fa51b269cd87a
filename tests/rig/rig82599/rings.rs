//! One port's receive and transmit ring (82599 datasheet 7.1.6, 7.1.9, 7.2.3, 7.2.4), queue 0 only.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chip::{
    Chip, ENABLE, RDBAH, RDBAL, RDH, RDLEN, RDT, RXCTRL, RXDCTL, TDBAH, TDBAL, TDH, TDLEN, TDT,
    TXDCTL,
};
use crate::memory::Memory;

/// Bytes of a frame without FCS.
pub(crate) const FRAME: usize = 60;
/// RX write-back: done, end of packet.
const RECEIVED: u64 = 0b11;
/// TX: end of packet, report status, advanced descriptor, and its type.
const EOP: u64 = 1 << 24;
const RS: u64 = 1 << 27;
const DEXT: u64 = 1 << 29;
const DATA: u64 = 3 << 20;
/// TX write-back: done.
pub(crate) const SENT: u64 = 1 << 32;

/// A ring of the driver's, from the moment when its queue was enabled.
#[derive(Clone, Copy)]
pub(crate) struct Ring {
    pub(crate) descriptors: &'static [[AtomicU64; 2]],
    pub(crate) head: usize,
    tail: usize,
}

impl Ring {
    fn new(memory: &mut Memory, low: u32, high: u32, bytes: u32) -> Option<Self> {
        let base = u64::from(high) << 32 | u64::from(low);
        let descriptors = memory.ring(base, bytes as usize / 16).filter(|d| !d.is_empty())?;
        Some(Self { descriptors, head: 0, tail: 0 })
    }

    pub(crate) fn after(&self, at: usize, n: usize) -> usize {
        (at + n) % self.descriptors.len()
    }

    /// Descriptors that the device has.
    fn len(&self) -> usize {
        (self.tail + self.descriptors.len() - self.head) % self.descriptors.len()
    }
}

/// What a port has seen.
#[derive(Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) delivered: u64,
    pub(crate) sent: u64,
    pub(crate) rdt_writes: u64,
    pub(crate) tdt_writes: u64,
    /// Frames that left in another buffer than the next one that the other port filled.
    pub(crate) out_of_order: u64,
    /// Descriptors that make no sense, and frames of another length or content than expected.
    pub(crate) wrong: u64,
}

/// What becomes of a frame on its way through the driver's program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// It leaves on the other port as it came.
    Io,
    /// It leaves on the other port, its addresses swapped.
    Macswap,
    /// It stays.
    Rxonly,
    /// It comes from nowhere, and none are received.
    Generate,
}

impl Way {
    pub(crate) fn forwards(self) -> bool {
        matches!(self, Self::Io | Self::Macswap)
    }
}

#[derive(Default)]
pub(crate) struct Port {
    pub(crate) rx: Option<Ring>,
    pub(crate) tx: Option<Ring>,
    /// Buffers that were filled here and are to leave at the other port.
    pub(crate) filled: VecDeque<u64>,
    pub(crate) seen: Seen,
}

impl Port {
    /// Notices queues that were switched on or off.
    pub(crate) fn look(&mut self, chip: &Chip, memory: &mut Memory) {
        let open = chip.get(RXCTRL) & 1 != 0;
        match (chip.get(RXDCTL) & ENABLE != 0, self.rx) {
            (true, None) if open => {
                let (low, high) = (chip.get(RDBAL), chip.get(RDBAH));
                self.rx = Ring::new(memory, low, high, chip.get(RDLEN));
            }
            (false, Some(_)) => self.rx = None,
            _ => {}
        }
        match (chip.get(TXDCTL) & ENABLE != 0, self.tx) {
            (true, None) => {
                let (low, high) = (chip.get(TDBAL), chip.get(TDBAH));
                self.tx = Ring::new(memory, low, high, chip.get(TDLEN));
            }
            (false, Some(_)) => self.tx = None,
            _ => {}
        }
    }

    /// Reads both tails.
    #[inline]
    pub(crate) fn tails(&mut self, chip: &Chip) {
        if let Some(ring) = &mut self.rx {
            let tail = chip.get(RDT) as usize;
            self.seen.rdt_writes += u64::from(tail != ring.tail);
            ring.tail = tail.min(ring.descriptors.len() - 1);
        }
        if let Some(ring) = &mut self.tx {
            let tail = chip.get(TDT) as usize;
            self.seen.tdt_writes += u64::from(tail != ring.tail);
            ring.tail = tail.min(ring.descriptors.len() - 1);
        }
    }

    /// Frames that can be delivered.
    pub(crate) fn room(&self) -> usize {
        self.rx.map_or(0, |r| r.len())
    }

    /// Whether `tail` is `n` transmit descriptors after `from`.
    pub(crate) fn is_after(&self, from: u32, n: usize, tail: u32) -> bool {
        self.tx.is_some_and(|ring| ring.after(from as usize, n) == tail as usize)
    }

    /// Flushes the descriptors of the last `n` frames that were delivered or sent from all caches.
    pub(crate) fn flush(&self, n: usize) {
        for ring in [self.rx, self.tx].into_iter().flatten() {
            for i in 1..=n {
                let size = ring.descriptors.len();
                flush(&ring.descriptors[(ring.head + size - i) % size]);
            }
        }
    }

    /// Delivers up to `most` frames; with `touch` they have content.
    pub(crate) fn deliver(
        &mut self,
        chip: &Chip,
        memory: &mut Memory,
        most: usize,
        way: Way,
        touch: bool,
    ) -> usize {
        let Some(ring) = &mut self.rx else { return 0 };
        let n = ring.len().min(most);
        for _ in 0..n {
            let d = &ring.descriptors[ring.head];
            let buffer = d[0].load(Ordering::Acquire);
            if touch {
                memory.write(buffer, &frame(self.seen.delivered, false));
            }
            if way.forwards() {
                self.filled.push_back(buffer);
            }
            d[0].store(0, Ordering::Relaxed);
            d[1].store((FRAME as u64) << 32 | RECEIVED, Ordering::Release);
            ring.head = ring.after(ring.head, 1);
            self.seen.delivered += 1;
        }
        if n > 0 {
            chip.set(RDH, ring.head as u32);
        }
        n
    }

    /// Sends up to `most` of what waits. `other` filled the buffers.
    pub(crate) fn send(
        &mut self,
        chip: &Chip,
        memory: &mut Memory,
        other: &mut VecDeque<u64>,
        most: usize,
        way: Way,
        touch: bool,
    ) -> usize {
        let Some(ring) = &mut self.tx else { return 0 };
        let n = ring.len().min(most);
        for _ in 0..n {
            let d = &ring.descriptors[ring.head];
            let buffer = d[0].load(Ordering::Relaxed);
            let command = d[1].load(Ordering::Relaxed);
            let whole = DEXT | DATA | EOP;
            let bad = command & whole != whole || command as usize & 0xffff != FRAME;
            self.seen.wrong += u64::from(bad);
            if way.forwards() {
                self.seen.out_of_order += u64::from(other.pop_front() != Some(buffer));
                if touch {
                    let mut got = [0; FRAME];
                    memory.read(buffer, &mut got);
                    let expected = frame(self.seen.sent, way == Way::Macswap);
                    self.seen.wrong += u64::from(got != expected);
                }
            }
            if command & RS != 0 {
                d[1].store(SENT, Ordering::Release);
            }
            ring.head = ring.after(ring.head, 1);
            self.seen.sent += 1;
        }
        if n > 0 {
            chip.set(TDH, ring.head as u32);
        }
        n
    }
}

/// A write-back that was held back.
pub(crate) struct Held {
    word: &'static AtomicU64,
    value: u64,
}

impl Held {
    /// Takes back what was just written.
    pub(crate) fn back(descriptor: &'static [AtomicU64; 2]) -> Self {
        let word = &descriptor[1];
        Self { word, value: word.swap(0, Ordering::AcqRel) }
    }

    pub(crate) fn let_go(self) {
        self.word.store(self.value, Ordering::Release);
    }
}

#[cfg(target_arch = "x86_64")]
fn flush(descriptor: &[AtomicU64; 2]) {
    // SAFETY: the address is that of a reference; SSE2 is in every x86-64 processor.
    unsafe { core::arch::x86_64::_mm_clflush(std::ptr::from_ref(descriptor).cast()) };
}

#[cfg(not(target_arch = "x86_64"))]
fn flush(_: &[AtomicU64; 2]) {}

/// A frame with its number in it.
fn frame(number: u64, swapped: bool) -> [u8; FRAME] {
    let mut frame = [0x5a; FRAME];
    frame[..6].copy_from_slice(&[0x02, 0, 0, 0, 0, 0xd5]);
    frame[6..12].copy_from_slice(&[0x02, 0, 0, 0, 0, 0x5c]);
    if swapped {
        frame[..12].rotate_left(6);
    }
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    frame[14..22].copy_from_slice(&number.to_le_bytes());
    frame
}
