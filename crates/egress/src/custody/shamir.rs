//! Shamir's secret sharing over GF(256), byte by byte: any `threshold` shares give the secret, fewer say nothing about it.
//!
//! SPEC: the field of draft-mcgrew-tss-03 and of AES: x⁸ + x⁴ + x³ + x + 1. A share is the value of one random polynomial a byte at the share's
//! number; the secret is their value at 0.
//!
//! SECURITY: no table and no branch depends on a secret byte; only the shares' numbers, which are public, steer anything.

use crate::secret::Secret;

/// One share: its number, from 1, and its value, as long as the secret.
pub(super) struct Point<'s> {
    pub(super) number: u8,
    pub(super) value: &'s [u8],
}

/// Splits a secret into so many shares, in order of their numbers.
///
/// # Errors
/// When the operating system gives no random bytes.
pub(super) fn split(secret: &Secret, shares: u8, threshold: u8) -> Result<Vec<Secret>, getrandom::Error> {
    let length = secret.expose().len();
    // The higher coefficients, one after another, each as long as the secret.
    let degree = usize::from(threshold.saturating_sub(1));
    let coefficients = Secret::filled(length * degree, |room| getrandom::fill(room).map(|()| room.len()))?;
    Ok((1..=shares).map(|number| evaluated(secret, coefficients.expose(), number)).collect())
}

fn evaluated(secret: &Secret, coefficients: &[u8], number: u8) -> Secret {
    let secret = secret.expose();
    let made = Secret::filled(secret.len(), |room| {
        // Horner's rule, the highest coefficient first.
        for higher in coefficients.chunks(secret.len().max(1)).rev() {
            for (byte, coefficient) in room.iter_mut().zip(higher) {
                *byte = times(*byte ^ coefficient, number);
            }
        }
        room.iter_mut().zip(secret).for_each(|(byte, secret)| *byte ^= secret);
        Ok::<usize, std::convert::Infallible>(room.len())
    });
    match made {
        Ok(share) => share,
        Err(never) => match never {},
    }
}

