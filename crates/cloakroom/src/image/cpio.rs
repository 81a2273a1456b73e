//! The archive that a kernel unpacks into its root: "newc" (Documentation/driver-api/early-userspace/buffer-format.rst). Entries in the
//! order of their names, owned by root, made at the beginning of time, so that the same files are the same bytes.

use std::collections::BTreeMap;

/// What stands at a path.
#[derive(Debug)]
pub(crate) enum Node {
    Directory(u32),
    /// Permissions and content.
    File(u32, Vec<u8>),
    /// A character device: permissions, major and minor number.
    Device(u32, u32, u32),
}

/// Paths without the leading slash; a directory sorts before what is in it.
pub(crate) type Tree = BTreeMap<String, Node>;

/// Adds a file and the directories above it.
pub(crate) fn add(tree: &mut Tree, path: &str, mode: u32, content: Vec<u8>) {
    let path = path.trim_start_matches('/');
    for (at, _) in path.match_indices('/') {
        tree.entry(path[..at].to_owned()).or_insert(Node::Directory(0o755));
    }
    tree.insert(path.to_owned(), Node::File(mode, content));
}

/// The archive.
pub(crate) fn archive(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, (name, node)) in tree.iter().enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        match node {
            Node::Directory(mode) => entry(&mut out, number, name, 0o040_000 | mode, (0, 0), &[]),
            Node::File(mode, content) => entry(&mut out, number, name, 0o100_000 | mode, (0, 0), content),
            Node::Device(mode, major, minor) => {
                entry(&mut out, number, name, 0o020_000 | mode, (*major, *minor), &[]);
            }
        }
    }
    entry(&mut out, 0, "TRAILER!!!", 0, (0, 0), &[]);
    out
}

fn entry(out: &mut Vec<u8>, inode: u32, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let (size, name_size) = (length(content.len()), length(name.len() + 1));
    // Magic; inode, mode, user, group, links, time, size, device of the file system, device, length of the name, checksum.
    let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
    out.extend(b"070701");
    out.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
    out.extend(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend(content);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_sorted_padded_and_without_time() {
        let mut tree = Tree::new();
        add(&mut tree, "/etc/a/b", 0o400, b"x".to_vec());
        tree.insert("dev".into(), Node::Directory(0o755));
        tree.insert("dev/console".into(), Node::Device(0o600, 5, 1));
        let text = String::from_utf8(archive(&tree)).unwrap();
        let names: Vec<usize> = ["dev\0", "dev/console\0", "etc\0", "etc/a\0", "etc/a/b\0", "TRAILER!!!\0"]
            .iter()
            .map(|n| text.find(n).unwrap())
            .collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(text.len() % 4, 0);
        assert!(text.starts_with("070701"));
        assert_eq!(text.matches("070701").count(), 6);
        assert!(text.contains("00000005") && text.contains("00008100"));
    }
}
