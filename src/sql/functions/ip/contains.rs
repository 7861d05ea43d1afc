//! `contains`: an address in a network, or an element in an array.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, FixedSizeBinaryArray, ListArray, UInt32Array,
    make_comparator,
};
use arrow::compute::{self, SortOptions};
use arrow::datatypes::DataType;
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, exec_datafusion_err, exec_err, internal_err};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::super::args::{Texts, column, constant_text, result, rows};
use super::super::types::unexpected;
use super::{Address, Prefix, address_of, bits, is_in, is_ipv4, lowest};

const EXPECTED: &str = "contains(varchar, ipaddress), contains(ipprefix, ipaddress), contains(array(t), t)";

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![ScalarUDF::from(Contains { signature: Signature::user_defined(Volatility::Immutable) })]
}

/// `contains(network, address)` and `contains(array, element)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Contains {
    signature: Signature,
}

impl ScalarUDFImpl for Contains {
    fn name(&self) -> &'static str {
        "contains"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// An array and a value are compared in the type that holds both; whatever does not fit is told by
    /// `return_type`, in Trino's words.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(match given {
            [DataType::Dictionary(..), address] if is_address(address) => {
                vec![DataType::Utf8, address.clone()]
            }
            [network, address] if is_network(network) && is_address(address) => given.to_vec(),
            [DataType::Null, value] => vec![DataType::new_list(value.clone(), true), value.clone()],
            [
                DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _),
                value,
            ] => match comparison_coercion(field.data_type(), value) {
                Some(common) => vec![DataType::new_list(common.clone(), true), common],
                None => given.to_vec(),
            },
            _ => given.to_vec(),
        })
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [network, address] if is_network(network) && is_address(address) => Ok(DataType::Boolean),
            [DataType::List(field), value] if field.data_type() == value => Ok(DataType::Boolean),
            _ => Err(unexpected("contains", given, EXPECTED)),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = rows(&args);
        let [container, value] = take_function_args("contains", &args.args)?;
        let values = match container.data_type() {
            DataType::List(_) => in_list(column(container, rows)?.as_list::<i32>(), &column(value, rows)?)?,
            _ => in_network(container, value, rows)?,
        };
        result(&args.args, Arc::new(values))
    }
}

fn is_network(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::FixedSizeBinary(17) | DataType::Null)
}

fn is_address(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeBinary(16) | DataType::Null)
}

/// Whether each address is in its network; a constant network is read once.
fn in_network(network: &ColumnarValue, address: &ColumnarValue, rows: usize) -> Result<BooleanArray> {
    let addresses = column(address, rows)?;
    if addresses.data_type() == &DataType::Null || network.data_type() == DataType::Null {
        return Ok(BooleanArray::new_null(rows));
    }
    let addresses = addresses.as_fixed_size_binary();
    match constant_text(network).filter(|_| !matches!(network.data_type(), DataType::FixedSizeBinary(_))) {
        Some(None) => Ok(BooleanArray::new_null(rows)),
        Some(Some(cidr)) => in_one(cidr, addresses),
        None => in_each(&column(network, rows)?, addresses),
    }
}

fn in_one(cidr: &str, addresses: &FixedSizeBinaryArray) -> Result<BooleanArray> {
    let mut values = BooleanBuilder::with_capacity(addresses.len());
    let mut network = None;
    for address in addresses {
        let Some(address) = address.and_then(|address| address.first_chunk::<16>()) else {
            values.append_null();
            continue;
        };
        // An error is raised only if there is a row to which it matters, as in Trino.
        let (base, length) = match network {
            Some(network) => network,
            None => *network.insert(self::network(cidr)?),
        };
        values.append_value(is_in(&base, length, address));
    }
    Ok(values.finish())
}

