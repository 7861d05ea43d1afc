//! Bytes: their texts in hexadecimal and base 64, checksums and digests, and UUIDs.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryBuilder, Int64Builder, StringBuilder};
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use flate2::Crc;
use md5::{Digest as _, Md5};
use ring::digest::{self, Algorithm};
use uuid::Uuid;

use super::args::{Texts, bytes, column, rows};
use super::function::function;
use super::types::unexpected;

mod codes;

/// Java's decoder asks for no padding.
const PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, PADDING);

/// The functions of this file and of the one below it.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let mut functions = codes::scalar();
    functions.extend([
        function("to_utf8", |given| from_text("to_utf8", given), to_utf8),
        function("from_utf8", |given| from_bytes("from_utf8", given, DataType::Utf8), from_utf8),
        function("to_hex", |given| from_bytes("to_hex", given, DataType::Utf8), |args| texts(args, hex)),
        function("from_hex", |given| from_text("from_hex", given), |args| decoded(args, from_hex)),
        function(
            "to_base64",
            |given| from_bytes("to_base64", given, DataType::Utf8),
            |args| texts(args, |bytes| BASE64.encode(bytes)),
        ),
        function(
            "to_base64url",
            |given| from_bytes("to_base64url", given, DataType::Utf8),
            |args| texts(args, |bytes| BASE64_URL.encode(bytes)),
        ),
        function(
            "from_base64",
            |given| from_text("from_base64", given),
            |args| decoded(args, |text| base64(&BASE64, text)),
        ),
        function(
            "from_base64url",
            |given| from_text("from_base64url", given),
            |args| decoded(args, |text| base64(&BASE64_URL, text)),
        ),
        function(
            "md5",
            |given| from_bytes("md5", given, DataType::Binary),
            |args| digests(args, |bytes| Md5::digest(bytes).to_vec()),
        ),
        function(
            "sha1",
            |given| from_bytes("sha1", given, DataType::Binary),
            |args| digests(args, |bytes| ring(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)),
        ),
        function(
            "sha256",
            |given| from_bytes("sha256", given, DataType::Binary),
            |args| digests(args, |bytes| ring(&digest::SHA256, bytes)),
        ),
        function(
            "sha512",
            |given| from_bytes("sha512", given, DataType::Binary),
            |args| digests(args, |bytes| ring(&digest::SHA512, bytes)),
        ),
        function(
            "xxhash64",
            |given| from_bytes("xxhash64", given, DataType::Binary),
            |args| digests(args, |bytes| twox_hash::XxHash64::oneshot(0, bytes).to_be_bytes().to_vec()),
        ),
        function("crc32", |given| from_bytes("crc32", given, DataType::Int64), crc32),
        ScalarUDF::from(NewUuid { signature: Signature::nullary(Volatility::Volatile) }),
    ]);
    functions
}

fn from_bytes(name: &str, given: &[DataType], result: DataType) -> Result<DataType> {
    match given {
        [DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null] => Ok(result),
        _ => Err(unexpected(name, given, &format!("{name}(varbinary)"))),
    }
}

fn from_text(name: &str, given: &[DataType]) -> Result<DataType> {
    match given {
        [DataType::Utf8 | DataType::Utf8View | DataType::Dictionary(..) | DataType::Null] => {
            Ok(DataType::Binary)
        }
        _ => Err(unexpected(name, given, &format!("{name}(varchar(x))"))),
    }
}

fn to_utf8(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    Ok(Arc::new(bytes(&column(&args.args[0], rows(args))?)?))
}

/// What is no UTF-8 is shown as replacement characters.
fn from_utf8(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let values = bytes(&column(&args.args[0], rows(args))?)?;
    let mut texts = StringBuilder::with_capacity(values.len(), values.value_data().len());
    values.iter().for_each(|value| texts.append_option(value.map(String::from_utf8_lossy)));
    Ok(Arc::new(texts.finish()))
}

fn texts(args: &ScalarFunctionArgs, encode: impl Fn(&[u8]) -> String) -> Result<ArrayRef> {
    let values = bytes(&column(&args.args[0], rows(args))?)?;
    let mut texts = StringBuilder::with_capacity(values.len(), values.value_data().len() * 2);
    values.iter().for_each(|value| texts.append_option(value.map(&encode)));
    Ok(Arc::new(texts.finish()))
}

fn digests(args: &ScalarFunctionArgs, digest: impl Fn(&[u8]) -> Vec<u8>) -> Result<ArrayRef> {
    let values = bytes(&column(&args.args[0], rows(args))?)?;
    let mut digests = BinaryBuilder::with_capacity(values.len(), values.len() * 32);
    values.iter().for_each(|value| digests.append_option(value.map(&digest)));
    Ok(Arc::new(digests.finish()))
}

fn decoded(args: &ScalarFunctionArgs, decode: impl Fn(&str) -> Result<Vec<u8>>) -> Result<ArrayRef> {
    let texts = Texts::of(&column(&args.args[0], rows(args))?)?;
    let mut values = BinaryBuilder::with_capacity(texts.len(), texts.len() * 16);
    for text in texts.iter() {
        values.append_option(text.map(&decode).transpose()?);
    }
    Ok(Arc::new(values.finish()))
}

