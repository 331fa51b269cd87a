//! What the model counts: the chip's own counters, collected over a step and added at its end,
//! and the ground truth that tests reconcile them with.

use super::chip::Chip;
use super::flow::Heard;
use super::regs::RegFile;

/// What really happened to every frame, since the NIC was made. Nothing clears these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truth {
    /// Frames that came from the wire, those lost in the FIFO included.
    pub arrived: u64,
    /// Lost in the receive FIFO (MPC).
    pub missed: u64,
    /// Dropped with a wrong CRC.
    pub damaged: u64,
    /// Dropped because too short or too long.
    pub bad_length: u64,
    /// Passed no address or VLAN filter.
    pub filtered: u64,
    /// Dropped because the queue had no free descriptor, was disabled, or had stopped on a fault.
    pub no_descriptor: u64,
    /// Written to memory.
    pub delivered: u64,
    /// Their bytes as stored, without CRC when it is stripped.
    pub delivered_bytes: u64,
    /// Put on the wire.
    pub sent: u64,
    /// Their bytes, without CRC.
    pub sent_bytes: u64,
    /// Of those sent, how many the wire lost at once.
    pub lost_on_wire: u64,
    /// Reads of buffers that had been reported done before ([`Inject::EarlyDone`]), and how many
    /// of those the owner word denied.
    ///
    /// [`Inject::EarlyDone`]: super::Inject::EarlyDone
    pub late_reads: u64,
    /// See [`late_reads`](Self::late_reads).
    pub late_reads_denied: u64,
}

impl Truth {
    /// Frames that arrived and of which nothing became: 0, or the model itself is wrong.
    pub fn unexplained(&self) -> i64 {
        let known = self.missed
            + self.damaged
            + self.bad_length
            + self.filtered
            + self.no_descriptor
            + self.delivered;
        self.arrived as i64 - known as i64
    }
}

/// Statistics slots that queues map to.
pub(super) const SLOTS: usize = 16;

/// One direction's counters over a step.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Side {
    /// Frames by size, from 64 bytes with CRC up.
    pub(super) bins: [u64; 6],
    pub(super) frames: u64,
    /// With CRC.
    pub(super) octets: u64,
    pub(super) multicast: u64,
    pub(super) broadcast: u64,
    pub(super) by_slot: [Slot; SLOTS],
    /// Which slots are not all zero.
    pub(super) touched: u16,
    /// Frames that are not in the others yet, but for whether they went to several stations.
    run: Run,
}

/// Frames of one length through queues that count into one slot.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Length without CRC, and as the queue counts it.
    len: usize,
    stored: usize,
    slot: u8,
    frames: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    pub(super) frames: u64,
    pub(super) octets: u64,
    pub(super) dropped: u64,
}

/// Which size counter a frame of `len` bytes with CRC belongs to.
#[inline(always)]
fn bin(len: u64) -> usize {
    // 64, 65-127, 128-255, 256-511, 512-1023, and the rest.
    if len <= 64 { 0 } else { ((64 - (len | 64).leading_zeros() as usize) - 6).min(5) }
}

impl Side {
    /// A good frame of `len` bytes without CRC.
    #[inline(always)]
    pub(super) fn frame(&mut self, frame: &[u8]) {
        let len = frame.len() as u64 + 4;
        self.frames += 1;
        self.octets += len;
        self.bins[bin(len)] += 1;
        if frame.first().is_some_and(|first| first & 1 != 0) {
            self.group(frame);
        }
    }

    /// A good frame that went through a queue that counts into `slot`, as `stored` bytes.
    #[inline(always)]
    pub(super) fn through(&mut self, frame: &[u8], slot: u8, stored: usize) {
        if frame.first().is_some_and(|first| first & 1 != 0) {
            self.group(frame);
        }
        let run = &mut self.run;
        if (run.len, run.stored, run.slot) == (frame.len(), stored, slot) {
            run.frames += 1;
        } else {
            self.add_run(Run { len: frame.len(), stored, slot, frames: 1 });
        }
    }

    /// One to several stations.
    #[cold]
    fn group(&mut self, frame: &[u8]) {
        if frame.starts_with(&[0xff; 6]) {
            self.broadcast += 1;
        } else {
            self.multicast += 1;
        }
    }

    /// Adds the frames of the last run, and starts the next.
    #[inline(never)]
    fn add_run(&mut self, next: Run) {
        let Run { len, stored, slot, frames } = std::mem::replace(&mut self.run, next);
        let len = len as u64 + 4;
        self.frames += frames;
        self.octets += frames * len;
        self.bins[bin(len)] += frames;
        let s = &mut self.by_slot[usize::from(slot) % SLOTS];
        s.frames += frames;
        s.octets += frames * stored as u64;
        self.touched |= u16::from(frames > 0) << (slot % SLOTS as u8);
    }

    /// It went through a queue that counts into `slot`, as `octets` bytes.
    #[inline(always)]
    pub(super) fn queue(&mut self, slot: u8, octets: usize) {
        let s = &mut self.by_slot[usize::from(slot) % SLOTS];
        s.frames += 1;
        s.octets += octets as u64;
        self.touched |= 1 << (slot % SLOTS as u8);
    }

    /// It was dropped by such a queue.
    pub(super) fn drop(&mut self, slot: u8) {
        self.by_slot[usize::from(slot) % SLOTS].dropped += 1;
        self.touched |= 1 << (slot % SLOTS as u8);
    }
}