fn in_each(networks: &ArrayRef, addresses: &FixedSizeBinaryArray) -> Result<BooleanArray> {
    let mut values = BooleanBuilder::with_capacity(addresses.len());
    for (row, address) in addresses.iter().enumerate() {
        let address = address.and_then(|address| address.first_chunk::<16>());
        let Some(address) = address.filter(|_| networks.is_valid(row)) else {
            values.append_null();
            continue;
        };
        let (base, length) = match networks.data_type() {
            DataType::FixedSizeBinary(17) => parts(networks.as_fixed_size_binary().value(row))?,
            _ => network(Texts::of(networks)?.get(row).unwrap_or_default())?,
        };
        values.append_value(is_in(&base, length, address));
    }
    Ok(values.finish())
}

fn parts(prefix: &[u8]) -> Result<(Address, u8)> {
    let Ok(prefix) = Prefix::try_from(prefix) else { return internal_err!("an IP prefix has 17 bytes") };
    let mut address = [0; 16];
    address.copy_from_slice(&prefix[..16]);
    Ok((address, prefix[16]))
}

/// The network that a CIDR is: unlike in an IP prefix, no bit behind it may be set in IPv4.
fn network(cidr: &str) -> Result<(Address, u8)> {
    let Some((base, length)) = cidr.split_once('/') else {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: Invalid CIDR: {cidr}");
    };
    let base = address_of(base).ok_or_else(|| {
        exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Invalid network IP address: {cidr}")
    })?;
    let length: i32 =
        length.parse().ok().filter(|length| *length >= 0).ok_or_else(|| {
            exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Invalid prefix length: {cidr}")
        })?;
    let length = u8::try_from(length).ok().filter(|length| *length <= bits(&base)).ok_or_else(|| {
        exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Prefix length exceeds address length: {cidr}")
    })?;
    if is_ipv4(&base) && lowest(&base, length) != base {
        return exec_err!(
            "INVALID_FUNCTION_ARGUMENT: Invalid CIDR: bits behind the prefix are set in {cidr}"
        );
    }
    Ok((base, length))
}

/// Whether each element is in its array: NULL if it is not, but the array holds a NULL.
fn in_list(lists: &ListArray, values: &ArrayRef) -> Result<BooleanArray> {
    let offsets = lists.offsets();
    let (start, end) = (place(offsets[0]), place(offsets[lists.len()]));
    let elements = lists.values().slice(start, end - start);
    // Every element beside the value that it is compared with.
    let rows: UInt32Array =
        (0..).zip(offsets.lengths()).flat_map(|(row, length)| repeat_n(row, length)).collect();
    let is_equal = make_comparator(&elements, &compute::take(values, &rows, None)?, SortOptions::default())?;
    let mut found = BooleanBuilder::with_capacity(lists.len());
    let mut at = 0;
    for (row, length) in offsets.lengths().enumerate() {
        let mut range = at..at + length;
        at += length;
        if lists.is_null(row) || values.is_null(row) {
            found.append_null();
        } else if range
            .clone()
            .any(|element| elements.is_valid(element) && is_equal(element, element).is_eq())
        {
            found.append_value(true);
        } else {
            found.append_option(range.all(|element| elements.is_valid(element)).then_some(false));
        }
    }
    Ok(found.finish())
}

