//! Sleeping on software NICs: no packet waits for a sleeper, and nothing else does either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use barewire::drivers::sim::{Drive, SimConfig, SimNic};
use barewire::poll::{self, Idle, SleepConfig, Sleeper, Woken, Worker};
use barewire::pool::PoolConfig;
use barewire::port::{Port, PortConfig, RxInterrupt, RxQueue};
use barewire::{Batch, Error, Mempool, PoolCache};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn nic(drive: Drive) -> SimNic {
    let config = SimConfig { wire: "probe".to_owned(), drive, ..SimConfig::default() };
    SimNic::new(&config).expect("a software NIC")
}

/// A started port with one queue; it accepts everything.
struct Rig {
    nic: SimNic,
    port: Port,
    rx: RxQueue,
    pool: Mempool,
    cache: PoolCache,
    batch: Batch,
}

impl Rig {
    fn new(drive: Drive) -> Self {
        let nic = nic(drive);
        let pool = Mempool::new(&PoolConfig { count: 2048, ..PoolConfig::default() }).unwrap();
        let mut port = nic.open_port().unwrap();
        let mut queues = port.start(&config(), &pool).unwrap();
        let (rx, cache) = (queues.rx.remove(0), pool.cache());
        Self { nic, port, rx, pool, cache, batch: Batch::new(32) }
    }

    fn poll(&mut self) -> usize {
        let n = self.rx.rx_burst(&mut self.cache, &mut self.batch);
        self.cache.free_batch(&mut self.batch);
        n
    }
}

fn config() -> PortConfig {
    PortConfig { promiscuous: true, ..PortConfig::default() }
}

const FRAME: [u8; 60] = [2; 60];

struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// Returns when a packet has come.
type Receive<'a> = dyn FnMut(&mut Rig, &mut Lcg) -> Result<(), String> + 'a;

/// Time in which an application does something else, or is not let run.
fn dawdle(rng: &mut Lcg) {
    match rng.below(16) {
        0 => thread::sleep(Duration::from_nanos(rng.below(100_000))),
        1..4 => thread::yield_now(),
        4..8 => spin(Duration::from_nanos(rng.below(20_000))),
        _ => {}
    }
}

