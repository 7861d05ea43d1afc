//! What Trino answers: the conformance suite's cases, and those of Trino's own tests.

use super::super::testing::{column, expect, expect_errors};

#[tokio::test]
async fn matches_are_found_anywhere() {
    expect(&[
        ("regexp_like('GetObject', 'get')", "false"),
        ("regexp_like('GetObject', '(?i)get')", "true"),
        ("regexp_like('arn:aws:iam', '^arn:aws:')", "true"),
        ("regexp_like('xarn:aws:iam', '^arn:aws:')", "false"),
        ("regexp_like('a%b', '^a%')", "true"),
        ("regexp_like('a', NULL)", "NULL"),
        ("regexp_like(NULL, 'a')", "NULL"),
        ("regexp_count('1a 2b 14m', '\\s*[a-z]+\\s*')", "3"),
        ("regexp_count('ab', '')", "3"),
        ("regexp_position('I have 23 apples', '\\d')", "8"),
        ("regexp_position('a1b22c', '\\d', 3, 2)", "5"),
        ("regexp_position('a', 'x')", "-1"),
        ("regexp_position('é1', '\\d')", "2"),
    ])
    .await;
    expect_errors(&[
        (
            "regexp_like('a', 'a(?=b)')",
            "INVALID_FUNCTION_ARGUMENT: look-ahead ('(?=', '(?!') is not supported",
        ),
        ("regexp_like('a', '(')", "INVALID_FUNCTION_ARGUMENT: not a regular expression: '(': unclosed group"),
        ("regexp_like(5, 'a')", "FUNCTION_NOT_FOUND"),
    ])
    .await;
}

#[tokio::test]
async fn groups_are_extracted() {
    expect(&[
        ("regexp_extract('role/abc/def', 'role/([^/]+)', 1)", "abc"),
        ("regexp_extract('user/abc', 'role/(.+)', 1)", "NULL"),
        ("regexp_extract('ab12', '(a)|(z)', 2)", "NULL"),
        ("regexp_extract('arn:aws:iam::1:root', ':([^:]+)$')", ":root"),
        ("regexp_extract_all('1a 2b 14m', '\\d+')", "[1, 2, 14]"),
        ("regexp_extract_all('1a 2b 14m', '(\\d+)([a-z]+)', 2)", "[a, b, m]"),
        ("regexp_extract_all('ab', '(a)|(b)', 2)", "[NULL, b]"),
        ("regexp_extract_all('x', '\\d')", "[]"),
    ])
    .await;
    expect_errors(&[
        (
            "regexp_extract('abc', 'a(b)', 2)",
            "INVALID_FUNCTION_ARGUMENT: Pattern has 1 groups. Cannot access group 2",
        ),
        ("regexp_extract('abc', 'a(b)', -1)", "INVALID_FUNCTION_ARGUMENT: Group cannot be negative"),
    ])
    .await;
}

#[tokio::test]
async fn every_match_is_replaced() {
    expect(&[
        ("regexp_replace('a1b22', '[0-9]+')", "ab"),
        ("regexp_replace('a1b22', '[0-9]+', '#')", "a#b#"),
        ("regexp_replace('john.smith', '(\\w+)\\.(\\w+)', '$2 $1')", "smith john"),
        ("regexp_replace('abc', '(?<first>a)', '<${first}>')", "<a>bc"),
        ("regexp_replace('1a 2b 14m', '(\\d+)([a-z]+)', '3c$2 ')", "3ca  3cb  3cm "),
        ("regexp_replace('abc', '', 'x')", "xaxbxcx"),
        ("regexp_replace('abc', 'b*', 'x')", "xaxxcx"),
        ("regexp_replace('é', '', '-')", "-é-"),
        ("regexp_replace('abc', 'b', '\\$1')", "a$1c"),
        ("regexp_replace('abc', '(b)', '$12')", "ab2c"),
        ("regexp_replace('abc', 'x', '$9')", "abc"),
        ("regexp_replace('abc', '(x)?b', '[$1]')", "a[]c"),
        ("regexp_replace('abc', 'b', NULL)", "NULL"),
        ("regexp_replace('xaxb', 'x(a|b)', '$0$1')", "xaaxbb"),
        ("regexp_split('1a 2b 14m', '\\s*[a-z]+\\s*')", "[1, 2, 14, ]"),
        ("regexp_split('', 'x')", "[]"),
    ])
    .await;
    expect_errors(&[
        (
            "regexp_replace('abc', 'b', '$9')",
            "INVALID_FUNCTION_ARGUMENT: Illegal replacement sequence: unknown group 9",
        ),
        (
            "regexp_replace('abc', 'b', '${x}')",
            "INVALID_FUNCTION_ARGUMENT: Illegal replacement sequence: unknown group { x }",
        ),
        ("regexp_replace('abc', 'b', 'x$')", "INVALID_FUNCTION_ARGUMENT: Illegal replacement sequence: x$"),
    ])
    .await;
}

#[tokio::test]
async fn columns_may_hold_null_and_patterns_of_their_own() {
    let of = |expression: &str| {
        format!(
            "SELECT {expression} FROM (VALUES ('a1b', '[0-9]', 'x'), ('a1b', '([a-z])', '<$1>'), (NULL, 'a', 'x'),
            ('a', NULL, 'x')) t(x, p, r)"
        )
    };
    assert_eq!(column(&of("regexp_replace(x, p, r)")).await.unwrap(), ["axb", "<a>1<b>", "NULL", "NULL"]);
    assert_eq!(column(&of("regexp_like(x, p)")).await.unwrap(), ["true", "true", "NULL", "NULL"]);
    assert_eq!(column(&of("regexp_extract_all(x, p)")).await.unwrap(), ["[1]", "[a, b]", "NULL", "NULL"]);
    let error = column(&of("regexp_extract(x, p, 1)")).await.unwrap_err().to_string();
    assert!(error.contains("Pattern has 0 groups. Cannot access group 1"), "{error}");
}
