//! The frames that pktgen makes: UDP in IPv4, formatted once, and per packet one copy and a stamp.
//!
//! ```text
//! Ethernet 14 | VLAN 0 or 4 | IPv4 20 | UDP 8 | stamp 18 | filler
//! stamp: magic 4 | stream 2 | frame length without FCS 2 | sequence number 8 | check 2
//! ```
//! The UDP checksum is 0, "not computed", which IPv4 allows (RFC 768): it would have to change
//! with every sequence number.

use std::sync::Arc;

use barewire::port::MacAddr;
use barewire::{Batch, Mbuf};
use clap::Args;

use crate::common::units::FCS;
use crate::range::{self, Range};

/// First bytes of a stamp.
const MAGIC: u32 = 0x6277_7067;
/// Bytes of the stamp.
pub(crate) const STAMP: usize = 18;
/// Ethernet, IPv4 and UDP header.
const PLAIN: usize = 14 + 20 + 8;
/// The same with a VLAN tag.
const TAGGED: usize = PLAIN + 4;
/// The shortest frame without FCS.
pub(crate) const SHORTEST: usize = 60;
/// Frame sizes with FCS that can be asked for.
const SIZES: std::ops::RangeInclusive<u16> = 64..=9018;
/// The classic mix: 7 x 64, 4 x 594, 1 x 1518 bytes, spread out.
const IMIX: [u16; 12] = [64, 594, 64, 64, 594, 64, 1518, 64, 594, 64, 594, 64];

/// What the frames look like.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Frames")]
pub(crate) struct FrameOptions {
    /// Frame size with FCS: N, A-B (stepping), or imix (7 x 64, 4 x 594, 1 x 1518)
    #[arg(long, value_name = "SIZE", default_value = "64", value_parser = parse_sizes)]
    pub(crate) size: Sizes,
    /// Source address or range A-B [default: the transmitting port's]
    #[arg(long, value_name = "MAC", value_parser = range::parse_macs)]
    pub(crate) src_mac: Option<Range>,
    /// Destination address or range A-B [default: the receiving port's, or 02:00:00:00:00:02]
    #[arg(long, value_name = "MAC", value_parser = range::parse_macs)]
    pub(crate) dst_mac: Option<Range>,
    /// IPv4 source: address, range A-B or network A/N
    #[arg(long, value_name = "IP", default_value = "198.18.0.1", value_parser = range::parse_ips)]
    pub(crate) src_ip: Range,
    /// IPv4 destination, likewise
    #[arg(long, value_name = "IP", default_value = "198.18.0.2", value_parser = range::parse_ips)]
    pub(crate) dst_ip: Range,
    /// UDP source port or range A-B [default: 49152 + number of the queue]
    #[arg(long, value_name = "PORT", value_parser = range::parse_ports)]
    pub(crate) src_port: Option<Range>,
    /// UDP destination port or range A-B
    #[arg(long, value_name = "PORT", default_value = "9", value_parser = range::parse_ports)]
    pub(crate) dst_port: Range,
    /// Tag frames with this VLAN, 0 to 4095
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u16).range(0..=4095))]
    pub(crate) vlan: Option<u16>,
    /// Frames without sequence number and check, all alike; for --mode txonly
    #[arg(long)]
    pub(crate) unnumbered: bool,
}

/// Frame sizes without FCS, taken in turns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes(pub(crate) Vec<u16>);

impl Sizes {
    /// The largest.
    pub(crate) fn largest(&self) -> u16 {
        self.0.iter().copied().max().unwrap_or(0)
    }

    fn smallest(&self) -> u16 {
        self.0.iter().copied().min().unwrap_or(0)
    }
}

fn parse_sizes(s: &str) -> Result<Sizes, String> {
    if s.eq_ignore_ascii_case("imix") {
        return Ok(Sizes(IMIX.iter().map(|n| n - FCS).collect()));
    }
    let one = |part: &str| {
        part.parse::<u16>().ok().filter(|n| SIZES.contains(n)).ok_or_else(|| {
            format!("frame too short or too long: {} to {} bytes with FCS, A-B, or imix", 64, 9018)
        })
    };
    let (a, b) = s.split_once('-').unwrap_or((s, s));
    let (a, b) = (one(a)?, one(b)?);
    if a > b {
        return Err(format!("'{s}' runs backwards"));
    }
    Ok(Sizes((a - FCS..=b - FCS).collect()))
}

/// The fields that can step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields<T> {
    src_mac: T,
    dst_mac: T,
    src_ip: T,
    dst_ip: T,
    src_port: T,
    dst_port: T,
}