/// The value at 0 of the polynomials through these points. `None` where there are none, two have the same number, one has the number 0, or
/// their lengths differ.
pub(super) fn combine(points: &[Point<'_>]) -> Option<Secret> {
    let length = points.first()?.value.len();
    let sound = |(at, point): (usize, &Point<'_>)| {
        let again = points[..at].iter().any(|other| other.number == point.number);
        point.number != 0 && point.value.len() == length && !again
    };
    if !points.iter().enumerate().all(sound) {
        return None;
    }
    Secret::filled(length, |room| {
        for point in points {
            let weight = weight(points, point.number);
            room.iter_mut().zip(point.value).for_each(|(byte, value)| *byte ^= times(*value, weight));
        }
        Ok::<usize, std::convert::Infallible>(length)
    })
    .ok()
}

/// Lagrange's basis polynomial of this point, at 0: the product of `x / (x - number)` over the other points. Minus is plus here.
fn weight(points: &[Point<'_>], number: u8) -> u8 {
    let others = points.iter().map(|point| point.number).filter(|other| *other != number);
    others.fold(1, |product, other| times(product, times(other, inverse(other ^ number))))
}

/// The product in the field.
fn times(a: u8, b: u8) -> u8 {
    let (mut product, mut doubled) = (0, a);
    for bit in 0..8 {
        product ^= doubled & mask(b >> bit);
        doubled = (doubled << 1) ^ (0x1b & mask(doubled >> 7));
    }
    product
}

/// All ones where the lowest bit is one, else zero.
fn mask(bit: u8) -> u8 {
    (bit & 1).wrapping_neg()
}

/// The power 254: the multiplicative inverse. 0 gives 0.
fn inverse(a: u8) -> u8 {
    let squared = |a: u8| times(a, a);
    let a2 = squared(a);
    let a3 = times(a2, a);
    let a12 = squared(squared(a3));
    let a15 = times(a12, a3);
    let a240 = squared(squared(squared(squared(a15))));
    times(times(a240, a12), a2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    const CANARY: &[u8] = b"canary-7Q2mZ9xKp4Lw8RtY3vNc6HsD";

    fn secret(bytes: &[u8]) -> Secret {
        Secret::new(Zeroizing::new(bytes.to_vec()))
    }

    fn combined(shares: &[Secret], chosen: &[usize]) -> Vec<u8> {
        let point = |at: &usize| Point { number: u8::try_from(at + 1).unwrap(), value: shares[*at].expose() };
        combine(&chosen.iter().map(point).collect::<Vec<_>>()).unwrap().expose().to_vec()
    }

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197, section 4.2: the worked products.
        for (a, b, product) in
            [(0x57, 0x83, 0xc1), (0x57, 0x13, 0xfe), (0x57, 0x02, 0xae), (0x57, 0x10, 0x07)]
        {
            assert_eq!(times(a, b), product);
            assert_eq!(times(b, a), product);
        }
        assert_eq!(inverse(0), 0);
        for a in 1..=255 {
            assert_eq!(times(a, inverse(a)), 1, "{a}");
            assert_eq!((times(a, 1), times(a, 0)), (a, 0));
        }
        // FIPS 197, figure 7: the S-box of 0x53 is 0xed, the affine image of its inverse 0xca.
        assert_eq!(inverse(0x53), 0xca);
    }

    #[test]
    fn the_published_shares_combine_to_the_published_secret() {
        // draft-mcgrew-tss-03, section 9: "test" and a NUL, two of two.
        let one = [0xb9, 0xfa, 0x07, 0xe1, 0x85];
        let two = [0xf5, 0x40, 0x9b, 0x45, 0x11];
        let points = [Point { number: 1, value: &one }, Point { number: 2, value: &two }];
        assert_eq!(combine(&points).unwrap().expose(), b"test\0");
    }

    #[test]
    fn any_three_of_five_give_the_secret_and_no_two_do() {
        let shares = split(&secret(CANARY), 5, 3).unwrap();
        for (a, b, c) in (0..5).flat_map(|a| (0..5).flat_map(move |b| (0..5).map(move |c| (a, b, c)))) {
            if a != b && b != c && a != c {
                assert_eq!(combined(&shares, &[a, b, c]), CANARY);
            }
            if a != b {
                assert_ne!(combined(&shares, &[a, b]), CANARY);
            }
        }
        assert_eq!(combined(&shares, &[0, 1, 2, 3, 4]), CANARY, "more than needed are fine");
    }

    #[test]
    fn fewer_shares_fit_every_secret() {
        // Two shares of three-of-five and any guess at the secret lie on a polynomial of degree two: so they tell nothing.
        let shares = split(&secret(&[0x42]), 5, 3).unwrap();
        let (one, two) = (shares[0].expose()[0], shares[1].expose()[0]);
        let mut seen = [false; 256];
        for third in 0..=255u8 {
            let value = [third];
            let points = [
                Point { number: 1, value: &[one] },
                Point { number: 2, value: &[two] },
                Point { number: 3, value: &value },
            ];
            seen[usize::from(combine(&points).unwrap().expose()[0])] = true;
        }
        assert!(seen.iter().all(|seen| *seen));
    }

    #[test]
    fn points_that_do_not_go_together_are_refused() {
        let (long, short) = ([1u8, 2], [1u8]);
        let point = |number, value: &'static [u8]| Point { number, value };
        assert!(combine(&[]).is_none());
        assert!(combine(&[point(1, &[1]), point(1, &[1])]).is_none());
        assert!(combine(&[point(0, &[1]), point(1, &[1])]).is_none());
        let mixed = [Point { number: 1, value: &long }, Point { number: 2, value: &short }];
        assert!(combine(&mixed).is_none());
    }
}
