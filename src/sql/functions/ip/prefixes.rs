//! `ip_prefix`, `ip_subnet_min`, `ip_subnet_max`, `ip_subnet_range` and `is_subnet_of`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, FixedSizeBinaryArray, FixedSizeBinaryBuilder, ListBuilder,
};
use arrow::compute;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err, internal_err};
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};

use super::super::args::{Texts, column, rows};
use super::super::function::function;
use super::super::types::unexpected;
use super::{Address, address_of, highest, is_in, lowest, prefix};

const ADDRESS: DataType = DataType::FixedSizeBinary(16);
const PREFIX: DataType = DataType::FixedSizeBinary(17);

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        function("ip_prefix", ip_prefix_type, ip_prefix),
        function(
            "ip_subnet_min",
            |given| of_prefix("ip_subnet_min", given, ADDRESS),
            |args| address(args, lowest),
        ),
        function(
            "ip_subnet_max",
            |given| of_prefix("ip_subnet_max", given, ADDRESS),
            |args| address(args, highest),
        ),
        function(
            "ip_subnet_range",
            |given| of_prefix("ip_subnet_range", given, DataType::new_list(ADDRESS, true)),
            ip_subnet_range,
        ),
        function("is_subnet_of", is_subnet_of_type, is_subnet_of),
    ]
}

fn of_prefix(name: &str, given: &[DataType], result: DataType) -> Result<DataType> {
    match given {
        [DataType::FixedSizeBinary(17)] => Ok(result),
        _ => Err(unexpected(name, given, &format!("{name}(ipprefix)"))),
    }
}

fn ip_prefix_type(given: &[DataType]) -> Result<DataType> {
    match given {
        [DataType::FixedSizeBinary(16) | DataType::Utf8 | DataType::Utf8View, length]
            if length.is_integer() =>
        {
            Ok(PREFIX)
        }
        _ => {
            Err(unexpected("ip_prefix", given, "ip_prefix(ipaddress, bigint), ip_prefix(varchar(x), bigint)"))
        }
    }
}

fn is_subnet_of_type(given: &[DataType]) -> Result<DataType> {
    let expected = "is_subnet_of(ipprefix, ipaddress), is_subnet_of(ipprefix, ipprefix)";
    match given {
        [DataType::FixedSizeBinary(17), DataType::FixedSizeBinary(16 | 17)] => Ok(DataType::Boolean),
        _ => Err(unexpected("is_subnet_of", given, expected)),
    }
}

/// `ip_prefix(address, length)`: the network of that many bits in which the address is.
fn ip_prefix(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let rows = rows(args);
    let addresses = column(&args.args[0], rows)?;
    let lengths = compute::cast(&column(&args.args[1], rows)?, &DataType::Int64)?;
    let lengths = lengths.as_primitive::<Int64Type>();
    let mut values = FixedSizeBinaryBuilder::with_capacity(rows, 17);
    for row in 0..rows {
        if addresses.is_null(row) || lengths.is_null(row) {
            values.append_null();
            continue;
        }
        let address = address_at(&addresses, row)?;
        let prefix = u8::try_from(lengths.value(row)).ok().and_then(|length| prefix(&address, length));
        match prefix {
            Some(prefix) => values.append_value(prefix)?,
            None => {
                return exec_err!(
                    "INVALID_FUNCTION_ARGUMENT: Invalid IP address and subnet size: {}",
                    lengths.value(row)
                );
            }
        }
    }
    Ok(Arc::new(values.finish()))
}

fn address_at(addresses: &ArrayRef, row: usize) -> Result<Address> {
    if addresses.data_type() == &ADDRESS {
        return Ok(parts(addresses.as_fixed_size_binary(), row)?.0);
    }
    let texts = Texts::of(addresses)?;
    let text = texts.get(row).unwrap_or_default();
    address_of(text)
        .ok_or_else(|| exec_datafusion_err!("INVALID_CAST_ARGUMENT: Cannot cast value to IPADDRESS: {text}"))
}

/// The address in a row, and the length of the prefix if it is one.
fn parts(values: &FixedSizeBinaryArray, row: usize) -> Result<(Address, Option<u8>)> {
    let value = values.value(row);
    let Some(address) = value.first_chunk::<16>() else { return internal_err!("an address has 16 bytes") };
    Ok((*address, value.get(16).copied()))
}

/// An address of every prefix.
fn address(args: &ScalarFunctionArgs, choose: fn(&Address, u8) -> Address) -> Result<ArrayRef> {
    let prefixes = column(&args.args[0], rows(args))?;
    let prefixes = prefixes.as_fixed_size_binary();
    let mut values = FixedSizeBinaryBuilder::with_capacity(prefixes.len(), 16);
    for row in 0..prefixes.len() {
        if prefixes.is_null(row) {
            values.append_null();
            continue;
        }
        let (base, length) = parts(prefixes, row)?;
        values.append_value(choose(&base, length.unwrap_or_default()))?;
    }
    Ok(Arc::new(values.finish()))
}

