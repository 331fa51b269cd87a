//! Two handles of one buffer cannot exist.
use barewire::Mbuf;

fn twice(packet: &Mbuf) -> Mbuf {
    packet.clone()
}

fn main() {}
// error: E0308
