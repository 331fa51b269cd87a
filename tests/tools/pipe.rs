//! A transmit and a receive queue joined by a pipe that can lose, double, delay and damage
//! packets: the tools' loops are tested against it, with no device at all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use barewire::port::{PathChoice, QueueRx, QueueTx, RxQueueStats, TxQueueStats};
use barewire::{Batch, Mbuf, PoolCache, RxQueue, TxQueue};

/// What happens to a packet, by its number.
pub(crate) type Mischief = fn(u64) -> Act;

/// What the pipe does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Pass,
    Lose,
    Double,
    /// Let the next one go first.
    Hold,
    Damage,
}

/// Packets on their way.
#[derive(Debug, Default)]
struct Pipe {
    packets: VecDeque<Mbuf>,
    held: Option<Mbuf>,
    number: u64,
}

#[derive(Debug)]
struct Tx {
    pipe: Arc<Mutex<Pipe>>,
    room: usize,
    mischief: Mischief,
    stats: TxQueueStats,
}

#[derive(Debug)]
struct Rx {
    pipe: Arc<Mutex<Pipe>>,
    stats: RxQueueStats,
}

/// Queues joined by a pipe that holds at most `room` packets.
pub(crate) fn pair(room: usize, mischief: Mischief) -> (TxQueue, RxQueue) {
    let pipe = Arc::new(Mutex::new(Pipe::default()));
    let tx = Tx { pipe: Arc::clone(&pipe), room, mischief, stats: TxQueueStats::default() };
    (TxQueue::new(tx), RxQueue::new(Rx { pipe, stats: RxQueueStats::default() }))
}

impl QueueTx for Tx {
    fn tx_burst(&mut self, cache: &mut PoolCache, packets: &mut Batch) -> usize {
        let mut pipe = self.pipe.lock().unwrap();
        let mut taken = 0;
        while pipe.packets.len() < self.room
            && let Some(mut packet) = packets.pop()
        {
            taken += 1;
            self.stats.packets += 1;
            self.stats.bytes += packet.len() as u64;
            let act = (self.mischief)(pipe.number);
            pipe.number += 1;
            match act {
                Act::Pass => {}
                Act::Lose => {
                    cache.free(packet);
                    continue;
                }
                Act::Double => {
                    let mut copy = cache.alloc().unwrap();
                    copy.append(packet.data()).unwrap();
                    pipe.packets.push_back(copy);
                }
                Act::Hold => {
                    pipe.held = Some(packet);
                    continue;
                }
                Act::Damage => packet.data_mut()[50] ^= 1,
            }
            pipe.packets.push_back(packet);
            if let Some(held) = pipe.held.take() {
                pipe.packets.push_back(held);
            }
        }
        taken
    }

    fn reclaim(&mut self, _: &mut PoolCache) -> usize {
        0
    }

    fn stats(&self) -> TxQueueStats {
        self.stats
    }

    fn in_flight(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        self.room
    }

    fn path(&self) -> PathChoice {
        PathChoice::scalar("a pipe")
    }
}

impl QueueRx for Rx {
    fn rx_burst(&mut self, _: &mut PoolCache, out: &mut Batch) -> usize {
        let mut pipe = self.pipe.lock().unwrap();
        let mut n = 0;
        while out.room() > 0
            && let Some(packet) = pipe.packets.pop_front()
        {
            n += 1;
            self.stats.packets += 1;
            self.stats.bytes += packet.len() as u64;
            out.push(packet).unwrap();
        }
        n
    }

    fn stats(&self) -> RxQueueStats {
        self.stats
    }

    fn backlog(&self) -> usize {
        self.pipe.lock().unwrap().packets.len()
    }

    fn size(&self) -> usize {
        1
    }

    fn path(&self) -> PathChoice {
        PathChoice::scalar("a pipe")
    }
}
