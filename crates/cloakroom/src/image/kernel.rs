//! The kernel: taken as it is where it is an ELF file, else unpacked from a distribution's vmlinuz. Unpacked once, here, it boots under every
//! hypervisor (Firecracker takes nothing else), and no machine spends its start on it.

use crate::failure::Failure;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const ELF: &[u8] = b"\x7fELF";
/// No kernel is larger; a payload that says so is no kernel.
const LARGEST: u64 = 512 << 20;
/// The frame that the kernel's own build writes (lz4 -l): blocks of at most this, unpacked.
const LZ4_LEGACY: &[u8] = b"\x02\x21\x4c\x18";
const LZ4_BLOCK: usize = 8 << 20;

/// The uncompressed kernel in this file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = super::read(path)?;
    if bytes.starts_with(ELF) {
        return Ok(bytes);
    }
    unpacked(&bytes).ok_or_else(|| {
        Failure::bad_input(format!("{} is no kernel that can be unpacked here", path.display()))
            .hinting("name an uncompressed vmlinux, or a vmlinuz for x86-64 that is packed with gzip, LZ4 or Zstandard, or with XZ where the program xz is installed")
    })
}

/// As [`read`], but one that cannot be unpacked here is left to unpack itself, which takes a machine time at each start. QEMU boots both.
pub(crate) fn bootable(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = super::read(path)?;
    let packs_itself = bytes.get(0x202..0x206) == Some(b"HdrS") && unpacked(&bytes).is_none();
    if packs_itself { Ok(bytes) } else { read(path) }
}

/// The version in the kernel's own words.
pub(super) fn version(kernel: &[u8]) -> Option<String> {
    let words = b"Linux version ";
    let at = kernel.windows(words.len()).position(|window| window == words)? + words.len();
    let version = kernel[at..].split(|b| b.is_ascii_whitespace()).next()?;
    String::from_utf8(version.to_vec()).ok().filter(|version| version.len() < 100)
}

/// The payload of a bzImage (Documentation/arch/x86/boot.rst: setup_sects, header, payload_offset, payload_length).
fn unpacked(image: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| image.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let begin = (sectors + 1) * 512 + usize::try_from(number(0x248)?).ok()?;
    let end = begin.checked_add(usize::try_from(number(0x24c)?).ok()?)?;
    // The last four bytes say how long the unpacked kernel is.
    let payload = image.get(begin..end.checked_sub(4)?)?;
    let kernel = match payload {
        [0x1f, 0x8b, ..] => all_of(flate2::read::GzDecoder::new(payload))?,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => xz(payload)?,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => all_of(ruzstd::decoding::StreamingDecoder::new(payload).ok()?)?,
        _ => lz4(payload.strip_prefix(LZ4_LEGACY)?)?,
    };
    kernel.starts_with(ELF).then_some(kernel)
}

/// By the program xz, where it is installed: the filter that kernels are packed through is in no crate here.
fn xz(payload: &[u8]) -> Option<Vec<u8>> {
    let mut xz = Command::new("xz");
    let mut xz =
        xz.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let (mut to, from) = (xz.stdin.take()?, xz.stdout.take()?);
    let kernel = std::thread::scope(|scope| {
        scope.spawn(move || to.write_all(payload));
        all_of(from)
    });
    // Without its end, what came is no kernel.
    xz.wait().ok()?.success().then_some(kernel).flatten()
}

fn all_of(from: impl Read) -> Option<Vec<u8>> {
    let mut kernel = Vec::new();
    from.take(LARGEST).read_to_end(&mut kernel).ok()?;
    Some(kernel)
}

/// Blocks, each behind its length.
fn lz4(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut kernel = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let block = lz4_flex::block::decompress(after.get(..length)?, LZ4_BLOCK).ok()?;
        kernel.extend(block);
        rest = &after[length..];
    }
    Some(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len() + 4).unwrap().to_le_bytes());
        [&image[..], payload, &[0; 4]].concat()
    }

    /// As the kernel's own build packs one.
    fn by_xz(kernel: &[u8]) -> Vec<u8> {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("kernel");
        std::fs::write(&file, kernel).unwrap();
        let xz = Command::new("xz").args(["--check=crc32", "--x86", "--lzma2", "-zc"]).arg(&file).output();
        xz.expect("xz is there: cargo xtask test installs it").stdout
    }

    #[test]
    fn a_kernel_is_unpacked_whatever_it_is_packed_with() {
        let kernel = [ELF, b" Linux version 6.1.0-56 (somebody)", &[7; 3000]].concat();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&kernel).unwrap();
        assert_eq!(unpacked(&packed(&gzip.finish().unwrap())), Some(kernel.clone()));
        // One block of literals: token, lengths beyond 15, bytes.
        let rest = kernel.len() - 15;
        let mut block = vec![0xf0];
        block.extend(std::iter::repeat_n(255, rest / 255));
        block.push(u8::try_from(rest % 255).unwrap());
        block.extend(&kernel);
        let frame = [LZ4_LEGACY, &u32::try_from(block.len()).unwrap().to_le_bytes(), &block].concat();
        assert_eq!(unpacked(&packed(&frame)), Some(kernel.clone()));
        assert_eq!(version(&kernel).as_deref(), Some("6.1.0-56"));
        for cut in [3, 100, frame.len() - 1] {
            assert_eq!(unpacked(&packed(&frame[..cut])), None, "{cut}");
        }
        assert_eq!(unpacked(&packed(&by_xz(&kernel))), Some(kernel.clone()));
        let whole = by_xz(&kernel);
        assert_eq!(unpacked(&packed(&whole[..whole.len() - 9])), None);
        assert_eq!(unpacked(b"no kernel"), None);
        let place = tempfile::tempdir().unwrap();
        let booted = |bytes: &[u8]| {
            std::fs::write(place.path().join("kernel"), bytes).unwrap();
            bootable(&place.path().join("kernel")).ok()
        };
        assert_eq!(booted(&packed(&frame)), Some(kernel.clone()));
        assert_eq!(
            booted(&packed(b"bzip2 or whatever")),
            Some(packed(b"bzip2 or whatever")),
            "it unpacks itself"
        );
        assert_eq!(booted(b"no kernel"), None);
        assert_eq!(unpacked(&packed(b"bzip2 or whatever")), None);
    }
}
