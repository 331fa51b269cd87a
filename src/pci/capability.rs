//! The linked list of capabilities in config space (PCI Local Bus Specification 3.0, 6.7).

use super::{ConfigSpace, Status};
use crate::error::Result;

/// Where the list starts.
const POINTER: u16 = 0x34;
/// Capabilities lie behind the 64-byte header.
const FIRST: u8 = 0x40;
/// As many as fit in 256 bytes; more mean a loop.
const MOST: usize = (256 - FIRST as usize) / 4;

/// One entry of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// What it is.
    pub id: u8,
    /// Where it starts.
    pub offset: u8,
}

impl Capability {
    /// Id of power management.
    pub const POWER: u8 = 0x01;
    /// Id of message-signalled interrupts.
    pub const MSI: u8 = 0x05;
    /// Id of PCI Express.
    pub const EXPRESS: u8 = 0x10;
    /// Id of MSI-X.
    pub const MSI_X: u8 = 0x11;
}

impl ConfigSpace {
    /// All capabilities, in list order. The walk ends at a pointer that leads out of the list's
    /// area or back, whatever the device says.
    ///
    /// # Errors
    /// When config space cannot be read that far; see [`read_u8`](ConfigSpace::read_u8).
    pub fn capabilities(&self) -> Result<Vec<Capability>> {
        let mut found: Vec<Capability> = Vec::new();
        if !self.status()?.contains(Status::CAPABILITIES) {
            return Ok(found);
        }
        // The two low bits of a pointer are reserved.
        let mut offset = self.read_u8(POINTER)? & !3;
        while offset >= FIRST && found.len() < MOST {
            if found.iter().any(|c| c.offset == offset) {
                break;
            }
            let head = self.read_u16(u16::from(offset))?;
            let id = (head & 0xff) as u8;
            // What a device that just vanished reads.
            if id == 0xff {
                break;
            }
            found.push(Capability { id, offset });
            offset = (head >> 8) as u8 & !3;
        }
        Ok(found)
    }

    /// The first capability called `id`.
    ///
    /// # Errors
    /// As [`capabilities`](ConfigSpace::capabilities).
    pub fn capability(&self, id: u8) -> Result<Option<Capability>> {
        Ok(self.capabilities()?.into_iter().find(|c| c.id == id))
    }
}
