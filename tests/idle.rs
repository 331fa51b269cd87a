//! Sleeping on software NICs: no packet waits for a sleeper, and nothing else does either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use barewire::drivers::sim::{Drive, Model, SimConfig, SimNic};
use barewire::poll::{self, Idle, SleepConfig, Sleeper, Woken, Worker};
use barewire::pool::PoolConfig;
use barewire::port::{
    Control, LinkStatus, MacAddr, Port, PortConfig, PortInfo, PortStats, Queues, RegValue,
    RxInterrupt, RxQueue,
};
use barewire::{Batch, Error, Mempool, PoolCache, Result};

mod kit;

use kit::{Lcg, on_both};

on_both! {
    no_wake_up_is_lost_with_a_nic_in_another_thread,
    no_wake_up_is_lost_with_a_nic_that_moves_when_called,
    an_idle_worker_is_asleep_and_a_stop_wakes_it_in_time,
    a_device_that_is_removed_wakes_its_sleeper_and_is_reported,
    one_worker_sleeps_on_two_ports,
    every_queue_raises_the_interrupt_once_it_is_armed,
    a_port_gives_its_interrupt_to_one_at_a_time,
    a_stop_in_another_thread_ends_the_interrupt,
}

/// Each drive mode that runs by itself.
const DRIVES: [Drive; 2] = [Drive::Thread, Drive::Inline];

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn nic(chip: Model, drive: Drive) -> SimNic {
    let config = SimConfig { chip, wire: "probe".to_owned(), drive, ..SimConfig::default() };
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
    fn new(chip: Model, drive: Drive) -> Self {
        let nic = nic(chip, drive);
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

/// Returns when a packet has come.
type Receive<'a> = dyn FnMut(&mut Rig, &mut Lcg) -> Result<(), String> + 'a;

/// Time in which an application does something else, or is not let run.
fn dawdle(rng: &mut Lcg) {
    match rng.below(16) {
        0 => thread::sleep(nanos(rng.below(100_000))),
        1..4 => thread::yield_now(),
        4..8 => spin(nanos(rng.below(20_000))),
        _ => {}
    }
}

fn nanos(n: usize) -> Duration {
    Duration::from_nanos(n as u64)
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
fn stress(
    (chip, drive): (Model, Drive),
    packets: u32,
    seed: u64,
    receive: &mut Receive<'_>,
) -> Result<(), String> {
    println!("{chip:?}, {drive:?}, seed {seed}");
    let mut rig = Rig::new(chip, drive);
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
                spin(nanos(rng.below(most)));
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

fn stress_sleeper(nic: (Model, Drive), packets: u32, seed: u64) {
    let sleep =
        SleepConfig { after: 0, timeout: Duration::from_secs(10), ..SleepConfig::default() };
    let mut sleeper = None;
    let start = Instant::now();
    let result = stress(nic, packets, seed, &mut |rig, rng| {
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
    assert!(stats.by_interrupt > u64::from(packets) / 20, "{stats:?}");
}

fn no_wake_up_is_lost_with_a_nic_in_another_thread(chip: Model) {
    stress_sleeper((chip, Drive::Thread), packets(chip), 0x1d1e);
}

fn no_wake_up_is_lost_with_a_nic_that_moves_when_called(chip: Model) {
    stress_sleeper((chip, Drive::Inline), packets(chip), 0x1d1f);
}

/// The chips differ in two registers, so the second is looked at more briefly.
fn packets(chip: Model) -> u32 {
    if chip == Model::I82599 { 100_000 } else { 20_000 }
}

/// The control: the same stress finds the bug that the second look prevents.
#[test]
fn without_the_second_look_a_wake_up_is_lost() {
    let mut interrupt = None;
    let result = stress((Model::I82599, Drive::Thread), 100_000, 0x1d20, &mut |rig, rng| {
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

fn an_idle_worker_is_asleep_and_a_stop_wakes_it_in_time(chip: Model) {
    for drive in DRIVES {
        let mut rig = Rig::new(chip, drive);
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

fn a_device_that_is_removed_wakes_its_sleeper_and_is_reported(chip: Model) {
    for drive in DRIVES {
        let mut rig = Rig::new(chip, drive);
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

fn one_worker_sleeps_on_two_ports(chip: Model) {
    for drive in DRIVES {
        let (mut a, mut b) = (Rig::new(chip, drive), Rig::new(chip, drive));
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

/// A port as hardware without a usable interrupt shows itself.
#[derive(Debug)]
struct Mute(Port);

impl Control for Mute {
    fn info(&self) -> &PortInfo {
        self.0.info()
    }
    fn mac(&self) -> MacAddr {
        self.0.mac()
    }
    fn set_mac(&mut self, mac: MacAddr) -> Result<()> {
        self.0.set_mac(mac)
    }
    fn start(&mut self, cfg: &PortConfig, pool: &Mempool) -> Result<Queues> {
        self.0.start(cfg, pool)
    }
    fn attach(&mut self, pool: &Mempool) -> Result<()> {
        self.0.attach(pool)
    }
    fn stop(&mut self) -> Result<()> {
        self.0.stop()
    }
    fn interrupt(&mut self) -> Result<RxInterrupt> {
        Err(Error::NoInterrupt { addr: "0000:03:00.0".to_owned(), why: "a test".to_owned() })
    }
    fn link(&mut self) -> Result<LinkStatus> {
        self.0.link()
    }
    fn set_promiscuous(&mut self, on: bool) -> Result<()> {
        self.0.set_promiscuous(on)
    }
    fn set_allmulticast(&mut self, on: bool) -> Result<()> {
        self.0.set_allmulticast(on)
    }
    fn stats(&mut self) -> Result<PortStats> {
        self.0.stats()
    }
    fn registers(&self) -> Vec<RegValue> {
        self.0.registers()
    }
}

#[test]
fn a_port_without_an_interrupt_is_polled_between_naps() {
    for drive in DRIVES {
        let (mut a, mut b) = (Rig::new(Model::I82599, drive), Rig::new(Model::I82599, drive));
        let nap = Duration::from_micros(500);
        let sleep = SleepConfig { after: 10, nap, timeout: LONG, ..SleepConfig::default() };
        let mut sleeper = Sleeper::new(sleep);
        sleeper.listen_to(&mut a.port).unwrap();
        let mut mute = Port::from_control(Box::new(Mute(b.port)));
        sleeper.listen_to(&mut mute).unwrap();
        let nics = [a.nic.clone(), b.nic.clone()];
        let received = AtomicU32::new(0);
        let start = Instant::now();
        thread::scope(|s| {
            s.spawn(|| {
                for n in 0..20u32 {
                    thread::sleep(Duration::from_millis(5));
                    nics[n as usize % 2].inject_frame(&FRAME);
                    while received.load(Ordering::Relaxed) <= n {
                        thread::yield_now();
                    }
                }
            });
            while received.load(Ordering::Relaxed) < 20 {
                let mut n = a.poll();
                n += b.rx.rx_burst(&mut b.cache, &mut b.batch);
                b.cache.free_batch(&mut b.batch);
                received.fetch_add(n as u32, Ordering::Relaxed);
                sleeper.polled(n).unwrap();
            }
        });
        let stats = sleeper.stats();
        assert!(start.elapsed() < LONG, "{drive:?}");
        assert!(stats.naps > 20 && stats.asleep >= 20 * Duration::from_micros(10), "{stats:?}");
        // The other port's interrupt alone would leave this one waiting.
        assert_eq!(stats.sleeps, 0, "{drive:?}: {stats:?}");
    }
}

/// One thing after the other, by hand.
fn every_queue_raises_the_interrupt_once_it_is_armed(chip: Model) {
    let nic = nic(chip, Drive::Step);
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

fn a_port_gives_its_interrupt_to_one_at_a_time(chip: Model) {
    let mut rig = Rig::new(chip, Drive::Step);
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
fn a_stop_in_another_thread_ends_the_interrupt(chip: Model) {
    let masks = if chip == Model::I82576 { "IMS" } else { "EIMS" };
    for round in 0..50u32 {
        let mut rig = Rig::new(chip, Drive::Thread);
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
        let open = rig.port.registers().into_iter().find(|r| r.name == masks).unwrap();
        assert_eq!(open.value, 0, "round {round}");
    }
}
