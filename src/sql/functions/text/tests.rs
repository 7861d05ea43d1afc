//! What Trino answers: the conformance suite's cases, and those of Trino's own tests.

use super::super::testing::{column, expect, expect_errors};

#[tokio::test]
async fn case_and_length_are_of_characters() {
    expect(&[
        ("lower('IAMUser ÀÉ')", "iamuser àé"),
        ("upper('josé ß')", "JOSÉ ß"),
        ("lower(NULL)", "NULL"),
        ("lower(arrow_cast('AbC', 'Utf8View'))", "abc"),
        ("length('年報')", "2"),
        ("length('')", "0"),
        ("length(arrow_cast('年報', 'Binary'))", "6"),
        ("arrow_typeof(length('a'))", "Int64"),
        ("translate('abc', 'ab', 'xy')", "xyc"),
        ("translate('abcabc', 'abb', 'x')", "xcxc"),
        ("codepoint('A')", "65"),
        ("chr(233)", "é"),
    ])
    .await;
    expect_errors(&[
        ("lower(1)", "FUNCTION_NOT_FOUND: Unexpected parameters (bigint) for function lower. Expected: lower(varchar(x))"),
        ("length(5)", "FUNCTION_NOT_FOUND"),
        ("chr(1114112)", "INVALID_FUNCTION_ARGUMENT: Not a valid Unicode code point: 1114112"),
        ("codepoint('ab')", "INVALID_FUNCTION_ARGUMENT"),
        ("lower(arrow_cast('{}', 'LargeUtf8'))", "Unexpected parameters (json) for function lower"),
    ])
    .await;
}

#[tokio::test]
async fn concat_is_null_if_a_part_is() {
    expect(&[
        ("concat('a', 'b', 'c')", "abc"),
        ("concat('a', NULL)", "NULL"),
        ("concat([1, 2], [3])", "[1, 2, 3]"),
        ("concat([1, 2], 3)", "[1, 2, 3]"),
        ("concat(0, [1, 2])", "[0, 1, 2]"),
        ("concat(['a'], NULL)", "NULL"),
        ("concat([], ['a'])", "[a]"),
        ("concat_ws('-', 'a', NULL, 'b')", "a-b"),
        ("concat_ws(NULL, 'a', 'b')", "NULL"),
        ("concat_ws(',', ['a', NULL, 'b'])", "a,b"),
    ])
    .await;
    expect_errors(&[(
        "concat('a', 1)",
        "FUNCTION_NOT_FOUND: Unexpected parameters (varchar, bigint) for function concat",
    )])
    .await;
}

#[tokio::test]
async fn positions_begin_at_one_or_at_the_end() {
    expect(&[
        ("\"substr\"('CloudTrail', 6)", "Trail"),
        ("\"substring\"('CloudTrail', -5)", "Trail"),
        ("\"substr\"('CloudTrail', -5, 2)", "Tr"),
        ("\"substr\"('CloudTrail', 0)", ""),
        ("\"substr\"('CloudTrail', 11)", ""),
        ("\"substr\"('CloudTrail', -11)", ""),
        ("\"substr\"('CloudTrail', 6, 99)", "Trail"),
        ("\"substr\"('CloudTrail', 6, -1)", ""),
        ("\"substr\"('aé🚀b', 2, 2)", "é🚀"),
        ("\"substr\"('aé🚀b', -2)", "🚀b"),
        ("\"substr\"('a', 9223372036854775807, 9223372036854775807)", ""),
        ("\"substr\"('a', -9223372036854775807)", ""),
        ("strpos('kms:Decrypt,kms:Encrypt', 'kms')", "1"),
        ("strpos('kms:Decrypt,kms:Encrypt', 'kms', 2)", "13"),
        ("strpos('kms:Decrypt,kms:Encrypt', 'kms', -1)", "13"),
        ("strpos('aaa', 'aa', 2)", "2"),
        ("strpos('aaa', 'aa', -2)", "1"),
        ("strpos('éaéa', 'a', -2)", "2"),
        ("strpos('x', '')", "1"),
        ("strpos('x', 'y')", "0"),
        ("starts_with('arn:aws:iam', 'arn:')", "true"),
        ("starts_with('a%b', 'a%')", "true"),
        ("starts_with('axb', 'a%')", "false"),
        ("replace('aXbX', 'X', '')", "ab"),
        ("replace('aXbX', 'X')", "ab"),
        ("replace('abc', '', 'x')", "xaxbxcx"),
    ])
    .await;
    expect_errors(&[
        ("\"substr\"(12345, 2)", "FUNCTION_NOT_FOUND"),
        ("strpos('a', 'a', 0)", "INVALID_FUNCTION_ARGUMENT"),
    ])
    .await;
}