fn place(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use arrow::array::{FixedSizeBinaryBuilder, Int64Array, StringArray};
    use arrow::datatypes::Int64Type;
    use datafusion::common::ScalarValue;

    use super::super::super::args::testing::{call, named, text};
    use super::super::prefix_of;
    use super::*;

    fn address(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::FixedSizeBinary(16, address_of(text).map(|bytes| bytes.to_vec())))
    }

    fn contains(args: &[ColumnarValue]) -> Result<Vec<Option<bool>>> {
        Ok(call(&named(scalar(), "contains"), args)?.as_boolean().iter().collect())
    }

    #[test]
    fn addresses_are_in_networks_of_their_own_version() {
        for (network, inside, expected) in [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.0.0/16", "10.1.255.255", true),
            ("10.1.0.0/16", "10.2.0.0", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "10.0.0.1", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::5/32", "2001:db8:ffff::1", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("::ffff:10.0.0.0/8", "10.1.1.1", true),
        ] {
            assert_eq!(
                contains(&[text(network), address(inside)]).unwrap(),
                [Some(expected)],
                "{network} {inside}"
            );
        }
        assert_eq!(contains(&[text("10.0.0.0/8"), address("no address")]).unwrap(), [None]);
        let prefix = ScalarValue::FixedSizeBinary(17, prefix_of("10.0.0.0/8").map(|bytes| bytes.to_vec()));
        assert_eq!(contains(&[ColumnarValue::Scalar(prefix), address("10.1.1.1")]).unwrap(), [Some(true)]);
    }

    #[test]
    fn what_is_no_network_is_refused_as_soon_as_there_is_an_address() {
        for (network, reason) in [
            ("10.0.0.0/33", "Prefix length exceeds address length"),
            ("10.0.0.0/300", "Prefix length exceeds address length"),
            ("::/129", "Prefix length exceeds address length"),
            ("10.0.0.5/8", "Invalid CIDR"),
            ("not a network", "Invalid CIDR"),
            ("x/8", "Invalid network IP address"),
            ("10.0.0.0/x", "Invalid prefix length"),
            ("10.0.0.0/-1", "Invalid prefix length"),
        ] {
            let error = contains(&[text(network), address("10.1.1.1")]).unwrap_err().to_string();
            assert!(error.contains(&format!("INVALID_FUNCTION_ARGUMENT: {reason}")), "{network}: {error}");
            assert_eq!(contains(&[text(network), address("")]).unwrap(), [None]);
        }
    }

    #[test]
    fn networks_and_addresses_may_be_columns() {
        let mut addresses = FixedSizeBinaryBuilder::new(16);
        addresses.append_value(address_of("10.1.1.1").unwrap()).unwrap();
        addresses.append_null();
        addresses.append_value(address_of("::1").unwrap()).unwrap();
        let addresses = ColumnarValue::Array(Arc::new(addresses.finish()));
        assert_eq!(
            contains(&[text("10.0.0.0/8"), addresses.clone()]).unwrap(),
            [Some(true), None, Some(false)]
        );
        let networks = StringArray::from(vec![Some("11.0.0.0/8"), Some("bad"), None]);
        let networks = ColumnarValue::Array(Arc::new(networks));
        assert_eq!(contains(&[networks, addresses]).unwrap(), [Some(false), None, None]);
    }

    #[test]
    fn elements_are_found_in_arrays_and_null_tells_that_it_is_not_known() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(vec![Some(1), Some(2)]),
            Some(vec![Some(1), None]),
            Some(vec![Some(3), None]),
            None,
            Some(vec![]),
            Some(vec![Some(3)]),
        ]);
        let values = Int64Array::from(vec![Some(2), Some(2), Some(3), Some(1), Some(1), None]);
        let lists = ColumnarValue::Array(Arc::new(lists.slice(0, 6)));
        let expected = [Some(true), None, Some(true), None, Some(false), None];
        assert_eq!(contains(&[lists, ColumnarValue::Array(Arc::new(values))]).unwrap(), expected);
    }

    #[test]
    fn arguments_that_do_not_fit_are_told_with_what_would() {
        let contains = named(scalar(), "contains");
        for given in [
            vec![DataType::Utf8, DataType::Utf8],
            vec![DataType::Int64],
            vec![DataType::Int64, DataType::Int64],
        ] {
            let coerced = contains.coerce_types(&given).unwrap();
            let error = contains.return_type(&coerced).unwrap_err().to_string();
            assert!(error.contains("FUNCTION_NOT_FOUND: Unexpected parameters"), "{error}");
        }
        let list = DataType::new_list(DataType::Int32, true);
        let common = contains.coerce_types(&[list, DataType::Int64]).unwrap();
        assert_eq!(common, [DataType::new_list(DataType::Int64, true), DataType::Int64]);
    }
}
