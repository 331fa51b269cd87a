//! What the module's memory holds (SFF-8472 chapters 5 to 9).

use super::Light;

/// One page behind one bus address.
pub(super) type Page = [u8; 256];

fn put(page: &mut Page, at: usize, bytes: &[u8]) {
    for (to, from) in page.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

/// A field of ASCII, left-justified in spaces.
fn text(page: &mut Page, at: usize, len: usize, text: &str) {
    let spaces = std::iter::repeat(b' ');
    for (to, from) in page.iter_mut().skip(at).take(len).zip(text.bytes().chain(spaces)) {
        *to = if from.is_ascii_graphic() { from } else { b' ' };
    }
}

fn word(page: &mut Page, at: usize, value: u16) {
    put(page, at, &value.to_be_bytes());
}

/// The sum of bytes `from` to `to - 1` in byte `to`.
fn check(page: &mut Page, from: usize, to: usize) {
    page[to] = page[from..to].iter().fold(0u8, |s, b| s.wrapping_add(*b));
}

/// The page at 0xA0.
pub(super) fn identity(serial: &str) -> Page {
    let mut page = [0; 256];
    // SFP, identified by this memory, LC connector.
    put(&mut page, 0, &[0x03, 0x04, 0x07]);
    // 10GBASE-SR and 1000BASE-SX.
    page[3] = 0x10;
    page[6] = 0x01;
    // 64B/66B at 10.3 Gbit/s.
    put(&mut page, 11, &[0x06, 103]);
    // Reach: 80 m of 50 µm, 30 m of 62.5 µm and 300 m of OM3 fibre.
    put(&mut page, 16, &[8, 3, 0, 30]);
    text(&mut page, 20, 16, "Barewire");
    // A locally administered prefix: nobody's OUI.
    put(&mut page, 37, &[0x02, 0x82, 0x59]);
    text(&mut page, 40, 16, "SIM-SFP10G-SR");
    text(&mut page, 56, 4, "A");
    word(&mut page, 60, 850);
    check(&mut page, 0, 63);
    // Rate select, TX disable, TX fault and loss of signal are pins.
    page[65] = 0x3a;
    text(&mut page, 68, 16, serial);
    text(&mut page, 84, 8, "260101");
    // Diagnostics, calibrated by the module, average receive power.
    page[92] = 0x68;
    // Alarm and warning flags; TX fault, loss of signal and rate select by software.
    page[93] = 0xb8;
    // SFF-8472 revision 12.
    page[94] = 0x08;
    check(&mut page, 64, 95);
    page
}

/// One measurement: value, limits of alarm and warning.
struct Measure {
    value: u16,
    high_alarm: u16,
    low_alarm: u16,
    high_warning: u16,
    low_warning: u16,
}

/// In the order of bytes 96 to 105.
const MEASURES: [Measure; 5] = [
    // Temperature in 1/256 °C: 35.5 within -5 to 75.
    Measure {
        value: 0x2380,
        high_alarm: 75 << 8,
        low_alarm: (-5i16 << 8) as u16,
        high_warning: 70 << 8,
        low_warning: 0,
    },
    // Supply in 100 µV.
    Measure {
        value: 33_000,
        high_alarm: 36_300,
        low_alarm: 29_700,
        high_warning: 34_650,
        low_warning: 31_350,
    },
    // Laser bias in 2 µA.
    Measure {
        value: 3_000,
        high_alarm: 5_500,
        low_alarm: 1_000,
        high_warning: 5_000,
        low_warning: 1_250,
    },
    // Transmit power in 0.1 µW.
    Measure {
        value: 6_000,
        high_alarm: 14_100,
        low_alarm: 740,
        high_warning: 11_220,
        low_warning: 1_175,
    },
    // Receive power in 0.1 µW.
    Measure {
        value: 5_000,
        high_alarm: 15_850,
        low_alarm: 100,
        high_warning: 12_590,
        low_warning: 251,
    },
];

/// The page at 0xA2, but for what is measured.
pub(super) fn diagnostics() -> Page {
    let mut page = [0; 256];
    for (n, m) in MEASURES.iter().enumerate() {
        for (k, limit) in
            [m.high_alarm, m.low_alarm, m.high_warning, m.low_warning].into_iter().enumerate()
        {
            word(&mut page, n * 8 + k * 2, limit);
        }
    }
    // Calibration that changes nothing: slopes of one, offsets of zero.
    put(&mut page, 68, &1f32.to_be_bytes());
    for slope in [76, 80, 84, 88] {
        word(&mut page, slope, 0x0100);
    }
    check(&mut page, 0, 95);
    page
}

/// Bytes 96 to 117: measurements, status, and the flags they raise.
pub(super) fn measure(page: &mut Page, light: Light) {
    let (mut alarms, mut warnings) = (0u16, 0u16);
    for (n, m) in MEASURES.iter().enumerate() {
        let dark = match n {
            2 | 3 => !light.sent,
            4 => !light.received,
            _ => false,
        };
        word(page, 96 + n * 2, if dark { 0 } else { m.value });
        // Two flags a measurement, from the top down: high, low.
        let low = u16::from(dark) << (14 - n * 2);
        alarms |= low;
        warnings |= low;
    }
    // TX disable state, and loss of signal.
    page[110] = page[110] & 0x08 | u8::from(!light.sent) << 7 | u8::from(!light.received) << 1;
    word(page, 112, alarms);
    word(page, 116, warnings);
}