/// One stream's frames, formatted.
#[derive(Debug)]
pub(crate) struct Template {
    /// Bytes before the stamp.
    head: usize,
    sizes: Vec<u16>,
    /// Headers for each size.
    heads: Vec<[u8; TAGGED]>,
    /// First eight bytes of the stamp for each size.
    marks: Vec<[u8; 8]>,
    /// IPv4 header sum for each size, without the addresses.
    sums: Vec<u32>,
    /// Index in `sizes` by frame length; `u16::MAX` for lengths that are not made.
    by_len: Vec<u16>,
    /// The longest frame, with the first size's headers.
    image: Vec<u8>,
    /// Ranges of the fields, when any has more than one value.
    ranges: Option<Fields<Range>>,
    /// The one frame there is, when it is the shortest, untagged, and nothing steps: the usual
    /// case, for which generator and checker have a short way.
    short: Option<[u8; SHORTEST]>,
    /// Whether frames carry a stamp.
    numbered: bool,
}

/// Bytes of the shortest frame before its sequence number.
pub(crate) const START: usize = PLAIN + 8;

impl Template {
    /// Formats the frames of stream `stream`.
    ///
    /// # Errors
    /// When the smallest size has no room for headers and stamp.
    pub(crate) fn new(
        options: &FrameOptions,
        stream: u16,
        src: MacAddr,
        dst: MacAddr,
    ) -> Result<Self, String> {
        let head = if options.vlan.is_some() { TAGGED } else { PLAIN };
        let least = head + STAMP;
        let smallest = options.size.smallest();
        if usize::from(smallest) < least {
            let (given, least) = (smallest + FCS, least + usize::from(FCS));
            return Err(format!(
                "frame length = {given} is not allowed; allowed: {least} to 9018 with a VLAN tag"
            ));
        }
        let ranges = Fields {
            src_mac: options.src_mac.unwrap_or(Range::fixed(range::mac_number(src))),
            dst_mac: options.dst_mac.unwrap_or(Range::fixed(range::mac_number(dst))),
            src_ip: options.src_ip,
            dst_ip: options.dst_ip,
            src_port: options
                .src_port
                .unwrap_or(Range::fixed(u64::from(49152 + (stream & 0x3fff)))),
            dst_port: options.dst_port,
        };
        let sizes = options.size.0.clone();
        let mut made = Self {
            head,
            heads: Vec::with_capacity(sizes.len()),
            marks: Vec::with_capacity(sizes.len()),
            sums: Vec::with_capacity(sizes.len()),
            by_len: vec![u16::MAX; usize::from(options.size.largest()) + 1],
            image: (0..options.size.largest()).map(|i| i as u8).collect(),
            ranges: None,
            short: None,
            numbered: !options.unnumbered,
            sizes,
        };
        for (i, len) in made.sizes.iter().enumerate() {
            let mut bytes = [0; TAGGED];
            let sum = format_head(&mut bytes, options.vlan, *len);
            put_fields(&mut bytes, head, sum, &ranges.first());
            made.heads.push(bytes);
            made.sums.push(sum);
            made.marks.push(mark(stream, *len));
            made.by_len[usize::from(*len)] = i as u16;
        }
        made.image[..head].copy_from_slice(&made.heads[0][..head]);
        if made.numbered {
            made.image[head..head + 8].copy_from_slice(&made.marks[0]);
        }
        made.ranges = ranges.vary().then_some(ranges);
        if made.ranges.is_none() && made.sizes.len() == 1 && head == PLAIN {
            made.short = <[u8; SHORTEST]>::try_from(&made.image[..]).ok();
        }
        Ok(made)
    }

    /// Whether every packet of a stream belongs to the same flow, so that order is kept whatever
    /// the number of queues.
    pub(crate) fn one_flow(&self) -> bool {
        self.ranges.is_none()
    }

    /// What a frame begins with, up to its sequence number, when every frame is the shortest.
    pub(crate) fn short_start(&self) -> Option<[u8; START]> {
        self.short.as_ref().and_then(|f| f.first_chunk().copied())
    }

    /// Whether `frame` is byte for byte what this template makes, whatever the sequence number
    /// and the fields that step.
    #[inline]
    pub(crate) fn verify(&self, frame: &[u8]) -> bool {
        let Some(&i) = self.by_len.get(frame.len()) else { return false };
        let i = usize::from(i);
        let (Some(head), Some(mark)) = (self.heads.get(i), self.marks.get(i)) else {
            return false;
        };
        let stamp = self.head;
        if self.ranges.is_none() && frame[..stamp] != head[..stamp] {
            return false;
        }
        let tail = stamp + STAMP;
        frame.get(stamp..stamp + 8) == Some(&mark[..])
            && (frame.len() <= tail || frame[tail..] == self.image[tail..frame.len()])
    }
}

