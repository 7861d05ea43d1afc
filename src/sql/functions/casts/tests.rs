use arrow::array::{Int32Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int32Type;
use arrow::util::display::array_value_to_string;
use datafusion::logical_expr::lit;

use super::super::args::testing::{call, json, named, text};
use super::super::json;
use super::super::testing;
use super::*;

fn run(name: &str, value: ColumnarValue, to: &str) -> Result<ArrayRef> {
    call(&named(scalar(), name), &[value, text(to)])
}

fn cast_to(value: ColumnarValue, to: &str) -> ArrayRef {
    run("$cast", value, to).unwrap_or_else(|error| panic!("{to}: {error}"))
}

fn constant(value: impl Into<ScalarValue>) -> ColumnarValue {
    ColumnarValue::Scalar(value.into())
}

/// A value as its cast to varchar says it; NULL as such.
fn shown(values: &ArrayRef) -> String {
    if values.is_null(0) {
        return "NULL".to_owned();
    }
    let is_text = matches!(values.data_type(), DataType::Utf8 | DataType::LargeUtf8);
    let texts = if is_text {
        Arc::clone(values)
    } else {
        cast_to(ColumnarValue::Array(Arc::clone(values)), "varchar")
    };
    array_value_to_string(&texts, 0).unwrap()
}

fn to(value: ColumnarValue, to: &str) -> String {
    shown(&cast_to(value, to))
}

/// A container as JSON.
fn as_json(values: ArrayRef) -> String {
    shown(&cast_to(ColumnarValue::Array(values), "json"))
}

fn error(value: ColumnarValue, to: &str) -> String {
    let error = run("$cast", value.clone(), to).unwrap_err().strip_backtrace();
    if !error.contains("TYPE_MISMATCH") {
        assert!(run("$try_cast", value, to).unwrap().is_null(0), "TRY_CAST of {error}");
    }
    error
}

#[test]
fn text_becomes_numbers_by_javas_rules() {
    for (value, of, expected) in [
        ("0042", "integer", "42"),
        ("+7", "bigint", "7"),
        ("-9223372036854775808", "bigint", "-9223372036854775808"),
        ("127", "tinyint", "127"),
        ("-32768", "smallint", "-32768"),
        (" 1.5 ", "double", "1.5E0"),
        ("1e400", "double", "Infinity"),
        ("NaN", "real", "NaN"),
        ("1.10", "decimal(10,2)", "1.10"),
        ("1.005", "decimal(10,2)", "1.01"),
        ("1e2", "decimal(5,0)", "100"),
        ("TRUE", "boolean", "true"),
        ("f", "boolean", "false"),
        ("1", "boolean", "true"),
    ] {
        assert_eq!(to(text(value), of), expected, "{value}");
    }
    for (value, of, expected) in [
        ("abc", "bigint", "Cannot cast 'abc' to BIGINT"),
        ("", "integer", "Cannot cast '' to INT"),
        (" 1", "integer", "Cannot cast ' 1' to INT"),
        ("1048576.0", "bigint", "Cannot cast '1048576.0' to BIGINT"),
        ("128", "tinyint", "Cannot cast '128' to TINYINT"),
        ("x", "double", "Cannot cast 'x' to DOUBLE"),
        ("yes", "boolean", "Cannot cast 'yes' to BOOLEAN"),
        ("x", "decimal(5,2)", "Cannot cast VARCHAR 'x' to DECIMAL(5, 2)"),
        ("1000", "decimal(5,2)", "Cannot cast VARCHAR '1000' to DECIMAL(5, 2)"),
    ] {
        let error = error(text(value), of);
        assert!(error.contains(&format!("INVALID_CAST_ARGUMENT: {expected}")), "{error}");
    }
}

#[test]
fn numbers_are_rounded_half_away_from_zero_and_stay_in_range() {
    for (value, of, expected) in [
        (constant(2.5), "bigint", "3"),
        (constant(-2.5), "bigint", "-3"),
        (constant(1.5), "integer", "2"),
        (constant(1.5_f32), "integer", "2"),
        (constant(ScalarValue::Decimal128(Some(25), 2, 1)), "bigint", "3"),
        (constant(ScalarValue::Decimal128(Some(-25), 2, 1)), "bigint", "-3"),
        (constant(ScalarValue::Decimal128(Some(1255), 4, 3)), "decimal(4,2)", "1.26"),
        (constant(ScalarValue::Decimal128(Some(15), 2, 1)), "double", "1.5E0"),
        (constant(true), "integer", "1"),
        (constant(true), "double", "1.0E0"),
        (constant(7_i64), "double", "7.0E0"),
        (constant(7_i64), "decimal(5,2)", "7.00"),
        (constant(0.1), "decimal(5,2)", "0.10"),
        (constant(0_i64), "boolean", "false"),
        (constant(-0.5), "boolean", "true"),
        (constant(ScalarValue::Int64(None)), "integer", "NULL"),
        (constant(ScalarValue::Null), "array(json)", "NULL"),
    ] {
        assert_eq!(to(value.clone(), of), expected, "{value:?}");
    }
    for (value, of, expected) in [
        (
            constant(3_000_000_000_i64),
            "integer",
            "NUMERIC_VALUE_OUT_OF_RANGE: Out of range for integer: 3000000000",
        ),
        (constant(1e10), "integer", "NUMERIC_VALUE_OUT_OF_RANGE: Out of range for integer: 1.0E10"),
        (constant(1e19), "bigint", "INVALID_CAST_ARGUMENT: Unable to cast 1.0E19 to bigint"),
        (constant(f64::NAN), "integer", "INVALID_CAST_ARGUMENT: Cannot cast double NaN to integer"),
        (
            constant(1000_i64),
            "decimal(5,2)",
            "INVALID_CAST_ARGUMENT: Cannot cast BIGINT '1000' to DECIMAL(5, 2)",
        ),
        (
            constant(f64::INFINITY),
            "decimal(5,2)",
            "INVALID_CAST_ARGUMENT: Cannot cast DOUBLE 'inf' to DECIMAL(5, 2)",
        ),
    ] {
        let error = error(value, of);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn varchars_are_cut_and_chars_filled_but_numbers_are_never_cut() {
    for (value, of, expected) in [
        (text("añb"), "varchar(2)", "añ"),
        (text("ab"), "varchar(5)", "ab"),
        (text("ab"), "char(4)", "ab  "),
        (text("abcdef"), "char(4)", "abcd"),
        (constant(12_i64), "varchar(2)", "12"),
        (constant(true), "varchar", "true"),
        (constant(12.5), "varchar", "1.25E1"),
        (json("\"abc\""), "varchar(2)", "ab"),
    ] {
        assert_eq!(to(value, of), expected);
    }
    let error = error(constant(1234_i64), "varchar(2)");
    assert!(
        error.contains("INVALID_CAST_ARGUMENT: Value 1234 cannot be represented as varchar(2)"),
        "{error}"
    );
}

#[test]
fn times_are_read_and_written_as_trino_does() {
    for (value, of, expected) in [
        ("2026-01-01", "date", "2026-01-01"),
        ("2026-1-5", "date", "2026-01-05"),
        ("2026-01-01", "timestamp", "2026-01-01 00:00:00.000"),
        ("2026-01-01 00:02", "timestamp", "2026-01-01 00:02:00.000"),
        ("2026-01-01 00:02:11.1239", "timestamp", "2026-01-01 00:02:11.124"),
        ("2026-01-01 00:02:11.5", "timestamp(0)", "2026-01-01 00:02:12"),
        ("2026-01-01 00:02:11.123456", "timestamp(6)", "2026-01-01 00:02:11.123456"),
        ("2026-01-01 00:02:11", "timestamp with time zone", "2026-01-01 00:02:11.000 UTC"),
        ("2026-01-01 00:02:11 +02:00", "timestamp with time zone", "2026-01-01 00:02:11.000 +02:00"),
        (
            "2026-07-01 12:00 Europe/Berlin",
            "timestamp with time zone",
            "2026-07-01 12:00:00.000 Europe/Berlin",
        ),
        ("1:02:03.5", "time", "01:02:03.500"),
    ] {
        assert_eq!(to(text(value), of), expected, "{value}");
    }
    for (value, of) in [
        ("2026-01-01T00:00:00Z", "timestamp"),
        ("2026-01-01 00:00:00 UTC", "timestamp"),
        ("2026-01-01 00:00:00", "date"),
        ("2026-02-30", "date"),
        ("x", "timestamp with time zone"),
        ("2026-01-01 00:00 Mars/Olympus", "timestamp with time zone"),
        ("24:00", "time"),
    ] {
        let error = error(text(value), of);
        assert!(
            error.contains(&format!("INVALID_CAST_ARGUMENT: Value cannot be cast to {of}: {value}")),
            "{error}"
        );
    }
}

#[test]
fn moments_change_their_type_by_the_clock_of_their_zone() {
    let berlin = || {
        ColumnarValue::Array(cast_to(
            text("2026-07-01 01:30:00.999 Europe/Berlin"),
            "timestamp with time zone",
        ))
    };
    assert_eq!(to(berlin(), "date"), "2026-07-01");
    assert_eq!(to(berlin(), "timestamp"), "2026-07-01 01:30:00.999");
    assert_eq!(to(berlin(), "time"), "01:30:00.999");
    assert_eq!(to(berlin(), "timestamp(0) with time zone"), "2026-07-01 01:30:01 Europe/Berlin");
    let micros = || constant(ScalarValue::TimestampMicrosecond(Some(-1), None));
    assert_eq!(to(micros(), "varchar"), "1969-12-31 23:59:59.999999");
    assert_eq!(to(micros(), "timestamp"), "1970-01-01 00:00:00.000");
    assert_eq!(to(micros(), "date"), "1969-12-31");
    assert_eq!(
        to(constant(ScalarValue::Date32(Some(1))), "timestamp with time zone"),
        "1970-01-02 00:00:00.000 UTC"
    );
    assert_eq!(
        to(constant(ScalarValue::TimestampNanosecond(Some(1_500_000), None)), "timestamp"),
        "1970-01-01 00:00:00.002"
    );
}

#[test]
fn intervals_are_written() {
    let interval = |months, days, nanos| constant(ScalarValue::new_interval_mdn(months, days, nanos));
    assert_eq!(to(interval(0, 2, 3_600_000_000_000), "varchar"), "2 01:00:00.000");
    assert_eq!(to(interval(0, -1, 0), "varchar"), "-1 00:00:00.000");
    assert_eq!(to(interval(14, 0, 0), "varchar"), "1-2");
}

#[test]
fn addresses_and_uuids_are_read() {
    assert_eq!(to(text("2001:DB8:0:0:0:0:0:1"), "ipaddress"), "2001:db8::1");
    assert_eq!(to(text("10.1.2.3/8"), "ipprefix"), "10.0.0.0/8");
    assert_eq!(to(constant(ScalarValue::Binary(Some(vec![10, 0, 0, 1]))), "ipaddress"), "10.0.0.1");
    let address = ColumnarValue::Array(cast_to(text("10.0.0.1"), "ipaddress"));
    assert_eq!(to(address.clone(), "ipprefix"), "10.0.0.1/32");
    assert_eq!(cast_to(address, "varbinary").data_type(), &DataType::Binary);
    let uuid = "12151FD2-7586-11E9-8F9E-2A86E4085A59";
    assert_eq!(to(text(uuid), "uuid"), uuid.to_lowercase());
    let error = error(text("ec2.amazonaws.com"), "ipaddress");
    assert!(
        error.contains("INVALID_CAST_ARGUMENT: Cannot cast value to IPADDRESS: ec2.amazonaws.com"),
        "{error}"
    );
}

#[test]
fn json_scalars_become_what_they_say() {
    for (value, of, expected) in [
        ("\"abc\"", "varchar", "abc"),
        ("\"a\\\"b\"", "varchar", "a\"b"),
        ("12", "varchar", "12"),
        ("1.5", "varchar", "1.5E0"),
        ("true", "varchar", "true"),
        ("null", "varchar", "NULL"),
        ("null", "array(bigint)", "NULL"),
        ("12", "bigint", "12"),
        ("1048576.0", "bigint", "1048576"),
        ("\"12\"", "integer", "12"),
        ("true", "bigint", "1"),
        ("1.5", "double", "1.5E0"),
        ("\"1.5\"", "double", "1.5E0"),
        ("1.005", "decimal(5,2)", "1.01"),
        ("true", "boolean", "true"),
        ("0", "boolean", "false"),
        ("\"false\"", "boolean", "false"),
    ] {
        assert_eq!(to(json(value), of), expected, "{value}");
    }
    for (value, of) in [
        ("{\"a\":1}", "varchar"),
        ("[1]", "bigint"),
        ("\"x\"", "integer"),
        ("3000000000", "integer"),
        ("not json", "varchar"),
    ] {
        let error = error(json(value), of);
        assert!(error.contains(&format!("INVALID_CAST_ARGUMENT: Cannot cast '{value}' to {of}")), "{error}");
    }
}

#[test]
fn json_containers_become_arrays_maps_and_rows() {
    for (value, of, expected) in [
        ("[\"a\",\"b\",null]", "array(varchar)", r#"["a","b",null]"#),
        ("[1,2.5,\"3\"]", "array(double)", "[1.0,2.5,3.0]"),
        ("[{\"a\":1},null,\"x\"]", "array(json)", r#"[{"a":1},null,"x"]"#),
        ("[]", "array(json)", "[]"),
        ("[[1],[],null]", "array(array(bigint))", "[[1],[],null]"),
        ("{\"b\":1,\"a\":{\"x\":[]}}", "map(varchar, json)", r#"{"a":{"x":[]},"b":1}"#),
        ("{\"1\":\"x\"}", "map(bigint, varchar)", r#"{"1":"x"}"#),
        ("{}", "map(varchar, varchar)", "{}"),
        ("[{\"k\":\"v\"},{}]", "array(map(varchar, varchar))", r#"[{"k":"v"},{}]"#),
        ("{\"B\":2,\"c\":3,\"a\":\"x\"}", "row(a varchar, b bigint)", r#"{"a":"x","b":2}"#),
        ("[\"x\",2]", "row(a varchar, b bigint)", r#"{"a":"x","b":2}"#),
        ("{\"a\":\"x\"}", "row(a varchar, b bigint)", r#"{"a":"x","b":null}"#),
        ("[{\"r\":[{\"n\":1}]},null]", "array(row(r array(row(n integer))))", r#"[{"r":[{"n":1}]},null]"#),
    ] {
        assert_eq!(as_json(cast_to(json(value), of)), expected, "{value}");
    }
    for (value, of, expected) in [
        (
            "{\"a\":1}",
            "array(bigint)",
            "Cannot cast to array(bigint). Expected a json array, but got {\n{\"a\":1}",
        ),
        (
            "[1]",
            "map(varchar, json)",
            "Cannot cast to map(varchar, json). Expected a json object, but got [\n[1]",
        ),
        ("[\"x\"]", "array(bigint)", "Cannot cast to array(bigint). "),
        ("[{}]", "array(varchar)", "Cannot cast to array(varchar). Unexpected token when cast: {"),
        ("{\"a\":1,\"a\":2}", "map(varchar, bigint)", "Duplicate keys are not allowed"),
        ("{\"a\":1,\"A\":2}", "row(a bigint)", "Duplicate field: A"),
        (
            "{\"a\":1}",
            "row(bigint)",
            "Cannot cast a JSON object to anonymous row type. Input must be a JSON array.",
        ),
        ("3", "row(a bigint)", "Expected a json array or object, but got 3"),
    ] {
        let error = error(json(value), of);
        assert!(
            error.contains("INVALID_CAST_ARGUMENT: Cannot cast to") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn values_become_json() {
    for (value, expected) in [
        (text("a\"b"), r#""a\"b""#),
        (constant(1_i64), "1"),
        (constant(1.5), "1.5"),
        (constant(1e10), "1.0E10"),
        (constant(f64::NAN), "\"NaN\""),
        (constant(ScalarValue::Decimal128(Some(110), 3, 2)), "1.10"),
        (constant(true), "true"),
        (constant(ScalarValue::Date32(Some(0))), "\"1970-01-01\""),
        (constant(ScalarValue::TimestampMillisecond(Some(0), None)), "\"1970-01-01 00:00:00.000\""),
        (json("[1, 2]"), "[1, 2]"),
        (constant(ScalarValue::Utf8(None)), "NULL"),
    ] {
        assert_eq!(to(value.clone(), "json"), expected, "{value:?}");
    }
    assert!(
        error(ColumnarValue::Array(cast_to(text("10.0.0.1"), "ipaddress")), "json")
            .contains("TYPE_MISMATCH: Cannot cast ipaddress to json")
    );
}

#[test]
fn containers_are_cast_element_by_element() {
    let strings = || ColumnarValue::Array(cast_to(json("[\"1\",\"2\",null]"), "array(varchar)"));
    assert_eq!(as_json(cast_to(strings(), "array(bigint)")), "[1,2,null]");
    let words = || ColumnarValue::Array(cast_to(json("{\"a\":\"1\",\"b\":\"x\"}"), "map(varchar, varchar)"));
    assert!(error(words(), "map(varchar, bigint)").contains("Cannot cast 'x' to BIGINT"));
    assert!(error(words(), "map(bigint, varchar)").contains("Cannot cast 'a' to BIGINT"));
    let row = ColumnarValue::Array(cast_to(json("[\"1\",2]"), "row(varchar, bigint)"));
    assert_eq!(as_json(cast_to(row, "row(n integer, s varchar)")), r#"{"n":1,"s":"2"}"#);
    // Whatever is outside the rows that are looked at has no say.
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1_000)]),
        Some(vec![Some(1), Some(2)]),
    ]);
    let part: ArrayRef = Arc::new(lists.slice(1, 1));
    assert_eq!(as_json(cast_to(ColumnarValue::Array(part), "array(tinyint)")), "[1,2]");
}

#[test]
fn a_failed_row_is_null_to_try_cast_and_the_others_keep_their_values() {
    let column =
        ColumnarValue::Array(Arc::new(StringArray::from(vec![Some("1"), Some("x"), None, Some("3")])));
    let values = run("$try_cast", column, "integer").unwrap();
    assert_eq!(values.as_ref(), &Int32Array::from(vec![Some(1), None, None, Some(3)]) as &dyn Array);
    let column = call(
        &named(json::scalar(), "json_parse"),
        &[ColumnarValue::Array(Arc::new(StringArray::from(vec!["[1]", "[1,\"x\"]", "[]"])))],
    );
    let values = run("$try_cast", ColumnarValue::Array(column.unwrap()), "array(bigint)").unwrap();
    assert_eq!((values.is_null(0), values.is_null(1), values.is_null(2)), (false, true, false));
}

#[test]
fn what_trino_does_not_cast_is_refused_before_the_first_row() {
    for (value, of, expected) in [
        (constant(1_i64), "date", "Cannot cast bigint to date"),
        (json("\"2026-01-01\""), "date", "Cannot cast json to date"),
        (constant(true), "timestamp", "Cannot cast boolean to timestamp(3)"),
        (
            ColumnarValue::Array(cast_to(json("[1]"), "array(bigint)")),
            "varchar",
            "Cannot cast array(bigint) to varchar",
        ),
        (constant(ScalarValue::Binary(Some(vec![1]))), "varchar", "Cannot cast varbinary to varchar"),
        (text("1"), "array(bigint)", "Cannot cast varchar to array(bigint)"),
    ] {
        let error = run("$try_cast", value, of).unwrap_err().to_string();
        assert!(error.contains(&format!("TYPE_MISMATCH: {expected}")), "{error}");
    }
    let error = run("$cast", text("1"), "no_type").unwrap_err().to_string();
    assert!(error.contains("TYPE_NOT_FOUND: Unknown type: no_type"), "{error}");
}

#[test]
fn casts_that_are_datafusions_own_are_shown_as_such() {
    use datafusion::common::{DFSchema, ToDFSchema};
    let schema = arrow::datatypes::Schema::new(vec![
        Field::new("text", DataType::Utf8, true),
        Field::new("small", DataType::Int32, true),
        Field::new("day", DataType::Date32, true),
    ]);
    let schema: Arc<DFSchema> = Arc::new(schema.to_dfschema().unwrap());
    let info = SimplifyContext::builder().with_schema(schema).build();
    let simplified = |column: &str, to: &str| {
        let args = vec![datafusion::logical_expr::col(column), lit(to)];
        match named(scalar(), "$cast").simplify(args, &info).unwrap() {
            ExprSimplifyResult::Simplified(expr) => expr.to_string(),
            ExprSimplifyResult::Original(_) => "as it was".to_owned(),
        }
    };
    assert_eq!(simplified("text", "varchar"), "text");
    assert_eq!(simplified("text", "varchar(5)"), "as it was");
    assert_eq!(simplified("text", "bigint"), "as it was");
    assert_eq!(simplified("small", "bigint"), "CAST(small AS Int64)");
    assert_eq!(simplified("day", "timestamp"), "CAST(day AS Timestamp(ms))");
}

#[test]
fn columns_in_every_encoding_are_cast() {
    let dictionary: arrow::array::DictionaryArray<Int32Type> =
        vec![Some("1"), None, Some("1")].into_iter().collect();
    let values = cast_to(ColumnarValue::Array(Arc::new(dictionary)), "bigint");
    assert_eq!(values.as_ref(), &Int64Array::from(vec![Some(1), None, Some(1)]) as &dyn Array);
    let micros = TimestampMicrosecondArray::from(vec![1_500]).with_timezone("UTC");
    assert_eq!(
        to(ColumnarValue::Array(Arc::new(micros)), "timestamp(3) with time zone"),
        "1970-01-01 00:00:00.002 UTC"
    );
}

#[tokio::test]
async fn queries_cast_columns_and_constants_alike() {
    testing::expect(&[
        ("\"$cast\"('1', 'bigint') + 1", "2"),
        ("\"$try_cast\"('x', 'bigint')", "NULL"),
        ("\"$cast\"('2026-01-01', 'timestamp') < \"$cast\"('2026-01-01 00:00:00.001', 'timestamp')", "true"),
        (
            "\"$cast\"(\"$cast\"('2026-01-01 01:00 +02:00', 'timestamp with time zone'), 'varchar')",
            "2026-01-01 01:00:00.000 +02:00",
        ),
        ("\"$cast\"(1.10 + 2.205, 'varchar')", "3.305"),
    ])
    .await;
    testing::expect_errors(&[
        ("\"$cast\"('x', 'bigint')", "INVALID_CAST_ARGUMENT: Cannot cast 'x' to BIGINT"),
        ("\"$cast\"(true, 'date')", "TYPE_MISMATCH: Cannot cast boolean to date"),
    ])
    .await;
    let sql = "SELECT \"$cast\"(json_extract(t, '$.a'), 'bigint') + 1 FROM (VALUES ('{\"a\":1}'), ('{\"a\":\"2\"}')) AS x(t) ORDER BY 1";
    assert_eq!(testing::column(sql).await.unwrap(), ["2", "3"]);
}

#[tokio::test]
async fn queries_compare_addresses_as_addresses() {
    let sql = "SELECT t FROM (VALUES ('10.0.0.10'), ('10.0.0.9'), ('2001:db8::1'), ('ec2.amazonaws.com')) AS x(t)
        WHERE \"$try_cast\"(t, 'ipaddress') BETWEEN \"$cast\"('10.0.0.8', 'ipaddress') AND \"$cast\"('10.0.0.11', 'ipaddress')
        AND contains('10.0.0.0/8', \"$try_cast\"(t, 'ipaddress')) ORDER BY \"$try_cast\"(t, 'ipaddress')";
    assert_eq!(testing::column(sql).await.unwrap(), ["10.0.0.9", "10.0.0.10"]);
    testing::expect(&[
        ("contains(make_array(1, 2), 2)", "true"),
        ("contains(make_array('a', NULL), 'b')", "NULL"),
    ])
    .await;
}
