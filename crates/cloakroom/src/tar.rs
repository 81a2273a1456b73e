//! POSIX archives (ustar): what `tar` on any machine reads.

use std::io::{Error, ErrorKind, Read, Result, Write};

/// Bytes of a block: heads are one, contents are filled up to whole ones.
const BLOCK: usize = 512;
/// Names here are not longer, in bytes.
pub(crate) const LONGEST_NAME: usize = 100;
/// Contents are smaller: eleven octal digits.
const LARGEST: u64 = 0o777_7777_7777;

/// A plain file in an archive.
pub(crate) const FILE: u8 = b'0';
/// A directory; its name ends in a slash.
pub(crate) const DIRECTORY: u8 = b'5';

/// What stands before an entry's content. Made at the beginning of time, by nobody in particular.
pub(crate) fn head(name: &str, kind: u8, mode: u32, owner: u64, size: u64) -> [u8; BLOCK] {
    let mut head = [0u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name.as_bytes()[..name.len().min(LONGEST_NAME)]);
    put(100, format!("{mode:07o}").as_bytes());
    put(108, format!("{owner:07o}").as_bytes());
    put(116, format!("{owner:07o}").as_bytes());
    put(124, format!("{:011o}", size.min(LARGEST)).as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum = sum(&head);
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    head
}

/// What two empty blocks say: nothing follows.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// How many zeros fill a content up.
pub(crate) fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - over) % BLOCK
}

/// Writes one plain file of exactly this size; what `from` has beyond it is left.
///
/// # Errors
/// When it cannot be written or read, `from` has less, or the name or size does not fit.
pub(crate) fn write_file(to: &mut impl Write, name: &str, size: u64, from: impl Read) -> Result<()> {
    if name.len() > LONGEST_NAME || size > LARGEST {
        return Err(Error::new(ErrorKind::InvalidInput, "its name or size does not fit into an archive"));
    }
    to.write_all(&head(name, FILE, 0o600, 0, size))?;
    if std::io::copy(&mut from.take(size), to)? != size {
        return Err(Error::new(ErrorKind::UnexpectedEof, "it became shorter while it was read"));
    }
    to.write_all(&END[..padding(size)])
}

/// Reads an archive of plain files: each is handed to `each` with its name. Whatever is no plain file is refused.
///
/// # Errors
/// When it is no such archive or is cut off; what `each` returns.
pub(crate) fn read_files(
    from: &mut impl Read,
    mut each: impl FnMut(&str, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let damaged = |what| Error::new(ErrorKind::InvalidData, what);
    loop {
        let mut head = [0u8; BLOCK];
        from.read_exact(&mut head)?;
        if head == [0; BLOCK] {
            // To the end: only there it is known that the whole of it is authentic.
            return std::io::copy(from, &mut std::io::sink()).map(drop);
        }
        let written = octal(&head[148..156]).ok_or_else(|| damaged("an entry of the archive is damaged"))?;
        let mut blank = head;
        blank[148..156].fill(b' ');
        if written != u64::from(sum(&blank)) || head[156] != FILE {
            return Err(damaged("an entry of the archive is damaged, or is no plain file"));
        }
        let name = head[..LONGEST_NAME].split(|byte| *byte == 0).next().unwrap_or_default();
        let name = std::str::from_utf8(name).map_err(|_| damaged("a name in the archive is no text"))?;
        let size = octal(&head[124..136]).ok_or_else(|| damaged("a size in the archive is no number"))?;
        let mut content = from.by_ref().take(size);
        each(name, &mut content)?;
        std::io::copy(&mut content, &mut std::io::sink())?;
        from.read_exact(&mut [0; BLOCK][..padding(size)])?;
    }
}

fn sum(head: &[u8; BLOCK]) -> u32 {
    head.iter().map(|byte| u32::from(*byte)).sum()
}

fn octal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?.trim_matches(['\0', ' ']);
    u64::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut bytes = Vec::new();
        write_file(&mut bytes, "a", 3, &b"one"[..]).unwrap();
        write_file(&mut bytes, "keys/b", 512, &[7; 512][..]).unwrap();
        write_file(&mut bytes, "empty", 0, &b""[..]).unwrap();
        bytes.extend(END);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        read_files(&mut &bytes[..], |name, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            files.push((name.to_owned(), bytes));
            Ok(())
        })?;
        Ok(files)
    }

    #[test]
    fn what_is_written_is_read() {
        let files = read(&archive()).unwrap();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "keys/b", "empty"]);
        assert_eq!(
            (&files[0].1[..], &files[1].1[..], &files[2].1[..]),
            (&b"one"[..], &[7; 512][..], &b""[..])
        );
        let skipped = read_files(&mut &archive()[..], |_, _| Ok(()));
        assert!(skipped.is_ok(), "a content that nobody reads is passed over");
    }

    #[test]
    fn what_is_cut_off_or_damaged_or_no_plain_file_is_refused() {
        let whole = archive();
        for end in 0..whole.len() - END.len() {
            assert!(read(&whole[..end]).is_err(), "{end} bytes");
        }
        for at in 0..BLOCK {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "byte {at} of a head");
        }
        let mut linked = head("a", b'2', 0o600, 0, 0).to_vec();
        linked.extend(END);
        assert!(read(&linked).is_err());
        let mut short = Vec::new();
        assert!(write_file(&mut short, "a", 4, &b"one"[..]).is_err());
        assert!(write_file(&mut short, &"n".repeat(101), 0, &b""[..]).is_err());
    }
}
