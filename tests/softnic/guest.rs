//! A guest with a driver of a few lines, with one ring each way.

use std::fs::File;
use std::os::unix::fs::FileExt;

use barewire::drivers::sim::SimNic;

use crate::client::{CONFIG, Client, memory};
use crate::served::until;

/// Where the guest's memory is for the NIC, and how much there is.
pub(crate) const FIRST: u64 = 0x4_0000_0000;
pub(crate) const LEN: u64 = 0x20_0000;

/// Where what is in it.
const RX_RING: u64 = 0;
const TX_RING: u64 = 0x1000;
const RX_BUFFERS: u64 = 0x1_0000;
const TX_BUFFERS: u64 = 0x4_0000;
/// Descriptors of each ring, and bytes of each buffer.
const SIZE: u32 = 32;
const BUFFER: u64 = 2048;

/// Registers of a queue, from the start of its block (82599 datasheet 8.2.3.8, 8.2.3.9; 82576
/// datasheet 8.10, 8.12).
const BASE: u32 = 0x00;
const BASE_HIGH: u32 = 0x04;
const LENGTH: u32 = 0x08;
const TAIL: u32 = 0x18;
const CONTROL: u32 = 0x28;
/// RXDCTL, TXDCTL: the queue is enabled.
const ENABLE: u32 = 1 << 25;

/// Descriptor done, both ways (82599 datasheet 7.1.6, 7.2.3.3).
const DD: u64 = 1;
/// A data descriptor of the advanced kind: with FCS, end of packet, status wanted.
const SEND: u64 = 3 << 20 | 1 << 29 | 1 << 24 | 1 << 25 | 1 << 27;

/// Where a chip has its registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) rx: u32,
    pub(crate) tx: u32,
    pub(crate) ten_gigabit: bool,
}

impl Layout {
    pub(crate) fn of(device: u16) -> Self {
        match device {
            // 82576, I350
            0x10c9 | 0x1521 => Self { rx: 0xc000, tx: 0xe000, ten_gigabit: false },
            _ => Self { rx: 0x1000, tx: 0x6000, ten_gigabit: true },
        }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) client: Client,
    pub(crate) memory: File,
    pub(crate) layout: Layout,
    sent: u32,
    received: u32,
}

impl Guest {
    /// Boots a guest on a client: maps its memory and starts its driver.
    pub(crate) fn start(client: Client, device: u16) -> Self {
        let memory = memory(LEN);
        client.map(&memory, 0, FIRST, LEN);
        let layout = Layout::of(device);
        let mut guest = Self { client, memory, layout, sent: 0, received: 0 };
        guest.drive();
        guest
    }

    /// Starts the driver on a NIC that was reset.
    pub(crate) fn drive(&mut self) {
        let (client, Layout { rx, tx, ten_gigabit }) = (&self.client, self.layout);
        (self.sent, self.received) = (0, 0);
        self.memory.write_all_at(&vec![0; 0x2000], RX_RING).expect("memory");
        // Memory and bus master.
        client.write(CONFIG, 4, &[6, 0]);
        wait_for_eeprom(client, ten_gigabit);
        for (block, ring) in [(rx, RX_RING), (tx, TX_RING)] {
            self.enable(block + CONTROL, false);
            client.write32(block + BASE, (FIRST + ring) as u32);
            client.write32(block + BASE_HIGH, (FIRST >> 32) as u32);
            client.write32(block + LENGTH, SIZE * 16);
        }
        if ten_gigabit {
            self.program_ten_gigabit()
        } else {
            self.program_gigabit()
        }
        for n in 0..SIZE - 1 {
            self.post(n);
        }
        client.write32(rx + TAIL, SIZE - 1);
        // LINKS, STATUS: the link is up.
        let (links, up) = if ten_gigabit { (0x42a4, 1 << 30) } else { (0x8, 1 << 1) };
        until("link", || (client.read32(links) & up != 0).then_some(()));
    }

    /// 82599 datasheet 4.6.7, 4.6.8.
    fn program_ten_gigabit(&self) {
        let (client, Layout { rx, tx, .. }) = (&self.client, self.layout);
        // FCTRL: promiscuous.
        client.write32(0x5080, 1 << 8 | 1 << 9 | 1 << 10);
        // RDRXCTL, HLREG0: the CRC is not stored.
        client.write32(0x2f00, client.read32(0x2f00) | 1 << 1);
        client.write32(0x4240, client.read32(0x4240) | 1 << 1);
        // SRRCTL: advanced descriptors of one buffer, of 2 KiB.
        client.write32(rx + 0x14, 2 | 1 << 25);
        // DMATXCTL
        client.write32(0x4a80, client.read32(0x4a80) | 1);
        self.enable(rx + CONTROL, true);
        self.enable(tx + CONTROL, true);
        // RXCTRL
        client.write32(0x3000, 1);
    }

