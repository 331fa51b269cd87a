//! A packet that was queued for sending is no longer the application's.
use barewire::{Batch, Mbuf};

fn send(mut packet: Mbuf, batch: &mut Batch) {
    let _ = batch.push(packet);
    packet.data_mut()[0] = 1;
}

fn main() {}
// error: E0382
