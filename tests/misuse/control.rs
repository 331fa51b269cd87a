//! What the other files get wrong, done right.
use barewire::{Batch, Mbuf, PoolCache, RxQueue, TxQueue};

fn send(mut packet: Mbuf, batch: &mut Batch) {
    packet.data_mut()[0] = 1;
    let _ = batch.push(packet);
}

fn run(mut rx: RxQueue, mut tx: TxQueue, cache: &mut PoolCache, batch: &mut Batch) {
    std::thread::spawn(move || rx.backlog());
    tx.tx_burst(cache, batch);
}

fn main() {}
// error: none
