//! What went over a wire, as QEMU recorded it (libpcap's file format).

use std::net::Ipv4Addr;
use std::path::Path;

/// A frame of Ethernet.
pub(crate) struct Frame(Vec<u8>);

/// Every frame in the record, in order. One that was being written is left out.
pub(crate) fn frames(record: &Path) -> Vec<Frame> {
    let bytes = std::fs::read(record).unwrap();
    let mut rest = bytes.get(24..).unwrap_or_default();
    let mut frames = Vec::new();
    while let Some(length) = rest.get(8..12).map(|four| u32::from_le_bytes(four.try_into().unwrap()) as usize)
    {
        let Some(frame) = rest.get(16..16 + length) else { break };
        frames.push(Frame(frame.to_vec()));
        rest = &rest[16 + length..];
    }
    frames
}

impl Frame {
    pub(crate) fn sender(&self) -> String {
        self.0[6..12].iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    }

    fn kind(&self) -> u16 {
        u16::from_be_bytes([self.0[12], self.0[13]])
    }

    pub(crate) fn is_arp(&self) -> bool {
        self.kind() == 0x0806
    }

    /// Protocol, source, destination and port there, of IPv4.
    pub(crate) fn ipv4(&self) -> Option<(u8, Ipv4Addr, Ipv4Addr, u16)> {
        let packet = &self.0[14..];
        let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
        let head = usize::from(packet.first()? & 15) * 4;
        let port = packet.get(head + 2..head + 4).map(|two| u16::from_be_bytes([two[0], two[1]]));
        (self.kind() == 0x0800).then_some((*packet.get(9)?, address(12)?, address(16)?, port?))
    }
}