/// `ip_subnet_range(prefix)`: the first address and the last.
fn ip_subnet_range(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let prefixes = column(&args.args[0], rows(args))?;
    let prefixes = prefixes.as_fixed_size_binary();
    let mut values = ListBuilder::new(FixedSizeBinaryBuilder::with_capacity(prefixes.len() * 2, 16));
    for row in 0..prefixes.len() {
        if prefixes.is_null(row) {
            values.append_null();
            continue;
        }
        let (base, length) = parts(prefixes, row)?;
        let length = length.unwrap_or_default();
        values.values().append_value(lowest(&base, length))?;
        values.values().append_value(highest(&base, length))?;
        values.append(true);
    }
    Ok(Arc::new(values.finish()))
}

/// `is_subnet_of(prefix, x)`: whether an address, or every address of another prefix, is in it.
fn is_subnet_of(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let rows = rows(args);
    let (networks, inner) = (column(&args.args[0], rows)?, column(&args.args[1], rows)?);
    let (networks, inner) = (networks.as_fixed_size_binary(), inner.as_fixed_size_binary());
    let mut values = BooleanBuilder::with_capacity(rows);
    for row in 0..rows {
        if networks.is_null(row) || inner.is_null(row) {
            values.append_null();
            continue;
        }
        let (network, length) = parts(networks, row)?;
        let length = length.unwrap_or_default();
        let (address, inner_length) = parts(inner, row)?;
        values.append_value(
            inner_length.is_none_or(|inner| inner >= length) && is_in(&network, length, &address),
        );
    }
    Ok(Arc::new(values.finish()))
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::ColumnarValue;

    use super::super::super::args::testing::{call, named, text};
    use super::super::{address_text, prefix_of, prefix_text};
    use super::*;

    fn answer(name: &str, args: &[ColumnarValue]) -> ArrayRef {
        call(&named(scalar(), name), args).unwrap()
    }

    fn prefix_value(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::FixedSizeBinary(17, prefix_of(text).map(|bytes| bytes.to_vec())))
    }

    fn address_value(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::FixedSizeBinary(16, address_of(text).map(|bytes| bytes.to_vec())))
    }

    #[test]
    fn networks_have_a_first_and_a_last_address() {
        for (network, first, last) in [
            ("192.64.1.1/9", "192.0.0.0", "192.127.255.255"),
            ("192.64.1.1/32", "192.64.1.1", "192.64.1.1"),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("2001:db8::/126", "2001:db8::", "2001:db8::3"),
            ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            let shown = |values: &ArrayRef| address_text(values.as_fixed_size_binary().value(0));
            assert_eq!(shown(&answer("ip_subnet_min", &[prefix_value(network)])), first);
            assert_eq!(shown(&answer("ip_subnet_max", &[prefix_value(network)])), last);
            let range = answer("ip_subnet_range", &[prefix_value(network)]).as_list::<i32>().value(0);
            assert_eq!((shown(&range), shown(&range.slice(1, 1))), (first.to_owned(), last.to_owned()));
        }
    }

    #[test]
    fn prefixes_are_made_of_addresses() {
        let of = |value| {
            let args = [value, ColumnarValue::Scalar(ScalarValue::from(9_i64))];
            prefix_text(answer("ip_prefix", &args).as_fixed_size_binary().value(0))
        };
        assert_eq!(of(address_value("192.168.255.255")), "192.128.0.0/9");
        assert_eq!(of(text("2001:db8::ff00:42:8329")), "2000::/9");
        let args = [address_value("10.0.0.1"), ColumnarValue::Scalar(ScalarValue::from(33_i64))];
        let error = call(&named(scalar(), "ip_prefix"), &args).unwrap_err().to_string();
        assert!(error.contains("INVALID_FUNCTION_ARGUMENT"), "{error}");
    }

    #[test]
    fn subnets_are_inside() {
        let is_in =
            |network, inner| answer("is_subnet_of", &[prefix_value(network), inner]).as_boolean().value(0);
        assert!(is_in("1.2.3.128/26", address_value("1.2.3.129")));
        assert!(!is_in("1.2.3.128/26", address_value("1.2.5.1")));
        assert!(is_in("192.168.3.131/26", prefix_value("192.168.3.144/30")));
        assert!(!is_in("192.168.3.144/30", prefix_value("192.168.3.131/26")));
        assert!(!is_in("0.0.0.0/0", address_value("::1")));
    }
}