#[tokio::test]
async fn texts_are_split_at_delimiters() {
    expect(&[
        ("split('a,b,,c', ',')", "[a, b, , c]"),
        ("split('a.b.c', '.', 2)", "[a, b.c]"),
        ("split('', ',')", "[]"),
        ("split('a.b.c', '.')[1]", "a"),
        ("split_part('a/b/c', '/', 1)", "a"),
        ("split_part('a/b/c', '/', 4)", "NULL"),
        ("split_part('', '/', 1)", ""),
        ("split_part('aé', '', 2)", "é"),
        ("split_to_map('a=1,b=2', ',', '=')", "{a: 1, b: 2}"),
        ("split_to_map('', ',', '=')", "{}"),
        ("split_to_multimap('a=1,b=2,a=3', ',', '=')", "{a: [1, 3], b: [2]}"),
    ])
    .await;
    expect_errors(&[
        ("split_part('a/b', '/', 0)", "INVALID_FUNCTION_ARGUMENT: Index must be greater than zero"),
        ("split('a', '')", "INVALID_FUNCTION_ARGUMENT: The delimiter may not be the empty string"),
        ("split('a', ',', 0)", "INVALID_FUNCTION_ARGUMENT: Limit must be positive"),
        (
            "split_to_map('a=1,a=2', ',', '=')",
            "INVALID_FUNCTION_ARGUMENT: Duplicate keys (a) are not allowed",
        ),
        (
            "split_to_map('a', ',', '=')",
            "Key-value delimiter must appear exactly once in each entry. Bad input: 'a'",
        ),
    ])
    .await;
}

#[tokio::test]
async fn texts_are_trimmed_and_padded() {
    expect(&[
        ("trim('  a ')", "a"),
        ("trim(BOTH 'x' FROM 'xxaxx')", "a"),
        ("ltrim('xya', 'yx')", "a"),
        ("rtrim('a  ')", "a"),
        ("lpad('7', 3, '0')", "007"),
        ("lpad('7', 4, 'ab')", "aba7"),
        ("rpad('é', 3, 'xy')", "éxy"),
        ("lpad('hello', 2, '0')", "he"),
        ("lpad('a', 0, '0')", ""),
    ])
    .await;
    expect_errors(&[
        ("lpad('a', -1, '0')", "INVALID_FUNCTION_ARGUMENT: Target length must be in the range"),
        ("lpad('a', 5, '')", "INVALID_FUNCTION_ARGUMENT: Padding string must not be empty"),
        (
            "lpad('a', 2147483647, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')",
            "EXCEEDED_FUNCTION_MEMORY_LIMIT",
        ),
    ])
    .await;
}

