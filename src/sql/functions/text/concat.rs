//! `concat`, of texts, bytes and arrays: NULL if one of them is; and `concat_ws`, which leaves NULL out.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, ListArray, MutableArrayData, StringArray, StringViewArray,
    make_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err, internal_err};
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::binary::type_union_resolution;

use super::super::scalar::{Arguments, Function, Kind, put, unexpected};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const CONCAT: &[&[Kind]] =
        &[&[Kind::Text, Kind::Text], &[Kind::Binary, Kind::Binary], &[Kind::Any, Kind::Any]];
    const CONCAT_WS: &[&[Kind]] = &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Array]];
    vec![
        Function::new("concat", CONCAT, DataType::Null, concat)
            .repeats()
            .check(check_concat)
            .returns(|args| Ok(result_type(args.arg_fields.iter().map(|field| field.data_type()))))
            .into(),
        Function::new("concat_ws", CONCAT_WS, DataType::Utf8, concat_ws)
            .repeats()
            .check(check_concat_ws)
            .into(),
    ]
}

fn result_type<'a>(mut types: impl Iterator<Item = &'a DataType>) -> DataType {
    let special = |data_type: &&DataType| matches!(data_type, DataType::List(_) | DataType::Binary);
    types.find(special).cloned().unwrap_or(DataType::Utf8)
}

/// Beside arrays, their elements may stand.
fn check_concat(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    const EXPECTED: &str = "concat(varchar, …), concat(varbinary, …), concat(array(E), …), concat(array(E), E), concat(E, array(E))";
    if types
        .iter()
        .all(|data_type| matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::Binary))
    {
        return Ok(types.to_vec());
    }
    let elements: Vec<_> = types
        .iter()
        .filter_map(|data_type| match data_type {
            DataType::List(element) => Some(element.data_type().clone()),
            _ => None,
        })
        .collect();
    let singles = types.iter().filter(|data_type| !matches!(data_type, DataType::List(_))).cloned();
    let all: Vec<_> = elements.iter().cloned().chain(singles).collect();
    let Some(element) = (!elements.is_empty()).then(|| type_union_resolution(&all)).flatten() else {
        return unexpected(name, types, EXPECTED);
    };
    let list = DataType::List(Arc::new(Field::new_list_field(element.clone(), true)));
    let whole = |data_type: &DataType| matches!(data_type, DataType::List(_) | DataType::Null);
    Ok(types.iter().map(|given| if whole(given) { list.clone() } else { element.clone() }).collect())
}

fn check_concat_ws(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let text = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let DataType::List(element) = &types[1] else { return Ok(types.to_vec()) };
    let texts = matches!(element.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::Null);
    if !texts || types.len() > 2 {
        let expected = "concat_ws(varchar, varchar, …), concat_ws(varchar, array(varchar))";
        return unexpected(name, types, expected);
    }
    Ok(vec![types[0].clone(), text])
}

fn concat(args: &Arguments) -> Result<ArrayRef> {
    match args.return_type() {
        DataType::Utf8 => concat_texts(args),
        DataType::Binary => concat_bytes(args),
        _ => concat_arrays(args),
    }
}

fn concat_texts(args: &Arguments) -> Result<ArrayRef> {
    let texts = (0..args.len()).map(|index| args.text(index)).collect::<Result<Vec<_>>>()?;
    args.to_texts(|row, out| {
        if texts.iter().any(|texts| texts.at(row).is_none()) {
            return Ok(None);
        }
        for text in texts.iter().filter_map(|texts| texts.at(row)) {
            put(out, text)?;
        }
        Ok(Some(()))
    })
}

fn concat_bytes(args: &Arguments) -> Result<ArrayRef> {
    let bytes = (0..args.len()).map(|index| args.binary(index)).collect::<Result<Vec<_>>>()?;
    let mut out = BinaryBuilder::new();
    for row in 0..args.rows() {
        let parts: Option<Vec<_>> = bytes.iter().map(|bytes| bytes(row)).collect();
        out.append_option(parts.map(|parts| parts.concat()));
    }
    Ok(Arc::new(out.finish()))
}

fn concat_arrays(args: &Arguments) -> Result<ArrayRef> {
    let DataType::List(element) = args.return_type() else { return internal_err!("an array expected") };
    let mut arrays = Vec::new();
    for index in 0..args.len() {
        let array = args.array(index)?;
        let data_type = if matches!(array.data_type(), DataType::List(_)) {
            args.return_type()
        } else {
            element.data_type()
        };
        arrays.push(cast(&array, data_type)?);
    }
    let values: Vec<_> = arrays
        .iter()
        .map(|array| match array.as_list_opt::<i32>() {
            Some(list) if array.data_type() == args.return_type() => list.values().to_data(),
            _ => array.to_data(),
        })
        .collect();
    let mut elements = MutableArrayData::new(values.iter().collect(), true, args.rows());
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for row in 0..args.rows() {
        let is_array = |array: &ArrayRef| array.data_type() == args.return_type();
        let null = arrays.iter().any(|array| is_array(array) && array.is_null(row));
        valid.push(!null);
        let mut length = 0;
        for (index, array) in arrays.iter().enumerate().filter(|_| !null) {
            let (start, end) = if is_array(array) {
                let offsets = array.as_list::<i32>().value_offsets();
                (usize::try_from(offsets[row]).unwrap_or(0), usize::try_from(offsets[row + 1]).unwrap_or(0))
            } else {
                (row, row + 1)
            };
            elements.try_extend(index, start, end)?;
            length += end - start;
        }
        lengths.push(length);
    }
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(
        Arc::clone(element),
        offsets,
        make_array(elements.freeze()),
        Some(NullBuffer::from(valid)),
    )?;
    Ok(Arc::new(list))
}

fn concat_ws(args: &Arguments) -> Result<ArrayRef> {
    let separators = args.text(0)?;
    if matches!(args.one_or_all(1).data_type(), DataType::List(_)) {
        return concat_ws_array(args);
    }
    let texts = (1..args.len()).map(|index| args.text(index)).collect::<Result<Vec<_>>>()?;
    args.to_texts(|row, out| {
        let Some(separator) = separators.at(row) else { return Ok(None) };
        for (index, text) in texts.iter().filter_map(|texts| texts.at(row)).enumerate() {
            put(out, if index > 0 { separator } else { "" })?;
            put(out, text)?;
        }
        Ok(Some(()))
    })
}

fn concat_ws_array(args: &Arguments) -> Result<ArrayRef> {
    let separators = args.text(0)?;
    let lists = args.one_or_all(1).as_list::<i32>();
    args.to_texts(|row, out| {
        let place = args.place(1, row);
        let (Some(separator), true) = (separators.at(row), lists.is_valid(place)) else { return Ok(None) };
        let elements = lists.value(place);
        for (index, text) in texts_of(&elements)?.into_iter().flatten().enumerate() {
            put(out, if index > 0 { separator } else { "" })?;
            put(out, text)?;
        }
        Ok(Some(()))
    })
}

fn texts_of(array: &ArrayRef) -> Result<Vec<Option<&str>>> {
    let any = array.as_any();
    match (any.downcast_ref::<StringArray>(), any.downcast_ref::<StringViewArray>()) {
        (Some(texts), _) => Ok(texts.iter().collect()),
        (_, Some(texts)) => Ok(texts.iter().collect()),
        _ => exec_err!("an array of varchar expected, not of {}", array.data_type()),
    }
}
