//! Typed registers from one table per chip.
//!
//! The [`registers!`](crate::registers) macro turns each line of a chip's table into a type whose
//! metadata (name, offset, access mode, reset value, datasheet section) also feeds the register
//! dump, the software NIC's register file and the golden test.

use super::Bar;

/// What reading and writing a register does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read-only.
    Ro,
    /// Read and write.
    Rw,
    /// Write-only; reads as zero.
    Wo,
    /// Reading clears it; writes are ignored. Counters wrap or stick as their section says.
    Rc,
    /// Writing ones clears those bits.
    W1c,
    /// Writing ones sets those bits; nothing is cleared by zeros.
    W1s,
    /// Read and write, but some bits clear themselves when the device is done.
    Sc,
}

/// A bit field of a register, `hi..=lo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Datasheet name.
    pub name: &'static str,
    /// Lowest bit.
    pub lo: u8,
    /// Highest bit, included.
    pub hi: u8,
}

impl Field {
    /// The field's bits in place.
    #[inline(always)]
    pub const fn mask(self) -> u32 {
        (((1u64 << (self.hi - self.lo + 1)) - 1) as u32) << self.lo
    }
}

/// What the table says about one register (or one array of them).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegMeta {
    /// Datasheet name.
    pub name: &'static str,
    /// Byte offset of element 0.
    pub offset: u32,
    /// How many elements.
    pub count: u32,
    /// Bytes between elements (0 for a single register).
    pub stride: u32,
    /// Access mode.
    pub access: Access,
    /// Value after a device reset.
    pub reset: u32,
    /// Datasheet section.
    pub section: &'static str,
    /// One line on what it is.
    pub doc: &'static str,
    /// Its bit fields.
    pub fields: &'static [Field],
}

impl RegMeta {
    /// Byte offset of element `index`. Out-of-range elements land outside every BAR.
    #[inline(always)]
    pub const fn offset_of(&self, index: u32) -> u32 {
        if index < self.count { self.offset + self.stride * index } else { !3 }
    }
}

/// One register type of a chip's table; the value is the raw 32 bits.
pub trait Register: Copy + 'static {
    /// The table's line.
    const META: RegMeta;
    /// Wraps raw bits.
    fn from_raw(raw: u32) -> Self;
    /// The raw bits.
    fn raw(self) -> u32;

    /// Reads the register (element 0).
    #[inline]
    fn read<B: Bar>(bar: &B) -> Self {
        Self::read_at(bar, 0)
    }
    /// Reads element `index`.
    #[inline]
    fn read_at<B: Bar>(bar: &B, index: u32) -> Self {
        Self::from_raw(bar.read32(Self::META.offset_of(index)))
    }
    /// Writes the register (element 0).
    #[inline]
    fn write<B: Bar>(self, bar: &B) {
        self.write_at(bar, 0);
    }
    /// Writes element `index`.
    #[inline]
    fn write_at<B: Bar>(self, bar: &B, index: u32) {
        bar.write32(Self::META.offset_of(index), self.raw());
    }
    /// The value of one field, shifted down.
    #[inline]
    fn get(self, field: Field) -> u32 {
        (self.raw() & field.mask()) >> field.lo
    }
    /// Whether any bit of the field is set.
    #[inline]
    fn has(self, field: Field) -> bool {
        self.raw() & field.mask() != 0
    }
    /// The same value with one field replaced; bits of `value` that do not fit are dropped.
    #[inline]
    fn with(self, field: Field, value: u32) -> Self {
        Self::from_raw((self.raw() & !field.mask()) | ((value << field.lo) & field.mask()))
    }
}

/// Declares a chip's register table.
///
/// ```
/// use barewire::mmio::{Access, Register};
/// barewire::registers! {
///     /// A table with two lines.
///     pub table DEMO;
///     /// Device control.
///     CTRL @ 0x00000, Rw, reset 0, "8.2.3.1.1" { LRST = 3, RST = 26 }
///     /// Receive descriptor control.
///     RXDCTL[64; 0x40] @ 0x01028, Rw, reset 0, "8.2.3.8.6" { ENABLE = 25, VME = 30 }
/// }
/// assert_eq!(RXDCTL::META.offset_of(2), 0x10a8);
/// assert_eq!(CTRL::default().with(CTRL::RST, 1).raw(), 1 << 26);
/// assert_eq!(DEMO[1].name, "RXDCTL");
/// assert_eq!(DEMO[1].access, Access::Rw);
/// ```
#[macro_export]
macro_rules! registers {
    (
        $(#[$tmeta:meta])* $tvis:vis table $table:ident;
        $( $(#[doc = $doc:literal])+ $name:ident $([$count:expr; $stride:expr])? @ $offset:expr, $access:ident, reset $reset:expr, $section:literal
           $({ $($field:ident = $lo:literal $(..= $hi:literal)?),* $(,)? })? )*
    ) => {
        $(
            $(#[doc = $doc])+
            #[doc = concat!("\n\nDatasheet section ", $section, ".")]
            #[allow(clippy::upper_case_acronyms, non_camel_case_types)]
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
            $tvis struct $name(pub u32);
            #[allow(missing_docs, dead_code, unreachable_pub)]
            impl $name {
                $($(
                    pub const $field: $crate::mmio::Field = $crate::mmio::Field {
                        name: stringify!($field),
                        lo: $lo,
                        hi: $crate::registers!(@hi $lo $($hi)?),
                    };
                )*)?
            }
            impl $crate::mmio::Register for $name {
                const META: $crate::mmio::RegMeta = $crate::mmio::RegMeta {
                    name: stringify!($name),
                    offset: $offset,
                    count: $crate::registers!(@or 1, $($count)?),
                    stride: $crate::registers!(@or 0, $($stride)?),
                    access: $crate::mmio::Access::$access,
                    reset: $reset,
                    section: $section,
                    doc: concat!($($doc),+).trim_ascii(),
                    fields: &[$($(Self::$field),*)?],
                };
                #[inline(always)]
                fn from_raw(raw: u32) -> Self { Self(raw) }
                #[inline(always)]
                fn raw(self) -> u32 { self.0 }
            }
        )*
        $(#[$tmeta])*
        $tvis const $table: &[$crate::mmio::RegMeta] = &[$(<$name as $crate::mmio::Register>::META),*];
    };
    (@hi $lo:literal) => { $lo };
    (@hi $lo:literal $hi:literal) => { $hi };
    (@or $default:expr,) => { $default };
    (@or $default:expr, $given:expr) => { $given };
}
