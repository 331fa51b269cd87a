//! The short way for plain frames: whole in one descriptor each, with nothing to insert.

use std::sync::atomic::Ordering;

use super::super::engine::Shared;
use super::super::fault::QueueId;
use super::super::memory::Ring;
use super::super::trace::Event;
use super::super::wire::Sent;
use super::{CRC, SHORTEST, Sender, Stop, TxQueue};
use crate::drivers::intel::TxDesc;

/// Buffers that are claimed together.
const GROUP: usize = 16;

/// Everything of a data descriptor's second word but length, payload length and RS.
const COMMAND: u64 = ((1 << 46) - 1) & !0xffff & !TxDesc::RS;
/// What [`COMMAND`] is for a whole plain frame in one advanced descriptor.
const PLAIN: u64 = TxDesc::DATA | TxDesc::DEXT | TxDesc::IFCS | TxDesc::EOP;

/// Whether a descriptor's second word is that of a whole plain frame, of any length that goes.
#[inline(always)]
pub(super) fn is_plain(command: u64, longest: usize) -> bool {
    let len = command & 0xffff;
    command & COMMAND == PLAIN
        && command >> 46 == len
        && (SHORTEST..=longest).contains(&(len as usize))
}

impl TxQueue {
    /// The way of nearly all frames: those that lie whole in one descriptor each in this process's
    /// memory, with nothing to insert. Sends up to `most`, until there is one of another kind.
    /// Returns how many went.
    #[inline(always)]
    pub(super) fn send_run(
        &mut self,
        shared: &mut Shared,
        sender: &mut Sender<'_>,
        ring: &Ring,
        tail: u32,
        most: u32,
    ) -> Result<u32, Stop> {
        let end = if self.head < tail { tail } else { ring.size };
        let descriptors = ring.run(self.head, end.min(self.head + most));
        let Shared { memory, tally, .. } = shared;
        let (mut sent, mut lost, mut told, mut full) = (0, 0, false, false);
        let mut claims = [const { None }; GROUP];
        'all: for group in descriptors.chunks(GROUP) {
            // All are won before any goes: to win one waits until the stores before it are done, and
            // those to a wire between two processors take long.
            let mut won = 0;
            for ([address, command], claim) in group.iter().zip(&mut claims) {
                let command = command.load(Ordering::Relaxed);
                if !is_plain(command, sender.plan.longest) {
                    break;
                }
                let address = address.load(Ordering::Relaxed);
                let Some(bytes) = memory.claim_tx(address, u32::from(command as u16)) else {
                    break;
                };
                *claim = Some(bytes);
                won += 1;
            }
            for ([_, command], claim) in group.iter().zip(&mut claims[..won]) {
                let Some(bytes) = claim.take() else { break };
                match sender.wire.send(&bytes, sender.now, sender.plan.obey_pause) {
                    Sent::Wait => {
                        full = true;
                        break 'all;
                    }
                    Sent::Lost => lost += 1,
                    Sent::Yes => {}
                }
                tally.tx.through(&bytes, self.setup.slot, bytes.len() + CRC);
                bytes.finish();
                if command.load(Ordering::Relaxed) & TxDesc::RS != 0 {
                    command.store(TxDesc::DD, Ordering::Release);
                    told = true;
                }
                sent += 1;
            }
            if won < group.len() {
                break;
            }
        }
        // The claims that are left let go of their buffers.
        drop(claims);
        shared.truth.lost_on_wire += lost;
        if told {
            shared.reported |= self.bit();
        }
        if sent > 0 {
            self.head = if self.head + sent == ring.size { 0 } else { self.head + sent };
            self.dirty = true;
        }
        if full { Err(Stop::Wait) } else { Ok(sent) }
    }

    /// One whole frame in one descriptor, nothing to insert, wherever its bytes are.
    pub(super) fn send_plain(
        &mut self,
        shared: &mut Shared,
        sender: &mut Sender<'_>,
        address: u64,
        len: usize,
    ) -> Result<(), Stop> {
        let fetched = shared.memory.fetch(address, len as u32, sender.scratch);
        let bytes = fetched.map_err(|what| self.fault(self.head, Some(address), what))?;
        // The bytes borrow from `memory`; counting needs `shared` whole.
        let sent = sender.wire.send(&bytes, sender.now, sender.plan.obey_pause);
        if sent == Sent::Wait {
            return Err(Stop::Wait);
        }
        shared.tally.tx.through(&bytes, self.setup.slot, len + CRC);
        drop(bytes);
        shared.truth.lost_on_wire += u64::from(sent == Sent::Lost);
        shared.tally.touch();
        if shared.traced {
            let queue = QueueId::Tx(self.setup.index);
            let (index, len) = (self.head, len as u32);
            shared.note(Event::Descriptor { queue, index, address, len });
        }
        Ok(())
    }
}