impl Fields<Range> {
    fn first(&self) -> Fields<u64> {
        Fields {
            src_mac: self.src_mac.first,
            dst_mac: self.dst_mac.first,
            src_ip: self.src_ip.first,
            dst_ip: self.dst_ip.first,
            src_port: self.src_port.first,
            dst_port: self.dst_port.first,
        }
    }

    fn vary(&self) -> bool {
        let Self { src_mac, dst_mac, src_ip, dst_ip, src_port, dst_port } = self;
        [src_mac, dst_mac, src_ip, dst_ip, src_port, dst_port].iter().any(|r| !r.is_fixed())
    }

    fn step(&self, now: &mut Fields<u64>) {
        now.src_mac = self.src_mac.after(now.src_mac);
        now.dst_mac = self.dst_mac.after(now.dst_mac);
        now.src_ip = self.src_ip.after(now.src_ip);
        now.dst_ip = self.dst_ip.after(now.dst_ip);
        now.src_port = self.src_port.after(now.src_port);
        now.dst_port = self.dst_port.after(now.dst_port);
    }
}

/// Writes everything but the fields that can step; gives the IPv4 header sum without addresses.
fn format_head(head: &mut [u8; TAGGED], vlan: Option<u16>, len: u16) -> u32 {
    let mut at = 12;
    let mut put = |bytes: &[u8]| {
        head[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    if let Some(id) = vlan {
        put(&[0x81, 0x00]);
        put(&id.to_be_bytes());
    }
    put(&[0x08, 0x00]);
    let ip_len = len - if vlan.is_some() { 18 } else { 14 };
    // Version 4, 5 words; don't fragment; 64 hops; UDP.
    let words = [0x4500, ip_len, 0, 0x4000, 0x4011];
    for word in words {
        put(&word.to_be_bytes());
    }
    put(&[0; 2 + 8 + 4]);
    put(&(ip_len - 20).to_be_bytes());
    words.iter().map(|w| u32::from(*w)).sum()
}

/// Writes the fields that can step, and the IPv4 header checksum.
#[inline]
fn put_fields(bytes: &mut [u8], head: usize, sum: u32, f: &Fields<u64>) {
    let ip = head - 28;
    bytes[0..6].copy_from_slice(&f.dst_mac.to_be_bytes()[2..]);
    bytes[6..12].copy_from_slice(&f.src_mac.to_be_bytes()[2..]);
    let (src, dst) = (f.src_ip as u32, f.dst_ip as u32);
    let mut sum = sum + (src >> 16) + (src & 0xffff) + (dst >> 16) + (dst & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    bytes[ip + 10..ip + 12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    bytes[ip + 12..ip + 16].copy_from_slice(&src.to_be_bytes());
    bytes[ip + 16..ip + 20].copy_from_slice(&dst.to_be_bytes());
    bytes[ip + 20..ip + 22].copy_from_slice(&(f.src_port as u16).to_be_bytes());
    bytes[ip + 22..ip + 24].copy_from_slice(&(f.dst_port as u16).to_be_bytes());
}

fn mark(stream: u16, len: u16) -> [u8; 8] {
    let [a, b] = stream.to_be_bytes();
    let [c, d] = len.to_be_bytes();
    let [m, n, o, p] = MAGIC.to_be_bytes();
    [m, n, o, p, a, b, c, d]
}

/// Sixteen bits that depend on all of mark and sequence number.
#[inline(always)]
fn check(mark: u64, seq: u64) -> u16 {
    (product(mark, seq) >> 48) as u16
}

/// Its upper sixteen bits are the check.
#[inline(always)]
fn product(mark: u64, seq: u64) -> u64 {
    (mark ^ seq.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The stream and the sequence number of one of the shortest frames. Nothing is checked but the
/// last two bytes.
#[inline(always)]
pub(crate) fn read_short(frame: &[u8; SHORTEST]) -> Option<Stamp> {
    let word =
        |at: usize| frame[at..].first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let (mark, seq) = (word(PLAIN), word(START));
    let sum = u16::from_be_bytes([frame[SHORTEST - 2], frame[SHORTEST - 1]]);
    (sum == check(mark, seq)).then_some(Stamp { stream: (mark >> 16) as u16, seq })
}

/// What a stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) stream: u16,
    pub(crate) seq: u64,
}

/// What a received frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// One of ours, with an intact stamp.
    Good(Stamp),
    /// One of ours, damaged.
    Damaged,
    /// Not made by pktgen.
    Foreign,
}

/// Reads a frame's stamp.
#[inline]
pub(crate) fn read_stamp(frame: &[u8]) -> Reading {
    // A tagged frame carries its stamp four bytes further back.
    let at = match frame.get(12..14) {
        Some([0x81, 0x00]) => TAGGED,
        _ => PLAIN,
    };
    let Some(stamp) = frame.get(at..).and_then(<[u8]>::first_chunk::<STAMP>) else {
        return Reading::Foreign;
    };
    let (mark, rest) = stamp.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    if mark[..4] != MAGIC.to_be_bytes() {
        return Reading::Foreign;
    }
    let (seq, sum) = rest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let (word, seq) = (u64::from_be_bytes(*mark), u64::from_be_bytes(*seq));
    if u64::from(word as u16) != frame.len() as u64 || *sum != check(word, seq).to_be_bytes() {
        return Reading::Damaged;
    }
    Reading::Good(Stamp { stream: (word >> 16) as u16, seq })
}

/// Makes one stream's packets.
#[derive(Debug)]
pub(crate) struct Generator {
    template: Arc<Template>,
    /// Index of the next size.
    size: usize,
    now: Fields<u64>,
    /// The next sequence number: how many were made.
    pub(crate) seq: u64,
}

impl Generator {
    /// Starts at sequence number 0.
    pub(crate) fn new(template: Arc<Template>) -> Self {
        let now = template.ranges.map_or(
            Fields { src_mac: 0, dst_mac: 0, src_ip: 0, dst_ip: 0, src_port: 0, dst_port: 0 },
            |r| r.first(),
        );
        Self { template, size: 0, now, seq: 0 }
    }

    /// Length of the next packet, without FCS.
    #[inline(always)]
    pub(crate) fn next_len(&self) -> u16 {
        self.template.sizes[self.size]
    }

    /// How long packets had best be that are given to [`make_all`](Self::make_all).
    #[inline(always)]
    pub(crate) fn fresh_len(&self) -> u16 {
        if self.template.short.is_some() { SHORTEST as u16 } else { 0 }
    }

    /// Makes an empty packet the next one. Its buffer must have room for the longest.
    #[inline]
    pub(crate) fn make(&mut self, packet: &mut Mbuf) {
        if packet.set_len(usize::from(self.next_len())).is_ok() {
            self.write(packet.data_mut());
        }
    }

    /// The same for a batch of packets that are empty or of the right length already.
    #[inline]
    pub(crate) fn make_all(&mut self, packets: &mut Batch) {
        let t = &self.template;
        let Some(frame) = t.short else {
            packets.iter_mut().for_each(|packet| self.make(packet));
            return;
        };
        if t.numbered {
            let mark = u64::from_be_bytes(t.marks[0]);
            self.make_short(&frame, packets, |to, seq| {
                to[START..START + 8].copy_from_slice(&seq.to_be_bytes());
                to[START + 8..].copy_from_slice(&product(mark, seq).to_be_bytes()[..2]);
            });
        } else {
            self.make_short(&frame, packets, |_, _| ());
        }
    }

    /// Copies the frame, which is four moves; `stamp` writes over it what is different each time.
    #[inline(always)]
    fn make_short(
        &mut self,
        frame: &[u8; SHORTEST],
        packets: &mut Batch,
        stamp: impl Fn(&mut [u8; SHORTEST], u64),
    ) {
        let mut seq = self.seq;
        for packet in packets.iter_mut() {
            if packet.len() != SHORTEST && packet.set_len(SHORTEST).is_err() {
                continue;
            }
            let Some(to) = packet.data_mut().first_chunk_mut::<SHORTEST>() else { continue };
            *to = *frame;
            stamp(to, seq);
            seq += 1;
        }
        self.seq = seq;
    }

    fn write(&mut self, bytes: &mut [u8]) {
        let t = &*self.template;
        let (head, len) = (t.head, bytes.len());
        bytes.copy_from_slice(&t.image[..len]);
        if t.sizes.len() > 1 {
            bytes[..head].copy_from_slice(&t.heads[self.size][..head]);
            if t.numbered {
                bytes[head..head + 8].copy_from_slice(&t.marks[self.size]);
            }
        }
        if let Some(ranges) = &t.ranges {
            put_fields(bytes, head, t.sums[self.size], &self.now);
            ranges.step(&mut self.now);
        }
        if t.numbered {
            let mark = u64::from_be_bytes(t.marks[self.size]);
            bytes[head + 8..head + 16].copy_from_slice(&self.seq.to_be_bytes());
            bytes[head + 16..head + 18].copy_from_slice(&check(mark, self.seq).to_be_bytes());
        }
        self.seq += 1;
        self.size += 1;
        if self.size == t.sizes.len() {
            self.size = 0;
        }
    }
}

#[cfg(test)]
#[path = "template/tests.rs"]
mod tests;
