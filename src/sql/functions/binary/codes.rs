//! Bytes as numbers and as text in base 32, and digests with a key.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;
use md5::{Digest as _, Md5};
use ring::hmac;

use super::super::scalar::{Arguments, Function, Kind, put};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const BYTES: &[&[Kind]] = &[&[Kind::Binary]];
    const TEXT: &[&[Kind]] = &[&[Kind::Text]];
    const BIGINT: &[&[Kind]] = &[&[Kind::BigInt]];
    const DOUBLE: &[&[Kind]] = &[&[Kind::Double]];
    vec![
        Function::new("to_base32", BYTES, DataType::Utf8, to_base32).into(),
        Function::new("from_base32", TEXT, DataType::Binary, from_base32).into(),
        Function::new("to_big_endian_64", BIGINT, DataType::Binary, |args| {
            let numbers = args.bigint(0)?;
            Ok(bytes(args, |row| Some(numbers.at(row)?.to_be_bytes().to_vec())))
        })
        .into(),
        Function::new("from_big_endian_64", BYTES, DataType::Int64, |args| {
            let values = args.binary(0)?;
            args.to_numbers::<Int64Type, _>(|row| {
                values(row).map(exact).transpose().map(|b| b.map(i64::from_be_bytes))
            })
        })
        .into(),
        Function::new("to_big_endian_32", BIGINT, DataType::Binary, |args| {
            let numbers = args.bigint(0)?;
            let narrow = |row| numbers.at(row).and_then(|number| i32::try_from(number).ok());
            Ok(bytes(args, |row| Some(narrow(row)?.to_be_bytes().to_vec())))
        })
        .into(),
        Function::new("from_big_endian_32", BYTES, DataType::Int32, |args| {
            let values = args.binary(0)?;
            args.to_numbers::<Int32Type, _>(|row| {
                values(row).map(exact).transpose().map(|b| b.map(i32::from_be_bytes))
            })
        })
        .into(),
        Function::new("to_ieee754_64", DOUBLE, DataType::Binary, |args| {
            let numbers = args.double(0)?;
            Ok(bytes(args, |row| Some(numbers.at(row)?.to_be_bytes().to_vec())))
        })
        .into(),
        Function::new("from_ieee754_64", BYTES, DataType::Float64, |args| {
            let values = args.binary(0)?;
            args.to_numbers::<Float64Type, _>(|row| {
                values(row).map(exact).transpose().map(|b| b.map(f64::from_be_bytes))
            })
        })
        .into(),
        Function::new("from_ieee754_32", BYTES, DataType::Float32, |args| {
            let values = args.binary(0)?;
            args.to_numbers::<Float32Type, _>(|row| {
                values(row).map(exact).transpose().map(|b| b.map(f32::from_be_bytes))
            })
        })
        .into(),
        keyed("hmac_md5", hmac_md5),
        keyed("hmac_sha1", |value, key| ring(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, value, key)),
        keyed("hmac_sha256", |value, key| ring(hmac::HMAC_SHA256, value, key)),
        keyed("hmac_sha512", |value, key| ring(hmac::HMAC_SHA512, value, key)),
    ]
}

fn bytes(args: &Arguments, value: impl Fn(usize) -> Option<Vec<u8>>) -> ArrayRef {
    let mut values = BinaryBuilder::new();
    (0..args.rows()).for_each(|row| values.append_option(value(row)));
    Arc::new(values.finish())
}

/// As many bytes as the number has.
fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| {
        exec_datafusion_err!(
            "INVALID_FUNCTION_ARGUMENT: expected {N}-byte input, but got instead: {}",
            bytes.len()
        )
    })
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Five bytes are eight characters; what is missing of the last eight is `=`.
fn to_base32(args: &Arguments) -> Result<ArrayRef> {
    let values = args.binary(0)?;
    args.to_texts(|row, out| {
        let Some(value) = values(row) else { return Ok(None) };
        let mut text = String::with_capacity(value.len().div_ceil(5) * 8);
        for chunk in value.chunks(5) {
            let mut whole = [0; 8];
            whole[3..3 + chunk.len()].copy_from_slice(chunk);
            let bits = u64::from_be_bytes(whole);
            for place in 0..8 {
                let digit = usize::try_from(bits >> (35 - 5 * place) & 31).unwrap_or_default();
                let is_filled = place * 5 < chunk.len() * 8;
                text.push(if is_filled { char::from(BASE32[digit]) } else { '=' });
            }
        }
        put(out, &text).map(Some)
    })
}

fn from_base32(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let mut values = BinaryBuilder::new();
    for row in 0..args.rows() {
        match texts.at(row) {
            Some(text) => values.append_value(decoded(text)?),
            None => values.append_null(),
        }
    }
    Ok(Arc::new(values.finish()))
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(digits.len() * 5 / 8);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        let Some(value) = BASE32.iter().position(|known| *known == digit) else {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: Invalid base32 string: {text}");
        };
        bits = bits << 5 | u32::try_from(value).unwrap_or_default();
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap_or_default());
        }
    }
    // One, three and six digits are no whole number of bytes.
    if matches!(digits.len() % 8, 1 | 3 | 6) {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: Invalid base32 string: {text}");
    }
    Ok(bytes)
}

/// A digest of bytes with a key.
fn keyed(name: &'static str, digest: fn(&[u8], &[u8]) -> Vec<u8>) -> ScalarUDF {
    Function::new(name, &[&[Kind::Binary, Kind::Binary]], DataType::Binary, move |args| {
        let (values, keys) = (args.binary(0)?, args.binary(1)?);
        Ok(bytes(args, |row| Some(digest(values(row)?, keys(row)?))))
    })
    .into()
}

fn ring(algorithm: hmac::Algorithm, value: &[u8], key: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, key), value).as_ref().to_vec()
}

/// RFC 2104, for the one digest that ring does not have.
fn hmac_md5(value: &[u8], key: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Md5::new().chain_update(padded(0x36)).chain_update(value).finalize();
    Md5::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_32_comes_back() {
        for (bytes, text) in
            [("", ""), ("f", "MY======"), ("foobar", "MZXW6YTBOI======"), ("fooba", "MZXW6YTB")]
        {
            assert_eq!(decoded(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(decoded("MY").unwrap(), b"f");
        assert!(decoded("m").is_err() && decoded("MYA").is_err() && decoded("M1").is_err());
    }

    #[test]
    fn digests_with_a_key_are_those_of_the_rfcs() {
        let hex = |bytes: Vec<u8>| crate::hex::encode(&bytes);
        let (value, key) = (b"what do ya want for nothing?".as_slice(), b"Jefe".as_slice());
        assert_eq!(hex(hmac_md5(value, key)), "750c783e6ab0b503eaa86e310a5db738");
        let sha256 = ring(hmac::HMAC_SHA256, value, key);
        assert!(hex(sha256).starts_with("5bdcc146bf60754e6a042426089575c7"));
        assert_eq!(
            hex(hmac_md5(b"Test Using Larger Than Block-Size Key - Hash Key First", &[0xaa; 80])),
            "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"
        );
    }
}