#[tokio::test]
async fn urls_are_taken_apart() {
    expect(&[
        ("url_extract_host('https://console.aws.amazon.com/console/home?state=x')", "console.aws.amazon.com"),
        ("url_extract_parameter('https://a.example/?state=x&b=2', 'b')", "2"),
        ("url_extract_parameter('https://a.example/?state=x&b', 'b')", ""),
        ("url_extract_parameter('https://a.example/?state=x', 'c')", "NULL"),
        ("url_extract_parameter('https://a.example/?k=a%20b', 'k')", "a b"),
        ("url_extract_path('https://a.example/p/q?x')", "/p/q"),
        ("url_extract_port('https://a.example/p/q?x')", "NULL"),
        ("url_extract_host('no url')", "NULL"),
        ("url_decode('%7B%22Version%22%3A1%7D')", "{\"Version\":1}"),
        ("url_encode('a b/é')", "a+b%2F%C3%A9"),
    ])
    .await;
    expect_errors(&[("url_decode('100%')", "INVALID_FUNCTION_ARGUMENT")]).await;
}

#[tokio::test]
async fn format_is_that_of_java() {
    expect(&[
        ("format('%s-%05d', 'a', 42)", "a-00042"),
        ("format('%.2f', CAST(3.14159 AS double))", "3.14"),
        ("format('%,d', 1234567)", "1,234,567"),
        ("format('%s %s %s', true, 1.50, DATE '2026-01-01')", "true 1.50 2026-01-01"),
        ("format('%s', from_iso8601_timestamp('2026-01-01T00:02:11Z'))", "2026-01-01T00:02:11Z[UTC]"),
        ("format('%s', NULL)", "null"),
        ("format(NULL, 1)", "NULL"),
    ])
    .await;
    expect_errors(&[
        ("format('%.2f', 5)", "INVALID_FUNCTION_ARGUMENT: Invalid format string: %.2f (IllegalFormatConversion: f != java.lang.Long)"),
        ("format('%d')", "FUNCTION_NOT_FOUND"),
    ])
    .await;
}

#[tokio::test]
async fn like_has_no_escape_of_its_own() {
    expect(&[
        (r#""$like"('C:\docs', 'C:\%')"#, "true"),
        (r#""$like"('100%', '100!%', '!')"#, "true"),
        (r#""$like"('100x', '100!%', '!')"#, "false"),
        (r#""$like"('a', NULL)"#, "NULL"),
    ])
    .await;
    expect_errors(&[(
        r#""$like"('a', 'a', '!!')"#,
        "INVALID_FUNCTION_ARGUMENT: Escape string must be a single character",
    )])
    .await;
}

#[tokio::test]
async fn columns_may_hold_null_and_any_string_type() {
    for string_type in ["Utf8", "Utf8View", "Dictionary(Int32, Utf8)"] {
        let of = |expression: &str| {
            format!(
                "SELECT {expression} FROM (SELECT arrow_cast(x, '{string_type}') x FROM (VALUES
                ('Get/Object'), (NULL), ('PUT/É'), ('')) t(x)) t"
            )
        };
        for (expression, values) in [
            ("lower(x)", ["get/object", "NULL", "put/é", ""]),
            ("upper(x)", ["GET/OBJECT", "NULL", "PUT/É", ""]),
            ("split_part(x, '/', 2)", ["Object", "NULL", "É", "NULL"]),
            ("split(x, '/')", ["[Get, Object]", "NULL", "[PUT, É]", "[]"]),
            ("length(x)", ["10", "NULL", "5", "0"]),
            ("concat(x, '!', x)", ["Get/Object!Get/Object", "NULL", "PUT/É!PUT/É", "!"]),
            ("starts_with(x, 'Get')", ["true", "NULL", "false", "false"]),
            ("strpos(x, '/')", ["4", "NULL", "4", "0"]),
            ("rpad(x, 4, '.')", ["Get/", "NULL", "PUT/", "...."]),
            ("\"substr\"(x, -1)", ["t", "NULL", "É", ""]),
            ("format('%s', x)", ["Get/Object", "null", "PUT/É", ""]),
        ] {
            assert_eq!(column(&of(expression)).await.unwrap(), values, "{expression} of {string_type}");
        }
    }
}
