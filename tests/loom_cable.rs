//! Loom's exhaustive search over the cable's ring, and over broken copies of it that loom must see
//! through. The very file that the library is built from is compiled here against loom's atomics.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::duplicate_mod)]

/// Makes a module with the ring compiled against a `sync` of the given strengths.
macro_rules! ring_with {
    ($name:ident, publish: $publish:ident, consume: $consume:ident) => {
        #[path = "../drivers/sim/wire/cable"]
        mod $name {
            pub mod sync {
                pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
                pub(crate) const PUBLISH: Ordering = Ordering::$publish;
                pub(crate) const CONSUME: Ordering = Ordering::$consume;
                pub(crate) fn expect_store(_: &AtomicU64) {}
            }
            #[path = "ring.rs"]
            mod ring;
            pub use parts::*;
            /// What the ring gives only to its parent, for the tests below.
            mod parts {
                use super::ring::{Consumer, Producer, Ring};
                use std::sync::Arc;

                pub struct Tx(Producer);
                pub struct Rx(Consumer);

                pub fn ends(words: usize) -> (Tx, Rx) {
                    let ring = Ring::new(words);
                    (Tx(Producer::new(Arc::clone(&ring))), Rx(Consumer::new(ring)))
                }

                impl Tx {
                    /// Sends if there is room in a ring of `words`.
                    pub fn send(&mut self, frame: &[u8], words: usize) -> bool {
                        let need = Producer::need(frame.len(), false);
                        let room =
                            self.0.used_at_most() + need <= words || self.0.used() + need <= words;
                        if room {
                            self.0.push(frame, None);
                            self.0.publish();
                        }
                        room
                    }
                }

                impl Rx {
                    pub fn take(&mut self, max: usize, mut sink: impl FnMut(&[u8])) -> usize {
                        self.0.take(|| 0, max, &mut |frame| {
                            sink(frame);
                            true
                        })
                    }
                }
            }
        }
    };
}

ring_with!(sound, publish: Release, consume: Acquire);
ring_with!(weak_publish, publish: Relaxed, consume: Acquire);
ring_with!(weak_consume, publish: Release, consume: Relaxed);

use std::panic::{AssertUnwindSafe, catch_unwind};

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

fn finds_a_fault(f: impl Fn() + Sync + Send + 'static) -> bool {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = catch_unwind(AssertUnwindSafe(|| model(f))).is_err();
    std::panic::set_hook(hook);
    found
}

/// Three frames of two words each through a ring of four words, so that it fills and goes around:
/// what arrives is in order and whole, and nothing is lost.
macro_rules! stream {
    ($m:ident) => {
        || {
            let (mut tx, mut rx) = $m::ends(4);
            let sender = loom::thread::spawn(move || {
                // One try a frame keeps the search finite; a full ring costs the rest.
                (1..=3u8).take_while(|i| tx.send(&[*i; 8], 4)).count()
            });
            let mut next = 0u8;
            let mut take = |rx: &mut $m::Rx| {
                rx.take(3, |frame| {
                    next += 1;
                    assert_eq!(frame, [next; 8]);
                })
            };
            let mut taken = take(&mut rx) + take(&mut rx);
            let sent = sender.join().unwrap();
            taken += take(&mut rx);
            assert_eq!(sent, taken);
        }
    };
}

#[test]
fn frames_arrive_whole_and_in_order() {
    model(stream!(sound));
}

#[test]
fn publishing_without_release_is_found() {
    assert!(finds_a_fault(stream!(weak_publish)));
}

#[test]
fn looking_without_acquire_is_found() {
    assert!(finds_a_fault(stream!(weak_consume)));
}