fn spin(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Sends single packets, each at a random time after the one before was received, so that it
/// meets the receiver anywhere between its last poll and its sleep. The receiver takes its time
/// too, so that this happens on two busy cores as well.
fn stress(drive: Drive, packets: u32, seed: u64, receive: &mut Receive<'_>) -> Result<(), String> {
    println!("{drive:?}, seed {seed}");
    let mut rig = Rig::new(drive);
    let (nic, received) = (rig.nic.clone(), AtomicU32::new(0));
    let over = AtomicBool::new(false);
    thread::scope(|s| {
        let sender = s.spawn(|| {
            let mut rng = Lcg(seed);
            for sent in 0..packets {
                while received.load(Ordering::Acquire) < sent {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    thread::yield_now();
                }
                // Mostly as long as it takes to fall asleep, now and then much longer.
                let most = if rng.below(50) == 0 { 300_000 } else { 20_000 };
                spin(Duration::from_nanos(rng.below(most)));
                nic.inject_frame(&FRAME);
            }
        });
        let mut rng = Lcg(!seed);
        let result = (0..packets).try_for_each(|n| {
            receive(&mut rig, &mut rng).map_err(|why| format!("packet {n}: {why}"))?;
            received.store(n + 1, Ordering::Release);
            Ok(())
        });
        over.store(true, Ordering::Relaxed);
        sender.join().unwrap();
        result
    })
}

fn stress_sleeper(drive: Drive, seed: u64) {
    let sleep = SleepConfig { after: 0, timeout: Duration::from_secs(5), ..SleepConfig::default() };
    let mut sleeper = None;
    let start = Instant::now();
    let result = stress(drive, 100_000, seed, &mut |rig, rng| {
        let sleeper = sleeper.get_or_insert_with(|| {
            let mut new = Sleeper::new(sleep);
            new.listen_to(&mut rig.port).unwrap();
            new
        });
        loop {
            let n = rig.poll();
            if n == 0 {
                dawdle(rng);
            }
            sleeper.polled(n).map_err(|e| e.to_string())?;
            match (n, sleeper.stats().by_timeout) {
                (_, 1..) => return Err(format!("a lost wake-up: {:?}", sleeper.stats())),
                (0, 0) => {}
                (1, 0) => return Ok(()),
                (n, 0) => return Err(format!("{n} packets at once")),
            }
        }
    });
    let stats = sleeper.unwrap().stats();
    println!("{:?}: {stats:?}", start.elapsed());
    assert_eq!(result, Ok(()));
    // It was asleep often enough for this to mean something.
    assert!(stats.by_interrupt > 5_000, "{stats:?}");
}

#[test]
fn no_wake_up_is_lost_with_a_nic_in_another_thread() {
    stress_sleeper(Drive::Thread, 0x1d1e);
}

#[test]
fn no_wake_up_is_lost_with_a_nic_that_moves_when_called() {
    stress_sleeper(Drive::Inline, 0x1d1f);
}

/// The control: the same stress finds the bug that the second look prevents.
#[test]
fn without_the_second_look_a_wake_up_is_lost() {
    let mut interrupt = None;
    let result = stress(Drive::Thread, 100_000, 0x1d20, &mut |rig, rng| {
        let interrupt: &mut RxInterrupt =
            interrupt.get_or_insert_with(|| rig.port.interrupt().unwrap());
        loop {
            if rig.poll() > 0 {
                return Ok(());
            }
            dawdle(rng);
            interrupt.arm().unwrap();
            dawdle(rng);
            let woken = poll::wait(&[&*interrupt], Duration::from_secs(1)).unwrap();
            interrupt.disarm().unwrap();
            if woken == Woken::Timeout && rig.rx.backlog() > 0 {
                return Err("lost".to_owned());
            }
        }
    });
    let why = result.expect_err("100,000 packets, and none came between the look and the arming");
    assert!(why.ends_with(": lost"), "{why}");
    println!("{why}");
}

fn sleepy(timeout: Duration) -> Idle {
    Idle::Sleep(SleepConfig { after: 10, timeout, ..SleepConfig::default() })
}

#[test]
fn an_idle_worker_is_asleep_and_a_stop_wakes_it_in_time() {
    for drive in [Drive::Thread, Drive::Inline] {
        let mut rig = Rig::new(drive);
        let timeout = Duration::from_millis(50);
        let mut worker = Worker::new(&rig.pool, sleepy(timeout));
        worker.listen_to(&mut rig.port).unwrap();
        let stop = AtomicBool::new(false);
        let start = Instant::now();
        let (stats, asked) = thread::scope(|s| {
            let run = s.spawn(|| worker.run(&stop, |_| rig.poll()).unwrap());
            thread::sleep(Duration::from_millis(400));
            stop.store(true, Ordering::Relaxed);
            let asked = Instant::now();
            (run.join().unwrap(), asked.elapsed())
        });
        let part = stats.sleep.asleep.as_secs_f64() / start.elapsed().as_secs_f64();
        assert!(part > 0.5, "{drive:?}: asleep {part}, {stats:?}");
        // Nine sleeps in a row, but for a machine that is busy otherwise.
        assert!((1..=12).contains(&stats.sleep.by_timeout), "{drive:?}: {stats:?}");
        assert_eq!((stats.sleep.by_interrupt, stats.packets), (0, 0), "{drive:?}");
        assert!(asked < LONG, "{drive:?}: {asked:?}");
    }
}

#[test]
fn a_device_that_is_removed_wakes_its_sleeper_and_is_reported() {
    for drive in [Drive::Thread, Drive::Inline] {
        let mut rig = Rig::new(drive);
        let mut worker = Worker::new(&rig.pool, sleepy(Duration::from_millis(500)));
        worker.listen_to(&mut rig.port).unwrap();
        let (nic, stop) = (rig.nic.clone(), AtomicBool::new(false));
        thread::scope(|s| {
            s.spawn(|| {
                thread::sleep(Duration::from_millis(50));
                nic.unplug();
            });
            match worker.run(&stop, |_| rig.poll()) {
                Err(Error::Gone { .. }) => {}
                other => panic!("{drive:?}: {other:?}"),
            }
        });
        let woken = worker.stats().sleep;
        assert_eq!((woken.by_interrupt, woken.by_timeout), (1, 0), "{drive:?}");
        // And then it naps instead of spinning.
        let start = Instant::now();
        let polls = AtomicU32::new(0);
        let again = worker.run(&stop, |_| {
            stop.store(polls.fetch_add(1, Ordering::Relaxed) == 50, Ordering::Relaxed);
            rig.poll()
        });
        assert!(again.unwrap().sleep.naps >= 40);
        assert!(start.elapsed() >= 40 * SleepConfig::default().nap);
    }
}

#[test]
fn one_worker_sleeps_on_two_ports() {
    for drive in [Drive::Thread, Drive::Inline] {
        let (mut a, mut b) = (Rig::new(drive), Rig::new(drive));
        let nics = [a.nic.clone(), b.nic.clone()];
        let mut worker = Worker::new(&a.pool, sleepy(LONG));
        worker.listen_to(&mut a.port).unwrap();
        worker.listen_to(&mut b.port).unwrap();
        let (stop, received) = (AtomicBool::new(false), AtomicU32::new(0));
        let start = Instant::now();
        let stats = thread::scope(|s| {
            s.spawn(|| {
                for n in 0..20 {
                    thread::sleep(Duration::from_millis(5));
                    nics[n as usize % 2].inject_frame(&FRAME);
                    while received.load(Ordering::Relaxed) <= n {
                        thread::yield_now();
                    }
                }
            });
            worker.run(&stop, |_| {
                let n = a.poll() + b.poll();
                let all = received.fetch_add(n as u32, Ordering::Relaxed) + n as u32;
                stop.store(all == 20, Ordering::Relaxed);
                n
            })
        })
        .unwrap();
        assert_eq!(stats.packets, 20);
        assert!(stats.sleep.by_interrupt >= 10 && start.elapsed() < LONG, "{drive:?}: {stats:?}");
    }
}

/// One thing after the other, by hand.
#[test]
fn every_queue_raises_the_interrupt_once_it_is_armed() {
    let nic = nic(Drive::Step);
    let pool = Mempool::new(&PoolConfig { count: 9000, ..PoolConfig::default() }).unwrap();
    let mut port = nic.open_port().unwrap();
    let queues = port.start(&PortConfig { rx_queues: 16, ..config() }, &pool).unwrap();
    let (mut rx, _tx, mut cache) = (queues.rx, queues.tx, pool.cache());
    let mut interrupt = port.interrupt().unwrap();
    let mut batch = Batch::new(32);
    let mut hit = [false; 16];
    for flow in 0u8..200 {
        let woken = |i: &RxInterrupt| poll::wait(&[i], Duration::ZERO).unwrap() == Woken::Event;
        nic.inject_frame(&udp(flow));
        nic.step_until_idle(10);
        assert!(!woken(&interrupt), "not armed");
        interrupt.arm().unwrap();
        assert!(!woken(&interrupt), "what was there before is for the second look");
        nic.inject_frame(&udp(flow));
        nic.step_until_idle(10);
        assert!(woken(&interrupt));
        assert!(interrupt.disarm().unwrap() && !woken(&interrupt));
        for (rx, hit) in rx.iter_mut().zip(&mut hit) {
            *hit |= rx.rx_burst(&mut cache, &mut batch) > 0;
        }
        assert_eq!(batch.len(), 2);
        cache.free_batch(&mut batch);
    }
    assert_eq!(hit, [true; 16]);
    assert!(!interrupt.disarm().unwrap(), "nothing has come since");
}

/// UDP from an address of its own.
fn udp(flow: u8) -> Vec<u8> {
    let mut frame = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 9], [2, 0, 0, 0, 0, 1])
        .ipv4([10, 0, 0, flow], [10, 0, 1, 2], 64)
        .udp(1000, 2000)
        .write(&mut frame, &[0; 20])
        .unwrap();
    frame
}

