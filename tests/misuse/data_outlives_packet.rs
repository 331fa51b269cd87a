//! A reference into a buffer ends with the packet.
use barewire::PoolCache;

fn keep(cache: &mut PoolCache) -> &'static [u8] {
    let packet = cache.alloc().unwrap();
    packet.data()
}

fn main() {}
// error: E0515
