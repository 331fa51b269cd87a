//! Packets cannot be sent while one of them is being looked at.
use barewire::{Batch, PoolCache, TxQueue};

fn peek(queue: &mut TxQueue, cache: &mut PoolCache, batch: &mut Batch) {
    let first = batch.first().map(|p| p.data());
    queue.tx_burst(cache, batch);
    println!("{first:?}");
}

fn main() {}
// error: E0502
