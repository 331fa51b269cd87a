//! A queue is used by one thread at a time.
use barewire::RxQueue;

fn share(queue: &RxQueue) {
    std::thread::scope(|s| {
        s.spawn(|| queue.backlog());
    });
}

fn main() {}
// error: E0277
