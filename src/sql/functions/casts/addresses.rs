//! Casts to IP addresses and prefixes, UUIDs and bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryBuilder, StringBuilder};
use arrow::compute;
use arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use uuid::Uuid;

use super::super::args::{Texts, bytes};
use super::super::ip::{address_of, address_of_bytes, prefix_of, whole_prefix};
use super::super::types::Type;
use super::failures::Failures;

/// Casts to `ipaddress`, `ipprefix`, `uuid` or `varbinary`.
pub(super) fn cast(input: &ArrayRef, from: &Type, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    match (from, to) {
        (Type::Varchar(_) | Type::Char(_), Type::IpAddress) => {
            read(&Texts::of(input)?, "IPADDRESS", address_of, failures)
        }
        (Type::Varchar(_) | Type::Char(_), Type::IpPrefix) => {
            read(&Texts::of(input)?, "IPPREFIX", prefix_of, failures)
        }
        (Type::Varchar(_) | Type::Char(_), Type::Uuid) => Ok(uuids(&Texts::of(input)?, failures)),
        (Type::Varchar(_) | Type::Char(_), Type::Varbinary) => Ok(compute::cast(input, &DataType::Binary)?),
        (Type::Varbinary, Type::IpAddress) => from_bytes(&bytes(input)?, failures),
        (Type::IpAddress, Type::Varbinary) => {
            let values = input.as_fixed_size_binary();
            Ok(Arc::new(values.iter().collect::<BinaryArray>()))
        }
        (Type::IpAddress, Type::IpPrefix) => mapped(input, whole_prefix),
        (Type::IpPrefix, Type::IpAddress) => mapped(input, |prefix| {
            let mut address = [0; 16];
            address.copy_from_slice(&prefix[..16]);
            address
        }),
        _ if from == to => Ok(Arc::clone(input)),
        _ => internal_err!("no cast from {from} to {to}"),
    }
}

fn read<const N: usize>(
    texts: &Texts,
    to: &str,
    parse: impl Fn(&str) -> Option<[u8; N]>,
    failures: &mut Failures,
) -> Result<ArrayRef> {
    let mut values = FixedSizeBinaryBuilder::with_capacity(texts.len(), i32::try_from(N).unwrap_or_default());
    for (row, text) in texts.iter().enumerate() {
        let reason = |text| format!("INVALID_CAST_ARGUMENT: Cannot cast value to {to}: {text}");
        match text.and_then(|text| failures.note(row, parse(text), || reason(text))) {
            Some(value) => values.append_value(value)?,
            None => values.append_null(),
        }
    }
    Ok(Arc::new(values.finish()))
}

fn mapped<const N: usize>(input: &ArrayRef, convert: impl Fn(&[u8]) -> [u8; N]) -> Result<ArrayRef> {
    let mut values = FixedSizeBinaryBuilder::with_capacity(input.len(), i32::try_from(N).unwrap_or_default());
    for value in input.as_fixed_size_binary() {
        match value {
            Some(value) => values.append_value(convert(value))?,
            None => values.append_null(),
        }
    }
    Ok(Arc::new(values.finish()))
}

fn from_bytes(input: &BinaryArray, failures: &mut Failures) -> Result<ArrayRef> {
    let mut values = FixedSizeBinaryBuilder::with_capacity(input.len(), 16);
    for (row, value) in input.iter().enumerate() {
        let reason = |length| format!("INVALID_CAST_ARGUMENT: Invalid IP address binary length: {length}");
        match value.and_then(|value| failures.note(row, address_of_bytes(value), || reason(value.len()))) {
            Some(value) => values.append_value(value)?,
            None => values.append_null(),
        }
    }
    Ok(Arc::new(values.finish()))
}

/// A UUID is kept as its text, in lower case.
fn uuids(texts: &Texts, failures: &mut Failures) -> ArrayRef {
    let mut values = StringBuilder::with_capacity(texts.len(), texts.len() * 36);
    for (row, text) in texts.iter().enumerate() {
        let uuid = text.and_then(|text| {
            let parsed = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
            failures.note(row, parsed, || format!("INVALID_CAST_ARGUMENT: Cannot cast value to UUID: {text}"))
        });
        values.append_option(uuid.map(|uuid| uuid.to_string()));
    }
    Arc::new(values.finish())
}