    /// 82576 datasheet 4.5.9, 4.5.10.
    fn program_gigabit(&self) {
        let (client, Layout { rx, tx, .. }) = (&self.client, self.layout);
        // CTRL: set link up.
        client.write32(0, client.read32(0) | 1 << 6);
        // SRRCTL
        client.write32(rx + 0x0c, 2 | 1 << 25);
        // TCTL
        client.write32(0x400, client.read32(0x400) | 1 << 1);
        self.enable(rx + CONTROL, true);
        self.enable(tx + CONTROL, true);
        // RCTL: promiscuous, broadcasts, the CRC is not stored.
        client.write32(0x100, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 15 | 1 << 26);
    }

    fn enable(&self, control: u32, on: bool) {
        let client = &self.client;
        let want = if on { ENABLE } else { 0 };
        client.write32(control, client.read32(control) & !ENABLE | want);
        until("a queue's enable", || (client.read32(control) & ENABLE == want).then_some(()));
    }

    /// Reads a word of the guest's memory.
    pub(crate) fn load(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, at).expect("memory");
        u64::from_le_bytes(word)
    }

    fn put(&self, at: u64, descriptor: [u64; 2]) {
        let bytes: Vec<u8> = descriptor.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.memory.write_all_at(&bytes, at).expect("memory");
    }

    /// Gives the NIC a buffer.
    fn post(&self, n: u32) {
        let n = u64::from(n % SIZE);
        self.put(RX_RING + n * 16, [FIRST + RX_BUFFERS + n * BUFFER, 0]);
    }

    /// Has the NIC send a frame, without waiting.
    pub(crate) fn queue(&mut self, frame: &[u8]) {
        let at = TX_BUFFERS + u64::from(self.sent % SIZE) * BUFFER;
        self.memory.write_all_at(frame, at).expect("memory");
        let len = frame.len() as u64;
        let descriptor = [FIRST + at, len | SEND | len << 46];
        self.put(TX_RING + u64::from(self.sent % SIZE) * 16, descriptor);
        self.sent += 1;
        self.client.write32(self.layout.tx + TAIL, self.sent % SIZE);
    }

    /// Puts descriptors into the ring of packets to be sent, whatever they are.
    pub(crate) fn queue_any(&mut self, descriptors: &[[u64; 2]]) {
        for descriptor in descriptors {
            self.put(TX_RING + u64::from(self.sent % SIZE) * 16, *descriptor);
            self.sent += 1;
        }
        self.client.write32(self.layout.tx + TAIL, self.sent % SIZE);
    }

    /// The same as [`queue`](Self::queue), and waits until it is sent.
    pub(crate) fn transmit(&mut self, frame: &[u8]) {
        let at = TX_RING + u64::from(self.sent % SIZE) * 16;
        self.queue(frame);
        until("descriptor done", || (self.load(at + 8) >> 32 & DD != 0).then_some(()));
    }

    /// Waits for a frame.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let n = self.received % SIZE;
        let at = RX_RING + u64::from(n) * 16;
        let status = until("a frame", || Some(self.load(at + 8)).filter(|s| s & DD != 0));
        assert_eq!(status & 2, 2, "the whole packet");
        let mut frame = vec![0; (status >> 32 & 0xffff) as usize];
        let buffer = RX_BUFFERS + u64::from(n) * BUFFER;
        self.memory.read_exact_at(&mut frame, buffer).expect("memory");
        self.post(n + SIZE - 1);
        self.received += 1;
        self.client.write32(self.layout.rx + TAIL, (self.received + SIZE - 1) % SIZE);
        frame
    }

    /// A frame goes out and another comes in, on the wire `probe`. Others may be under way.
    pub(crate) fn passes_frames(&mut self, nic: &SimNic, mark: u64) {
        nic.take_sent();
        let out = frame(mark, 100);
        self.transmit(&out);
        assert!(nic.take_sent().contains(&out), "the frame was not sent");
        let inward = frame(!mark, 200);
        nic.inject_frame(&inward);
        nic.kick();
        // In vain ends with a deadline.
        while self.receive() != inward {}
    }
}

/// EEC, EECD: the EEPROM is loaded.
pub(crate) fn wait_for_eeprom(client: &Client, ten_gigabit: bool) {
    let eec = if ten_gigabit { 0x1_0010 } else { 0x10 };
    until("EEPROM autoload", || (client.read32(eec) & 1 << 9 != 0).then_some(()));
}

/// A frame of `len` bytes that can be told from others.
pub(crate) fn frame(mark: u64, len: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    frame.extend(mark.to_be_bytes());
    frame.extend((frame.len()..len).map(|n| n as u8));
    frame
}