#[test]
fn a_port_gives_its_interrupt_to_one_at_a_time() {
    let mut rig = Rig::new(Drive::Step);
    let first = rig.port.interrupt().unwrap();
    match rig.port.interrupt() {
        Err(Error::State { why }) => assert!(why.contains("taken"), "{why}"),
        other => panic!("{other:?}"),
    }
    drop(first);
    let mut second = rig.port.interrupt().unwrap();
    second.arm().unwrap();
    rig.port.stop().unwrap();
    for result in [second.arm(), second.disarm().map(drop)] {
        assert!(matches!(result, Err(Error::State { .. })), "{result:?}");
    }
    assert!(matches!(rig.port.interrupt(), Err(Error::State { .. })), "stopped");
    let Rig { mut port, rx, pool, .. } = rig;
    drop(rx);
    match port.start(&config(), &pool) {
        Err(Error::State { why }) => assert!(why.contains("interrupt"), "{why}"),
        other => panic!("{other:?}"),
    }
    drop(second);
    let _queues = port.start(&config(), &pool).unwrap();
    port.interrupt().unwrap().arm().unwrap();
}

/// Arming and disarming race with a stop: the interrupt stays masked, and nobody hangs.
#[test]
fn a_stop_in_another_thread_ends_the_interrupt() {
    for round in 0..50u32 {
        let mut rig = Rig::new(Drive::Thread);
        let mut interrupt = rig.port.interrupt().unwrap();
        let ready = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ready);
        let user = thread::spawn(move || {
            flag.store(true, Ordering::Release);
            loop {
                if let Err(e) = interrupt.arm().and_then(|()| interrupt.disarm()) {
                    return e;
                }
            }
        });
        while !ready.load(Ordering::Acquire) {
            thread::yield_now();
        }
        for _ in 0..round * 100 {
            std::hint::spin_loop();
        }
        rig.port.stop().unwrap();
        assert!(matches!(user.join().unwrap(), Error::State { .. }));
        let eims = rig.port.registers().into_iter().find(|r| r.name == "EIMS").unwrap();
        assert_eq!(eims.value, 0, "round {round}");
    }
}
