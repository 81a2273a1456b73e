//! Content codings undone while they stream (T02), and their bounds (T96).

use super::CANARY;
use crate::scrub::{Coding, Decoder};
use bytes::Bytes;
use cloakroom_model::BodyFault;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use std::io::Write;

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bare(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn br(plain: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    brotli::BrotliCompress(&mut &plain[..], &mut encoded, &brotli::enc::BrotliEncoderParams::default())
        .unwrap();
    encoded
}

pub(crate) fn zstd(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}

fn decode<'a>(codings: &[Coding], chunks: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, BodyFault> {
    let mut decoder = Decoder::new(codings);
    let mut plain = Vec::new();
    for chunk in chunks {
        decoder.take(Bytes::copy_from_slice(chunk));
        while !decoder.is_idle() {
            plain.extend_from_slice(&decoder.step()?);
        }
    }
    plain.extend_from_slice(&decoder.finish()?);
    Ok(plain)
}

type Encode = fn(&[u8]) -> Vec<u8>;
const ALL: [(&str, Coding, Encode); 5] = [
    ("gzip", Coding::Gzip, gzip),
    ("deflate", Coding::Deflate, zlib),
    ("bare deflate", Coding::Deflate, bare),
    ("br", Coding::Brotli, br),
    ("zstd", Coding::Zstd, zstd),
];

fn text() -> Vec<u8> {
    (0..4000)
        .flat_map(|i: u32| format!("{i:x} {CANARY} {}\n", i.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

#[test]
fn t02_every_coding_is_undone_in_chunks_of_any_size() {
    for (name, coding, encode) in ALL {
        for plain in [&b"x"[..], CANARY.as_bytes(), &text()] {
            let coded = encode(plain);
            for size in [1, 3, 1000, coded.len()] {
                assert!(
                    decode(&[coding], coded.chunks(size)).as_deref() == Ok(plain),
                    "{name} in chunks of {size}"
                );
            }
        }
    }
}

#[test]
fn t02_stacked_codings_are_undone_in_order() {
    let plain = text();
    for (first, a, encode_first) in ALL {
        for (second, b, encode_second) in ALL {
            let coded = encode_second(&encode_first(&plain));
            assert!(decode(&[a, b], coded.chunks(777)).as_deref() == Ok(&plain[..]), "{first}, {second}");
        }
    }
}

#[test]
fn t02_every_member_of_a_gzip_body_and_every_frame_of_a_zstd_body_is_read() {
    let gzips = [gzip(b"one "), gzip(CANARY.as_bytes()), gzip(b"")].concat();
    let skippable = [&0x184D_2A53u32.to_le_bytes()[..], &3u32.to_le_bytes(), b"abc"].concat();
    let zstds = [zstd(b"one "), skippable, zstd(CANARY.as_bytes())].concat();
    let plain = format!("one {CANARY}").into_bytes();
    for size in [1, 7, 1000] {
        assert_eq!(decode(&[Coding::Gzip], gzips.chunks(size)).as_deref(), Ok(&plain[..]));
        assert_eq!(decode(&[Coding::Zstd], zstds.chunks(size)).as_deref(), Ok(&plain[..]));
    }
}

#[test]
fn t02_a_wrong_label_a_cut_and_a_tail_are_faults() {
    let plain = text();
    for (name, coding, encode) in ALL {
        let coded = encode(&plain);
        let cut = &coded[..coded.len() - 1];
        assert_eq!(decode(&[coding], cut.chunks(500)), Err(BodyFault::Undecodable), "{name}, cut");
        assert_eq!(
            decode(&[coding], coded[..coded.len() / 2].chunks(500)),
            Err(BodyFault::Undecodable),
            "{name}, half"
        );
        let tail = [&coded[..], CANARY.as_bytes()].concat();
        if let Ok(decoded) = decode(&[coding], tail.chunks(500)) {
            panic!("{name} with a tail decodes to {} bytes of {}", decoded.len(), plain.len());
        }
        assert_eq!(
            decode(&[coding], format!("{{\"{CANARY}\"}}").as_bytes().chunks(9)),
            Err(BodyFault::Undecodable),
            "{name}, plain"
        );
        assert_eq!(decode(&[coding], std::iter::empty()), Ok(vec![]), "{name}, empty");
    }
}

#[test]
fn t96_a_body_that_explodes_is_a_fault() {
    let zeros = vec![0; 64 << 20];
    let bomb = gzip(&gzip(&zeros));
    assert_eq!(decode(&[Coding::Gzip, Coding::Gzip], bomb.chunks(4096)), Err(BodyFault::Undecodable));
    for (name, coding, encode) in [ALL[3], ALL[4]] {
        let coded = encode(&zeros);
        if zeros.len() / coded.len() > 1100 {
            assert_eq!(decode(&[coding], coded.chunks(4096)), Err(BodyFault::Undecodable), "{name}");
        }
    }
    let plain = vec![b' '; 1 << 20];
    assert!(decode(&[Coding::Brotli], br(&plain).chunks(4096)).is_ok(), "a megabyte of blanks is fine");
}

#[test]
fn an_event_is_decoded_as_soon_as_it_is_flushed() {
    let event = b"data: {\"delta\":\"hello\"}\n\n";
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let mut decoder = Decoder::new(&[Coding::Gzip]);
    for _ in 0..3 {
        encoder.write_all(event).unwrap();
        encoder.flush().unwrap();
        decoder.take(Bytes::from(std::mem::take(encoder.get_mut())));
        let mut plain = Vec::new();
        while !decoder.is_idle() {
            plain.extend_from_slice(&decoder.step().unwrap());
        }
        assert_eq!(plain, event);
    }
}