/// Everything counted over a step. What is counted for each delivered frame is kept to the least;
/// sums follow from it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Frames that passed the filters, and the statistics slots they went to.
    pub(super) rx: Side,
    pub(super) tx: Side,
    pub(super) filtered: Count,
    pub(super) damaged: Count,
    pub(super) short: Count,
    pub(super) long: Count,
    /// Of a wrong length and with a wrong CRC.
    pub(super) fragments: Count,
    pub(super) jabbers: Count,
    pub(super) missed: u64,
    /// Frames with a wrong CRC that were delivered all the same.
    pub(super) delivered_bad: u64,
    pub(super) checksum_errors: u64,
    /// As the wire tells: how often we paused the peer, and the peer us.
    pub(super) pauses: (u64, u64),
    pub(super) heard: Heard,
    /// Packets that went as segments.
    pub(super) segmented: u64,
    any: bool,
}

/// Frames and their bytes with CRC.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) frames: u64,
    pub(super) octets: u64,
}

impl Count {
    pub(super) fn add(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.octets += frame.len() as u64 + 4;
    }
}

impl Tally {
    /// Something was counted.
    #[inline(always)]
    pub(super) fn touch(&mut self) {
        self.any = true;
    }

    /// Whether anything is yet to be added to the registers.
    #[inline(always)]
    pub(super) fn pending(&self) -> bool {
        self.any || self.rx.run.frames > 0 || self.tx.run.frames > 0
    }

    /// Adds it all to the registers and to the truth, and starts over.
    pub(super) fn flush(&mut self, chip: &dyn Chip, regs: &RegFile, truth: &mut Truth) {
        if !self.pending() {
            return;
        }
        self.rx.add_run(Run::default());
        self.tx.add_run(Run::default());
        self.tell(truth);
        chip.count(regs, self);
        *self = Self::default();
    }

    /// Everything received: the good frames that passed the filters and those that did not, and
    /// with `bad` the damaged ones and those of a wrong length. Frames and bytes with CRC.
    pub(super) fn received(&self, bad: bool) -> (u64, u64) {
        let mut sum =
            (self.rx.frames + self.filtered.frames, self.rx.octets + self.filtered.octets);
        if bad {
            for count in [self.damaged, self.short, self.long, self.fragments, self.jabbers] {
                sum = (sum.0 + count.frames, sum.1 + count.octets);
            }
        }
        sum
    }

    /// The statistics slots that something was counted in: number, received, sent.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, &Slot, &Slot)> {
        let touched = self.rx.touched | self.tx.touched;
        let both = self.rx.by_slot.iter().zip(&self.tx.by_slot);
        let all = (0..).zip(both).map(|(n, (rx, tx))| (n, rx, tx));
        all.filter(move |(n, ..)| touched >> n & 1 != 0)
    }

    fn tell(&self, truth: &mut Truth) {
        let dropped: u64 = self.rx.by_slot.iter().map(|s| s.dropped).sum();
        truth.missed += self.missed;
        truth.damaged += self.damaged.frames + self.fragments.frames + self.jabbers.frames;
        truth.bad_length += self.short.frames + self.long.frames;
        truth.filtered += self.filtered.frames;
        truth.no_descriptor += dropped;
        truth.delivered += self.rx.by_slot.iter().map(|s| s.frames).sum::<u64>();
        truth.delivered_bytes += self.rx.by_slot.iter().map(|s| s.octets).sum::<u64>();
        truth.sent += self.tx.frames;
        truth.sent_bytes += self.tx.octets - 4 * self.tx.frames;
    }
}

#[cfg(test)]
mod tests {
    use super::super::chip::I82599;
    use super::*;
    use crate::drivers::ixgbe::regs::{
        BPRC, GORCL, GPRC, GPTC, MPC, MPTC, PRC64, PTC64, QBRC_L, QPRC, QPRDC,
    };
    use crate::mmio::Register;

    #[test]
    fn size_bins_have_the_datasheet_s_borders() {
        for (len, want) in [
            (64, 0),
            (65, 1),
            (127, 1),
            (128, 2),
            (255, 2),
            (256, 3),
            (511, 3),
            (512, 4),
            (1023, 4),
            (1024, 5),
            (9728, 5),
        ] {
            assert_eq!(bin(len), want, "{len}");
        }
    }

    #[test]
    fn a_flush_adds_to_the_registers_once() {
        let regs = RegFile::new(I82599.map());
        let mut tally = Tally::default();
        let mut frame = [0u8; 60];
        tally.rx.frame(&frame);
        frame[..6].fill(0xff);
        tally.rx.frame(&frame);
        frame[..6].copy_from_slice(&[1, 0, 0x5e, 0, 0, 1]);
        tally.tx.frame(&frame);
        tally.rx.queue(3, 60);
        tally.pauses.0 = 1;
        tally.rx.drop(5);
        tally.missed = 2;
        tally.touch();
        let mut truth = Truth::default();
        tally.flush(&I82599, &regs, &mut truth);
        tally.flush(&I82599, &regs, &mut truth);
        assert_eq!((truth.delivered, truth.no_descriptor, truth.missed), (1, 1, 2));
        assert_eq!((truth.sent, truth.sent_bytes), (1, 60));
        let read = |offset| regs.read(offset);
        assert_eq!(read(GPRC::META.offset), 4, "MPC's are in GPRC");
        assert_eq!((read(PRC64::META.offset), read(BPRC::META.offset)), (2, 1));
        // Stock drivers take the pause frames out of all of these.
        let sent = [GPTC::META, MPTC::META, PTC64::META].map(|meta| read(meta.offset));
        assert_eq!(sent, [2, 2, 2]);
        assert_eq!(read(GORCL::META.offset), 128);
        assert_eq!(read(QPRC::META.offset_of(3)), 1);
        assert_eq!(read(QBRC_L::META.offset_of(3)), 60);
        assert_eq!(read(QPRDC::META.offset_of(5)), 1);
        assert_eq!(read(MPC::META.offset), 2);
    }
}