fn crc32(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let values = bytes(&column(&args.args[0], rows(args))?)?;
    let mut sums = Int64Builder::with_capacity(values.len());
    let sum = |value: &[u8]| {
        let mut crc = Crc::new();
        crc.update(value);
        i64::from(crc.sum())
    };
    values.iter().for_each(|value| sums.append_option(value.map(sum)));
    Ok(Arc::new(sums.finish()))
}

fn ring(algorithm: &'static Algorithm, bytes: &[u8]) -> Vec<u8> {
    digest::digest(algorithm, bytes).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02X}");
    }
    text
}

fn from_hex(text: &str) -> Result<Vec<u8>> {
    let invalid = || exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Invalid hex string: {text}");
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err(invalid());
    }
    pairs
        .iter()
        .map(|[high, low]| Ok(digit(*high).ok_or_else(invalid)? * 16 + digit(*low).ok_or_else(invalid)?))
        .collect()
}

fn base64(engine: &GeneralPurpose, text: &str) -> Result<Vec<u8>> {
    engine.decode(text).map_err(|error| {
        exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Invalid base64 string: {text}: {error}")
    })
}

/// `uuid()`: another one in every row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct NewUuid {
    signature: Signature,
}

impl ScalarUDFImpl for NewUuid {
    fn name(&self) -> &'static str {
        "uuid"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut values = StringBuilder::with_capacity(args.number_rows, args.number_rows * 36);
        for _ in 0..args.number_rows {
            values.append_value(Uuid::new_v4().to_string());
        }
        if args.number_rows == 1 {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values.finish(), 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(values.finish())))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::super::args::testing::{call, named, text};
    use super::*;

    fn answer(name: &str, value: ColumnarValue) -> ArrayRef {
        call(&named(scalar(), name), &[value]).unwrap()
    }

    fn binary(value: &[u8]) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::Binary(Some(value.to_vec())))
    }

    fn shown(name: &str, value: &[u8]) -> String {
        answer(name, binary(value)).as_string::<i32>().value(0).to_owned()
    }

    fn digest_of(name: &str, value: &[u8]) -> String {
        let digest = answer(name, binary(value));
        shown("to_hex", digest.as_binary::<i32>().value(0))
    }

    #[test]
    fn bytes_have_texts_and_come_back() {
        assert_eq!(shown("to_hex", &[0, 171, 255]), "00ABFF");
        assert_eq!(shown("to_base64", &[251, 255]), "+/8=");
        assert_eq!(shown("to_base64url", &[251, 255]), "-_8=");
        assert_eq!(shown("from_utf8", "é".as_bytes()), "é");
        assert_eq!(shown("from_utf8", &[b'a', 255]), "a\u{fffd}");
        let back = |name, value| answer(name, text(value)).as_binary::<i32>().value(0).to_vec();
        assert_eq!(back("from_hex", "00abFF"), [0, 171, 255]);
        assert_eq!(
            (back("from_base64", "+/8="), back("from_base64url", "-_8")),
            (vec![251, 255], vec![251, 255])
        );
        assert_eq!(back("to_utf8", "é"), "é".as_bytes());
    }

    #[test]
    fn what_cannot_be_decoded_is_refused() {
        for (name, value) in [("from_hex", "0"), ("from_hex", "zz"), ("from_hex", "+1"), ("from_base64", "!")]
        {
            let error = call(&named(scalar(), name), &[text(value)]).unwrap_err().to_string();
            assert!(error.contains("INVALID_FUNCTION_ARGUMENT: Invalid"), "{error}");
        }
        let error = call(&named(scalar(), "md5"), &[text("a")]).unwrap_err().to_string();
        assert!(
            error.contains("Unexpected parameters (varchar) for function md5. Expected: md5(varbinary)"),
            "{error}"
        );
    }

    #[test]
    fn digests_are_those_that_are_published() {
        assert_eq!(digest_of("md5", b"abc"), "900150983CD24FB0D6963F7D28E17F72");
        assert_eq!(digest_of("sha1", b"abc"), "A9993E364706816ABA3E25717850C26C9CD0D89D");
        assert!(digest_of("sha256", b"abc").starts_with("BA7816BF8F01CFEA"));
        assert!(digest_of("sha512", b"abc").starts_with("DDAF35A193617ABA"));
        assert_eq!(digest_of("xxhash64", b""), "EF46DB3751D8E999");
        assert_eq!(answer("crc32", binary(b"123456789")).as_primitive::<Int64Type>().value(0), 0xCBF4_3926);
    }

    #[test]
    fn no_two_uuids_are_alike() {
        let uuid = named(scalar(), "uuid");
        let (first, second) = (call(&uuid, &[]).unwrap(), call(&uuid, &[]).unwrap());
        assert_ne!(first.as_string::<i32>().value(0), second.as_string::<i32>().value(0));
        assert_eq!(first.as_string::<i32>().value(0).len(), 36);
    }
}
