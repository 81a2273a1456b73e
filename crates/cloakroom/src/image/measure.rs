//! What an appliance measures of itself into a PCR of its TPM before it listens, and what that has to come to by its image's manifest.
//!
//! ```text
//!  event            SHA-256 of
//!  kernel           "cloakroom kernel v1"        what the kernel says of its own build (its ELF notes; /sys/kernel/notes)
//!  root             "cloakroom root v1"          every file: mode, SHA-256, path; in the order of the paths
//!  command line     "cloakroom command line v1"  the kernel's command line
//!
//!  PCR 11  =  SHA-256( SHA-256( SHA-256( zeros | kernel ) | root ) | command line )
//! ```

use super::manifest::{self, InRoot};
use crate::failure::Failure;
use aws_lc_rs::digest::{Context, SHA256};
use std::collections::BTreeMap;

/// The PCR that nothing else in an appliance extends.
pub(crate) const PCR: u8 = 11;
pub(crate) type Digest = [u8; 32];

/// What is measured, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Events(pub(crate) [Digest; 3]);

impl Events {
    /// Of a machine whose kernel says `notes` of itself, with these files in its root (mode and SHA-256, in hexadecimal, by path).
    pub(crate) fn of(notes: &str, files: &BTreeMap<String, (u32, String)>, command_line: &str) -> Self {
        let listing: Vec<String> =
            files.iter().map(|(path, (mode, sum))| format!("{mode:04o} {sum} {path}\n")).collect();
        // The kernel shows it with a line break behind it.
        let command_line = command_line.trim_end_matches('\n');
        Self([
            hash(&[b"cloakroom kernel v1", notes.as_bytes()]),
            hash(&[b"cloakroom root v1", listing.concat().as_bytes()]),
            hash(&[b"cloakroom command line v1", command_line.as_bytes()]),
        ])
    }

    /// Of the image with this manifest, started with this command line.
    ///
    /// # Errors
    /// When it is no manifest, or that of an image that was built before images could be measured.
    pub(crate) fn expected(manifest: &[u8], command_line: &str) -> Result<Self, Failure> {
        let manifest = manifest::parse(manifest)?;
        let notes = manifest.kernel_notes.ok_or_else(|| {
            Failure::bad_input("the manifest does not say what its kernel says of itself")
                .hinting("build the image anew")
        })?;
        let file = |(path, node): (String, InRoot)| {
            let mode = u32::from_str_radix(node.mode.strip_prefix('-')?, 8).ok()?;
            Some((path, (mode, node.sha256?)))
        };
        Ok(Self::of(&notes, &manifest.root.into_iter().filter_map(file).collect(), command_line))
    }

    /// What the PCR comes to.
    pub(crate) fn pcr(&self) -> Digest {
        self.0.iter().fold([0; 32], |pcr, event| hash(&[&pcr, event]))
    }
}

/// The notes of a kernel, in hexadecimal of their SHA-256: its first segment of notes (`PT_NOTE`), which is what `/sys/kernel/notes` shows.
pub(super) fn notes(kernel: &[u8]) -> Option<String> {
    const NOTE: u32 = 4;
    let eight = |at: usize| {
        let bytes = kernel.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let two = |at: usize| Some(usize::from(u16::from_le_bytes(kernel.get(at..at + 2)?.try_into().ok()?)));
    let (table, size, count) = (eight(32)?, two(54)?, two(56)?);
    let segment = (0..count).find_map(|index| {
        let at = table.checked_add(index * size)?;
        let kind = kernel.get(at..at.checked_add(4)?)?;
        (u32::from_le_bytes(kind.try_into().ok()?) == NOTE).then_some(at)
    })?;
    let (offset, length) = (eight(segment + 8)?, eight(segment + 32)?);
    Some(manifest::digest(kernel.get(offset..offset.checked_add(length)?)?))
}

pub(crate) fn hash(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notes_of_a_kernel_are_found_in_its_segments() {
        let mut kernel = vec![0u8; 64 + 2 * 56];
        kernel[32] = 64;
        kernel[54] = 56;
        kernel[56] = 2;
        kernel[64] = 1;
        kernel[64 + 56] = 4;
        let end = u8::try_from(kernel.len()).unwrap();
        kernel[64 + 56 + 8] = end;
        kernel[64 + 56 + 32] = 5;
        kernel.extend(b"notes and more");
        assert_eq!(notes(&kernel), Some(manifest::digest(b"notes")));
        kernel[64 + 56 + 32] = 200;
        assert_eq!(notes(&kernel), None);
        assert!(notes(&kernel[..100]).is_none() && notes(b"").is_none());
    }

    #[test]
    fn each_thing_that_is_measured_changes_the_pcr() {
        let files = |mode, sum: &str, path: &str| BTreeMap::from([(path.to_owned(), (mode, sum.to_owned()))]);
        let of = |notes, files: &BTreeMap<String, (u32, String)>, line| Events::of(notes, files, line).pcr();
        let good = files(0o555, "ab", "/init");
        let pcr = of("n", &good, "quiet");
        assert_eq!(pcr, of("n", &good, "quiet\n"));
        let mut more = good.clone();
        more.insert("/bin/sh".into(), (0o555, "ab".into()));
        for other in [
            of("m", &good, "quiet"),
            of("n", &good, "quiet init=/bin/sh"),
            of("n", &files(0o755, "ab", "/init"), "quiet"),
            of("n", &files(0o555, "ac", "/init"), "quiet"),
            of("n", &files(0o555, "ab", "/initx"), "quiet"),
            of("n", &more, "quiet"),
            of("n", &BTreeMap::new(), "quiet"),
        ] {
            assert_ne!(pcr, other);
        }
    }
}
