//! Flow control by the pause frames that a peer really sends, 802.3x (82599 datasheet 3.7.7.3,
//! 8.2.3.22.34; 82576 datasheet 3.5.5, 8.10.1). What a wire tells of its far end's FIFO comes
//! besides.
//!
//! Pauses of single classes (802.1Qbb) are counted but hold nothing.

use std::time::Duration;

use super::device::Device;
use super::engine::Shared;

/// EtherType of MAC control frames.
const MAC_CONTROL: [u8; 2] = [0x88, 0x08];
/// Opcodes: pause, and pause of single classes.
const PAUSE: u16 = 1;
const CLASSES: u16 = 0x0101;
/// Where opcode and time are; classes are a bit vector, and each has its time.
const OPCODE: usize = 14;
const TIME: usize = 16;
const CLASS_TIMES: usize = 18;
/// Classes there are.
pub(super) const CLASS_COUNT: usize = 8;
/// A unit of pause time.
const QUANTUM_BITS: u64 = 512;

/// What the MAC makes of MAC control frames.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FlowPlan {
    /// Where pause frames are sent to, besides to this station. Without it no frame is the MAC's.
    pub(super) address: Option<[u8; 6]>,
    /// They hold the transmitter, or classes of it.
    pub(super) obey: bool,
    pub(super) obey_classes: bool,
    /// They do not reach the host.
    pub(super) drop: bool,
    /// All other control frames do.
    pub(super) pass_others: bool,
}

/// Control frames of a step.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Heard {
    /// Pauses that begin, and that end.
    pub(super) xoff: u64,
    pub(super) xon: u64,
    /// By class.
    pub(super) class_xoff: [u64; CLASS_COUNT],
    pub(super) class_xon: [u64; CLASS_COUNT],
    /// Of no kind that the MAC knows.
    pub(super) unknown: u64,
}

/// How long the transmitter is held.
#[derive(Debug, Default)]
pub(super) struct Hold {
    until: Option<Duration>,
    /// The frame that was heard already, by how many came before it: it waits for a descriptor.
    again: Option<u64>,
}

/// Whether a frame is for the MAC.
#[inline(always)]
pub(super) fn is_control(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&MAC_CONTROL)
}

fn be16(frame: &[u8], at: usize) -> u16 {
    frame.get(at..at + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]))
}

impl Hold {
    /// Whether the transmitter must wait at `now`.
    #[inline]
    pub(super) fn holds(&mut self, now: Duration) -> bool {
        let held = self.until.is_some_and(|until| now < until);
        if !held {
            self.until = None;
        }
        held
    }

    /// The frame that has just been offered stays where it is.
    #[cold]
    pub(super) fn offered(&mut self, before: u64) {
        self.again = Some(before);
    }
}

impl Device {
    /// Whether a pause frame holds the transmitter now.
    pub(super) fn is_paused(&self) -> bool {
        self.current_engine().shared.hold.holds(self.clock.wire_now())
    }
}

impl Shared {
    /// Whether the transmitter must wait in this step.
    #[inline]
    pub(super) fn is_held(&mut self) -> bool {
        self.hold.until.is_some() && {
            let now = self.now();
            self.hold.holds(now)
        }
    }

    /// Takes a MAC control frame. Returns whether it ends here.
    #[cold]
    pub(super) fn hear(&mut self, plan: &FlowPlan, own: Option<&[u8; 6]>, frame: &[u8]) -> bool {
        if plan.address.is_none() {
            return false;
        }
        let to = frame.first_chunk::<6>().copied();
        let ours = to == plan.address || to.is_some() && to.as_ref() == own;
        let (opcode, heard) = (be16(frame, OPCODE), &mut self.tally.heard);
        let first = self.hold.again.take() != Some(self.truth.arrived);
        let known = match opcode {
            PAUSE if ours => {
                let quanta = be16(frame, TIME);
                if first && quanta == 0 {
                    heard.xon += 1;
                } else if first {
                    heard.xoff += 1;
                }
                if first && plan.obey {
                    let nanos =
                        u64::from(quanta) * QUANTUM_BITS * 1000 / u64::from(self.mbps.max(1));
                    self.hold.until = Some(self.now() + Duration::from_nanos(nanos));
                }
                true
            }
            CLASSES if ours && plan.obey_classes => {
                let vector = be16(frame, TIME);
                let classes = (0..CLASS_COUNT).filter(|class| vector >> class & 1 != 0);
                let mut begins = false;
                for class in classes.filter(|_| first) {
                    if be16(frame, CLASS_TIMES + 2 * class) == 0 {
                        heard.class_xon[class] += 1;
                    } else {
                        heard.class_xoff[class] += 1;
                        begins = true;
                    }
                }
                // Once for a frame, whatever else is in it.
                heard.xoff += u64::from(first && begins);
                heard.xon += u64::from(first && !begins);
                true
            }
            _ => {
                heard.unknown += u64::from(first);
                false
            }
        };
        self.tally.touch();
        let ends = if known { plan.drop } else { !plan.pass_others };
        if ends {
            self.tally.filtered.add(frame);
            self.truth.arrived += 1;
        }
        ends
    }
}
