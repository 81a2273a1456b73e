//! The tree against the published vectors of Certificate Transparency, and against a tree built naively from the definition.
#![expect(clippy::cast_possible_truncation, reason = "trees of a few thousand leaves")]

use crate::journal::hash::Hash;
use crate::journal::tree::{Frontier, Tree, is_consistent, root_by_inclusion};
use proptest::prelude::*;

/// The leaves of the vectors that the implementations of RFC 6962 share.
const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

/// The root of the first one, two, … eight of them.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn hash(hex: &str) -> Hash {
    Hash(bytes(hex).try_into().unwrap())
}

fn hashes(path: &[&str]) -> Vec<Hash> {
    path.iter().map(|step| hash(step)).collect()
}

fn vectors() -> Tree {
    let mut tree = Tree::default();
    LEAVES.iter().for_each(|leaf| tree.push(Hash::leaf(&bytes(leaf))));
    tree
}

#[test]
fn the_roots_are_those_of_the_published_vectors() {
    assert_eq!(
        Frontier::default().root(),
        hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        "RFC 6962, 2.1: of no leaves"
    );
    let mut frontier = Frontier::default();
    for (leaf, root) in LEAVES.iter().zip(ROOTS) {
        frontier.push(Hash::leaf(&bytes(leaf)));
        assert_eq!(frontier.root(), hash(root));
    }
}

#[test]
fn the_proofs_of_inclusion_are_those_of_the_published_vectors() {
    let cases: [(u64, u64, &[&str]); 4] = [
        (0, 1, &[]),
        (
            0,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            5,
            8,
            &[
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    ];
    for (index, size, path) in cases {
        let (path, leaf) = (hashes(path), Hash::leaf(&bytes(LEAVES[index as usize])));
        assert_eq!(vectors().inclusion(index, size), Some(path.clone()));
        let root = hash(ROOTS[size as usize - 1]);
        assert_eq!(root_by_inclusion(leaf, index, size, &path), Some(root));
    }
}

#[test]
fn the_proofs_of_consistency_are_those_of_the_published_vectors() {
    let cases: [(u64, u64, &[&str]); 4] = [
        (1, 1, &[]),
        (
            1,
            8,
            &[
                "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
            ],
        ),
        (
            6,
            8,
            &[
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            ],
        ),
        (
            2,
            5,
            &[
                "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            ],
        ),
    ];
    for (old, new, path) in cases {
        let path = hashes(path);
        assert_eq!(vectors().consistency(old, new), Some(path.clone()));
        let root = |size: u64| (size, hash(ROOTS[size as usize - 1]));
        assert!(is_consistent(root(old), root(new), &path));
        if old < new {
            assert!(!is_consistent((old, root(old % 8 + 1).1), root(new), &path), "another old root");
            assert!(!is_consistent(root(old), (new, root(new - 1).1), &path), "another new root");
        }
    }
}

/// MTH of RFC 6962, 2.1, word for word.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [leaf] => *leaf,
        _ => {
            let half = leaves.len().next_power_of_two() / 2;
            Hash::node(naive_root(&leaves[..half]), naive_root(&leaves[half..]))
        }
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|number| Hash::leaf(&number.to_be_bytes())).collect()
}

/// A tree that knows only the frontier of the first `cut` leaves.
fn cut_tree(leaves: &[Hash], cut: u64) -> Tree {
    let mut before = Frontier::default();
    let (gone, kept) = leaves.split_at(cut as usize);
    gone.iter().for_each(|leaf| before.push(*leaf));
    let mut tree = Tree::after(before);
    kept.iter().for_each(|leaf| tree.push(*leaf));
    tree
}

#[test]
fn every_proof_in_every_small_tree_holds_and_what_left_has_none() {
    for size in 0..=33 {
        let leaves = leaves(size);
        for cut in 0..=size {
            let tree = cut_tree(&leaves, cut);
            for part in 0..=size {
                let root = naive_root(&leaves[..part as usize]);
                if part >= cut {
                    assert_eq!(tree.root(part), Some(root));
                }
                for index in 0..part {
                    let proof = tree.inclusion(index, part);
                    if index < cut && part > 1 {
                        // Known by luck at most: the neighbour of a leaf that is kept.
                        assert!(
                            proof.is_none()
                                || cut <= index + 1
                                || part < cut
                                || proof.is_some_and(|path| {
                                    root_by_inclusion(leaves[index as usize], index, part, &path)
                                        == Some(root)
                                })
                        );
                        continue;
                    }
                    let path = proof.unwrap();
                    assert_eq!(root_by_inclusion(leaves[index as usize], index, part, &path), Some(root));
                }
                for old in cut..=part {
                    let path = tree.consistency(old, part).unwrap();
                    let before = (old, naive_root(&leaves[..old as usize]));
                    assert!(is_consistent(before, (part, root), &path), "{old} of {part}, cut at {cut}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_frontier_has_the_root_of_the_naive_tree(count in 0u64..3000) {
        let leaves = leaves(count);
        let mut frontier = Frontier::default();
        leaves.iter().for_each(|leaf| frontier.push(*leaf));
        prop_assert_eq!(frontier.root(), naive_root(&leaves));
        prop_assert_eq!(frontier.peaks().len(), count.count_ones() as usize);
    }

    #[test]
    fn a_proof_of_inclusion_holds_and_with_anything_changed_does_not(
        size in 2u64..2000, at: prop::sample::Index, cut: prop::sample::Index, change in 0usize..5, other: [u8; 32]
    ) {
        let leaves = leaves(size);
        let index = at.index(size as usize) as u64;
        let tree = cut_tree(&leaves, cut.index(index as usize + 1) as u64);
        let (mut leaf, mut place, mut of, mut path) = (leaves[index as usize], index, size, tree.inclusion(index, size).unwrap());
        prop_assert_eq!(root_by_inclusion(leaf, place, of, &path), Some(naive_root(&leaves)));
        match change {
            0 => leaf = Hash(other),
            1 => place ^= 1,
            2 => of = index.max(1),
            3 => { path.pop(); }
            _ => { let step = at.index(path.len()); path[step] = Hash(other); }
        }
        prop_assert_ne!(root_by_inclusion(leaf, place, of, &path), Some(naive_root(&leaves)));
    }

    #[test]
    fn a_proof_of_consistency_holds_and_with_anything_changed_does_not(
        size in 2u64..2000, at: prop::sample::Index, change in 0usize..4, other: [u8; 32]
    ) {
        let leaves = leaves(size);
        let old = at.index(size as usize - 1) as u64 + 1;
        let tree = cut_tree(&leaves, at.index(old as usize + 1) as u64);
        let mut path = tree.consistency(old, size).unwrap();
        let mut before = (old, naive_root(&leaves[..old as usize]));
        let mut after = (size, naive_root(&leaves));
        prop_assert!(is_consistent(before, after, &path));
        match change {
            0 => before.1 = Hash(other),
            1 => after.1 = Hash(other),
            2 => path.push(Hash(other)),
            _ if path.is_empty() => path.push(Hash(other)),
            _ => { let step = at.index(path.len()); path[step] = Hash(other); }
        }
        prop_assert!(!is_consistent(before, after, &path));
    }
}
