//! Loom's exhaustive search over the depot's interleavings, and over three deliberately broken
//! copies of it that loom must see through. The very file that the library is built from is
//! compiled here against loom's atomics.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::duplicate_mod)]

/// Makes a module with the depot compiled against a `sync` of the given strengths.
macro_rules! depot_with {
    ($name:ident, tag: $tag:expr, publish: $publish:ident, consume: $consume:ident) => {
        #[path = "../src/pool"]
        mod $name {
            pub mod sync {
                pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
                pub(crate) const TAG_STEP: u64 = $tag;
                pub(crate) const PUBLISH: Ordering = Ordering::$publish;
                pub(crate) const CONSUME: Ordering = Ordering::$consume;
                pub(crate) const MAGAZINE: usize = 2;
            }
            #[path = "depot.rs"]
            pub mod depot;
        }
    };
}

depot_with!(sound, tag: 1, publish: Release, consume: Acquire);
depot_with!(untagged, tag: 0, publish: Release, consume: Acquire);
depot_with!(weak_push, tag: 1, publish: Relaxed, consume: Acquire);
depot_with!(weak_pop, tag: 1, publish: Release, consume: Relaxed);

use std::panic::{AssertUnwindSafe, catch_unwind};

fn model(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Three preemptions reach every bug that the broken copies have; more only takes longer.
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

/// Two threads take single slots and put them back; in the end every slot is there once.
macro_rules! singles {
    ($m:ident) => {
        || {
            let depot = loom::sync::Arc::new($m::depot::Depot::new(3, 3));
            for i in 0..3 {
                depot.put(10 + i, i as usize);
            }
            let other = {
                let depot = depot.clone();
                loom::thread::spawn(move || {
                    let a = depot.take();
                    let b = depot.take();
                    if let Some(a) = a {
                        depot.put(a, a as usize - 10);
                    }
                    b
                })
            };
            let mine = depot.take();
            let theirs = other.join().unwrap();
            let mut all: Vec<u32> = mine.into_iter().chain(theirs).collect();
            while let Some(s) = depot.take() {
                all.push(s);
                assert!(all.len() <= 3, "a slot came twice: {all:?}");
            }
            all.sort_unstable();
            assert_eq!(all, [10, 11, 12]);
        }
    };
}

/// Two threads move magazines; contents must arrive whole.
macro_rules! magazines {
    ($m:ident) => {
        || {
            let depot = loom::sync::Arc::new($m::depot::Depot::new(4, 4));
            assert!(depot.put_magazine(&[1, 2]));
            let other = {
                let depot = depot.clone();
                loom::thread::spawn(move || {
                    if !depot.put_magazine(&[3, 4]) {
                        depot.put(3, 0);
                        depot.put(4, 1);
                    }
                })
            };
            let mut all = Vec::new();
            let mut mag = [0; 2];
            if depot.take_magazine(&mut mag) {
                all.extend(mag);
            }
            other.join().unwrap();
            while depot.take_magazine(&mut mag) {
                all.extend(mag);
            }
            while let Some(s) = depot.take() {
                all.push(s);
            }
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3, 4]);
        }
    };
}

#[test]
fn singles_are_never_lost_or_doubled() {
    model(singles!(sound));
}

#[test]
fn magazines_arrive_whole() {
    model(magazines!(sound));
}

#[test]
fn loom_sees_a_removed_tag() {
    assert!(finds_a_fault(singles!(untagged)));
}

#[test]
fn loom_sees_a_weakened_push() {
    assert!(finds_a_fault(magazines!(weak_push)));
}

#[test]
fn loom_sees_a_weakened_pop() {
    assert!(finds_a_fault(magazines!(weak_pop)));
}
