//! What Trino answers: the conformance suite's cases, and those of Trino's own tests.

use super::super::testing::{column, expect, expect_errors};

#[tokio::test]
async fn iso_times_are_moments_in_utc() {
    expect(&[
        ("from_iso8601_timestamp('2026-01-01T00:02:11Z')", "2026-01-01 00:02:11.000 +0000"),
        ("from_iso8601_timestamp('2025-12-31T23:59:59+05:30')", "2025-12-31 18:29:59.000 +0000"),
        ("from_iso8601_timestamp('2025-12-31')", "2025-12-31 00:00:00.000 +0000"),
        ("from_iso8601_timestamp('2025-12-31T23:59:59.5Z')", "2025-12-31 23:59:59.500 +0000"),
        ("from_iso8601_timestamp(NULL)", "NULL"),
        (
            "from_iso8601_timestamp(arrow_cast('2026-01-01T00:02:11Z', 'Dictionary(Int32, Utf8)'))",
            "2026-01-01 00:02:11.000 +0000",
        ),
        ("from_iso8601_date('2026-W01-4')", "2026-01-01"),
        ("to_iso8601(from_iso8601_timestamp('2026-01-01T00:02:11Z'))", "2026-01-01T00:02:11.000Z"),
        (
            "to_iso8601(at_timezone(from_iso8601_timestamp('2026-01-01T00:02:11Z'), 'Asia/Kolkata'))",
            "2026-01-01T05:32:11.000+05:30",
        ),
        ("to_iso8601(TIMESTAMP '2026-01-01 00:02:11')", "2026-01-01T00:02:11.000"),
        ("to_iso8601(DATE '2025-12-31')", "2025-12-31"),
    ])
    .await;
    expect_errors(&[
        ("from_iso8601_timestamp('2025-12-31 23:59:59')", "INVALID_FUNCTION_ARGUMENT: Invalid format: \"2025-12-31 23:59:59\" is malformed at \" 23:59:59\""),
        ("from_iso8601_timestamp('StopLogging')", "INVALID_FUNCTION_ARGUMENT: Invalid format: \"StopLogging\""),
        ("from_iso8601_timestamp(5)", "FUNCTION_NOT_FOUND: Unexpected parameters (bigint) for function from_iso8601_timestamp"),
        ("from_iso8601_date('2026-01-01T00:00')", "INVALID_FUNCTION_ARGUMENT"),
    ])
    .await;
}

#[tokio::test]
async fn mysql_patterns_mean_what_mysql_means() {
    const AT: &str = "TIMESTAMP '2025-12-31 23:05:09.123'";
    let format = |pattern: &str| format!("date_format({AT}, '{pattern}')");
    for (pattern, text) in [
        ("%Y-%m-%d %H:%i:%s", "2025-12-31 23:05:09"),
        ("%H:%i:%s|%T|%r", "23:05:09|23:05:09|11:05:09 PM"),
        ("%W %a %b %M %j", "Wednesday Wed Dec December 365"),
        ("%y %c %e %k %l %p %h %I %S", "25 12 31 23 11 PM 11 11 09"),
        ("%x-W%v", "2026-W01"),
        ("%f", "123000"),
        ("%%|%q|é|100%", "%|q|é|100"),
        ("", ""),
    ] {
        expect(&[(&format(pattern), text)]).await;
    }
    for specifier in ["w", "U", "u", "V", "X", "D"] {
        let words = format!("INVALID_FUNCTION_ARGUMENT: %{specifier} not supported in date format string");
        expect_errors(&[(&format(&format!("%{specifier}")), &words)]).await;
    }
    expect(&[
        ("date_format(DATE '2026-01-02', '%Y/%m/%d')", "2026/01/02"),
        ("date_format(from_iso8601_timestamp('2026-01-01T00:00:00Z'), NULL)", "NULL"),
        ("date_format(at_timezone(from_iso8601_timestamp('2025-12-30T23:59:58Z'), 'America/Sao_Paulo'), '%Y-%m-%d %H:%i:%s')", "2025-12-30 20:59:58"),
    ])
    .await;
    expect_errors(&[("date_format('2025-12-31', '%Y')", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar, varchar) for function date_format. Expected: date_format(timestamp(p), varchar(x))")]).await;
}

#[tokio::test]
async fn date_parse_reads_what_date_format_writes() {
    expect(&[
        ("date_parse('2025-12-31T23:59:58Z', '%Y-%m-%dT%H:%i:%sZ')", "2025-12-31 23:59:58.000"),
        ("date_parse('2025-12-31T23:59:58Z', '%Y-%m-%dT%TZ')", "2025-12-31 23:59:58.000"),
        ("date_parse('31/Dec/2025 07:08 PM', '%d/%b/%Y %h:%i %p')", "2025-12-31 19:08:00.000"),
        ("date_parse('2025', '%Y')", "2025-01-01 00:00:00.000"),
        ("date_parse('1', '%m')", "2000-01-01 00:00:00.000"),
        ("date_parse('29/02', '%d/%m')", "2000-02-29 00:00:00.000"),
        ("date_parse('13:14', '%H:%i')", "1970-01-01 13:14:00.000"),
        ("date_parse('12 AM', '%h %p')", "1970-01-01 00:00:00.000"),
        ("date_parse('12:30:00 PM', '%r')", "1970-01-01 12:30:00.000"),
        ("date_parse('26-365', '%y-%j')", "2026-12-31 00:00:00.000"),
        ("date_parse('69', '%y')", "2069-01-01 00:00:00.000"),
        ("date_parse('70', '%y')", "1970-01-01 00:00:00.000"),
        ("date_parse('2026 1', '%x %v')", "2025-12-29 00:00:00.000"),
        ("date_parse('2013-05-17 12:35:10.123456', '%Y-%m-%d %H:%i:%s.%f')", "2013-05-17 12:35:10.123"),
        ("date_parse('Thursday, 1 january 2026', '%W, %e %M %Y')", "2026-01-01 00:00:00.000"),
        ("date_parse('Monday, 1 January 2026', '%W, %e %M %Y')", "2025-12-29 00:00:00.000"),
        ("date_parse(NULL, '%Y')", "NULL"),
    ])
    .await;
    expect_errors(&[
        ("date_parse('2025-12-31', '%Y-%m-%dT%H:%i:%sZ')", "INVALID_FUNCTION_ARGUMENT: Invalid format: \"2025-12-31\" is too short"),
        ("date_parse('2025-13-31', '%Y-%m-%d')", "INVALID_FUNCTION_ARGUMENT: Cannot parse \"2025-13-31\": Value 13 for monthOfYear must be in the range [1,12]"),
        ("date_parse('2025-12-31x', '%Y-%m-%d')", "is malformed at \"x\""),
        ("date_parse('2025-12-3é', '%Y-%m-%d')", "is malformed at \"é\""),
        ("date_parse('', '%Y')", "INVALID_FUNCTION_ARGUMENT: Invalid format: \"\""),
    ])
    .await;
}

#[tokio::test]
async fn joda_patterns_are_read_as_joda_reads_them() {
    expect(&[
        // The quote before Z is never closed.
        ("parse_datetime('2026-01-01T09:20:00Z', 'yyyy-MM-dd''T''HH:mm:ss''Z')", "2026-01-01 09:20:00.000 +0000"),
        ("parse_datetime('2026-01-01T09:20:00Z', 'yyyy-MM-dd''T''HH:mm:ss''Z''')", "2026-01-01 09:20:00.000 +0000"),
        ("parse_datetime('2026-01-01T09:20:00Z', 'YYYY-MM-dd''T''HH:mm:ssZ')", "2026-01-01 09:20:00.000 +0000"),
        ("parse_datetime('2026-01-01T09:20:00+0200', 'yyyy-MM-dd''T''HH:mm:ssZ')", "2026-01-01 07:20:00.000 +0000"),
        ("parse_datetime('2026-01-01 09:20 America/New_York', 'yyyy-MM-dd HH:mm ZZZ')", "2026-01-01 14:20:00.000 +0000"),
        ("parse_datetime('2026-01-01 09:20 PST', 'yyyy-MM-dd HH:mm z')", "2026-01-01 17:20:00.000 +0000"),
        ("parse_datetime('2026-01-01-09:00:00', 'yyyy-MM-dd-HH:mm:ss')", "2026-01-01 09:00:00.000 +0000"),
        ("parse_datetime('20260102', 'yyyyMMdd')", "2026-01-02 00:00:00.000 +0000"),
        ("parse_datetime('01/02/26', 'MM/dd/yy')", "2026-01-02 00:00:00.000 +0000"),
        ("parse_datetime('Jan 2, 2026 3:04:05.678 PM', 'MMM d, yyyy h:mm:ss.SSS a')", "2026-01-02 15:04:05.678 +0000"),
        ("format_datetime(from_iso8601_timestamp('2025-12-31T23:59:59Z'), 'yyyy-MM-dd HH:mm')", "2025-12-31 23:59"),
        ("format_datetime(from_iso8601_timestamp('2025-12-31T23:59:59Z'), 'EEE, dd MMM yyyy')", "Wed, 31 Dec 2025"),
        ("format_datetime(from_iso8601_timestamp('2025-12-31T23:59:59Z'), 'yyyy-MM-dd''T''HH:mm:ss.SSSZZ z ZZZ Z')", "2025-12-31T23:59:59.000+00:00 UTC UTC +0000"),
        ("format_datetime(at_timezone(from_iso8601_timestamp('2025-07-01T00:00:00Z'), 'America/New_York'), 'HH:mm z ZZZ zzzz')", "20:00 EDT America/New_York Eastern Daylight Time"),
        ("format_datetime(TIMESTAMP '2025-12-31 23:59:59', 'EEEE')", "Wednesday"),
        ("format_datetime(TIMESTAMP '2025-12-31 23:59:59', 'hh:mm a')", "11:59 PM"),
        ("format_datetime(TIMESTAMP '2025-12-31 23:59:59', 'xxxx-''W''ww-e')", "2026-W01-3"),
        ("format_datetime(TIMESTAMP '2025-12-31 23:59:59', 'HH ''o''''clock''')", "23 o'clock"),
        ("format_datetime(TIMESTAMP '2025-12-31 00:59:59.5', 'k K h H D yy G C SS SSSSS')", "24 0 12 0 365 25 AD 20 50 50000"),
    ])
    .await;
    expect_errors(&[
        ("parse_datetime('2025-12-31T23:59:59Z', 'yyyy-MM-dd')", "INVALID_FUNCTION_ARGUMENT: Invalid format: \"2025-12-31T23:59:59Z\" is malformed at \"T23:59:59Z\""),
        ("parse_datetime('x', '')", "INVALID_FUNCTION_ARGUMENT: Invalid pattern specification"),
        ("parse_datetime('x', 'yyyy-bb')", "INVALID_FUNCTION_ARGUMENT: Illegal pattern component: bb"),
        ("format_datetime(TIMESTAMP '2025-12-31 00:00:00', 'HH:mm Z')", "INVALID_FUNCTION_ARGUMENT: format_datetime for TIMESTAMP type"),
    ])
    .await;
}

#[tokio::test]
async fn dates_are_added_clipped_and_cut() {
    expect(&[
        ("date_add('day', -7, TIMESTAMP '2026-01-03 00:00:00')", "2025-12-27 00:00:00.000"),
        ("date_add('month', 2, TIMESTAMP '2025-12-31 10:00:00')", "2026-02-28 10:00:00.000"),
        ("date_add('minute', 90, TIMESTAMP '2025-12-31 23:00:00')", "2026-01-01 00:30:00.000"),
        ("date_add('week', 1, DATE '2025-12-30')", "2026-01-06"),
        ("date_add('year', 1, DATE '2024-02-29')", "2025-02-28"),
        ("date_add('quarter', -1, DATE '2026-03-31')", "2025-12-31"),
        ("date_add('HOUR', 1, from_iso8601_timestamp('2025-12-31T23:00:00Z'))", "2026-01-01 00:00:00.000 +0000"),
        ("date_add('millisecond', 1500, TIMESTAMP '2025-12-31 23:59:59')", "2026-01-01 00:00:00.500"),
        ("date_add('day', NULL, DATE '2026-01-01')", "NULL"),
        ("arrow_typeof(date_add('day', 1, from_iso8601_timestamp('2025-12-31')))", "Timestamp(ms, \"UTC\")"),
        // A day later by the clock, 23 hours by the sun.
        ("to_iso8601(date_add('day', 1, at_timezone(from_iso8601_timestamp('2026-03-07T12:00:00-05:00'), 'America/New_York')))", "2026-03-08T12:00:00.000-04:00"),
        ("to_iso8601(date_add('hour', 24, at_timezone(from_iso8601_timestamp('2026-03-07T12:00:00-05:00'), 'America/New_York')))", "2026-03-08T13:00:00.000-04:00"),
        ("date_trunc('day', TIMESTAMP '2026-01-01 09:13:00')", "2026-01-01 00:00:00.000"),
        ("date_trunc('week', TIMESTAMP '2026-01-01 09:13:00')", "2025-12-29 00:00:00.000"),
        ("date_trunc('month', TIMESTAMP '2025-12-31 09:13:00')", "2025-12-01 00:00:00.000"),
        ("date_trunc('quarter', DATE '2025-12-31')", "2025-10-01"),
        ("date_trunc('year', TIMESTAMP '1969-06-15 09:13:00')", "1969-01-01 00:00:00.000"),
        ("date_trunc('minute', TIMESTAMP '1969-01-01 09:13:59')", "1969-01-01 09:13:00.000"),
        ("to_iso8601(date_trunc('day', at_timezone(from_iso8601_timestamp('2026-01-01T03:00:00Z'), 'America/New_York')))", "2025-12-31T00:00:00.000-05:00"),
        ("date_trunc('second', arrow_cast(TIMESTAMP '2026-01-01 00:00:01.5', 'Timestamp(Microsecond, None)'))", "2026-01-01 00:00:01.000"),
    ])
    .await;
    expect_errors(&[
        (
            "date_add('days', 1, DATE '2026-01-01')",
            "INVALID_FUNCTION_ARGUMENT: 'days' is not a valid DATE field",
        ),
        (
            "date_add('hour', 1, DATE '2026-01-01')",
            "INVALID_FUNCTION_ARGUMENT: 'hour' is not a valid DATE field",
        ),
        ("date_trunc('eon', now())", "INVALID_FUNCTION_ARGUMENT: 'eon' is not a valid TIMESTAMP field"),
        ("date_trunc('day', '2026-01-01')", "FUNCTION_NOT_FOUND"),
        ("date_add('year', 9223372036854775807, DATE '2026-01-01')", "NUMERIC_VALUE_OUT_OF_RANGE"),
        ("date_add('millisecond', 9223372036854775807, now())", "NUMERIC_VALUE_OUT_OF_RANGE"),
    ])
    .await;
}

#[tokio::test]
async fn differences_are_complete_units() {
    expect(&[
        ("date_diff('minute', TIMESTAMP '2025-12-31 23:59:30', TIMESTAMP '2026-01-01 00:00:29')", "0"),
        ("date_diff('day', TIMESTAMP '2025-12-31 23:59:59', TIMESTAMP '2026-01-01 00:00:01')", "0"),
        ("date_diff('month', DATE '2025-11-30', DATE '2025-12-30')", "1"),
        ("date_diff('month', DATE '2026-01-31', DATE '2026-02-28')", "1"),
        ("date_diff('month', DATE '2026-02-28', DATE '2026-01-31')", "-1"),
        ("date_diff('month', DATE '2026-02-28', DATE '2026-01-28')", "-1"),
        ("date_diff('hour', TIMESTAMP '2026-01-01 00:00:00', TIMESTAMP '2025-12-31 21:30:00')", "-2"),
        ("date_diff('year', DATE '2024-02-29', DATE '2025-02-28')", "1"),
        ("date_diff('year', DATE '2023-03-01', DATE '2024-02-29')", "0"),
        ("date_diff('quarter', DATE '2025-01-01', DATE '2026-01-01')", "4"),
        ("date_diff('week', DATE '2025-12-01', DATE '2025-12-14')", "1"),
        ("date_diff('second', from_iso8601_timestamp('2025-12-31T22:00:00Z'), TIMESTAMP '2025-12-31 22:05:10')", "310"),
        ("date_diff('day', DATE '2025-12-31', from_iso8601_timestamp('2026-01-02T12:00:00Z'))", "2"),
        ("date_diff('day', NULL, now())", "NULL"),
    ])
    .await;
}

#[tokio::test]
async fn parts_of_a_time_are_bigints_by_iso() {
    expect(&[
        ("day_of_week(DATE '2026-01-04')", "7"),
        ("dow(DATE '2026-01-05')", "1"),
        ("day_of_year(DATE '2025-12-31')", "365"),
        ("week(DATE '2025-12-29')", "1"),
        ("week_of_year(DATE '2027-01-01')", "53"),
        ("year_of_week(DATE '2025-12-29')", "2026"),
        ("quarter(DATE '2025-12-29')", "4"),
        ("day(last_day_of_month(DATE '2024-02-03'))", "29"),
        ("hour(from_iso8601_timestamp('2025-12-31T23:59:59Z'))", "23"),
        ("hour(at_timezone(from_iso8601_timestamp('2025-12-31T23:59:59Z'), '+05:30'))", "5"),
        ("minute(TIMESTAMP '2025-12-31 23:59:58')", "59"),
        ("second(TIMESTAMP '1969-12-31 23:59:58')", "58"),
        ("millisecond(TIMESTAMP '2025-12-31 23:59:58.123')", "123"),
        ("timezone_hour(at_timezone(now(), '-03:30'))", "-3"),
        ("timezone_minute(at_timezone(now(), '-03:30'))", "-30"),
        ("month(DATE '2025-12-29') + year(DATE '2025-12-29')", "2037"),
        ("hour(INTERVAL '26' HOUR)", "2"),
        ("day(INTERVAL '26' HOUR)", "1"),
        ("arrow_typeof(year(now()))", "Int64"),
    ])
    .await;
}

#[tokio::test]
async fn zones_change_the_clock_but_not_the_moment() {
    expect(&[
        ("to_iso8601(at_timezone(from_iso8601_timestamp('2026-01-01T09:13:00Z'), 'Australia/Sydney'))", "2026-01-01T20:13:00.000+11:00"),
        ("to_iso8601(with_timezone(TIMESTAMP '2026-01-01 09:13:00', 'America/New_York'))", "2026-01-01T09:13:00.000-05:00"),
        ("to_iso8601(at_timezone(TIMESTAMP '2026-01-01 09:13:00', 'utc'))", "2026-01-01T09:13:00.000Z"),
        ("at_timezone(from_iso8601_timestamp('2026-01-01T09:13:00Z'), 'Europe/Berlin') = from_iso8601_timestamp('2026-01-01T09:13:00Z')", "true"),
        ("current_timezone()", "UTC"),
        ("timezone(at_timezone(now(), 'europe/berlin'))", "Europe/Berlin"),
        ("date(at_timezone(from_iso8601_timestamp('2026-01-01T03:00:00Z'), 'America/New_York'))", "2025-12-31"),
        ("date(from_iso8601_timestamp('2026-01-01T03:00:00Z'))", "2026-01-01"),
        ("date('2026-1-5')", "2026-01-05"),
    ])
    .await;
    expect_errors(&[
        (
            "at_timezone(now(), 'Mars/Olympus')",
            "INVALID_FUNCTION_ARGUMENT: 'Mars/Olympus' is not a valid time zone",
        ),
        ("date('yesterday')", "INVALID_CAST_ARGUMENT: Value cannot be cast to date: yesterday"),
    ])
    .await;
}

#[tokio::test]
async fn now_is_the_same_everywhere_in_a_query() {
    expect(&[
        ("now() = current_timestamp()", "true"),
        ("arrow_typeof(now())", "Timestamp(ms, \"UTC\")"),
        ("arrow_typeof(localtimestamp())", "Timestamp(ms)"),
        ("date(now()) = current_date()", "true"),
        ("now() - INTERVAL '5' MINUTE < now()", "true"),
        ("arrow_typeof(now() - INTERVAL '7' DAY)", "Timestamp(ms, \"UTC\")"),
        ("date_diff('day', DATE '2026-01-01', current_date()) > 0", "true"),
    ])
    .await;
}

#[tokio::test]
async fn seconds_since_1970_are_doubles() {
    expect(&[
        ("to_unixtime(from_iso8601_timestamp('2025-12-31T23:59:59.5Z'))", "1767225599.5"),
        ("from_unixtime(1767225599)", "2025-12-31 23:59:59.000 +0000"),
        ("from_unixtime(1.5)", "1970-01-01 00:00:01.500 +0000"),
        ("to_iso8601(from_unixtime(1767225599, 'Europe/Berlin'))", "2026-01-01T00:59:59.000+01:00"),
        ("to_iso8601(from_unixtime(1767225599, -3, -30))", "2025-12-31T20:29:59.000-03:30"),
        ("from_unixtime_nanos(1767225599123456789)", "2025-12-31 23:59:59.123 +0000"),
        ("to_milliseconds(TIMESTAMP '2026-01-01 00:00:02' - TIMESTAMP '2025-12-31 23:59:59')", "3000"),
        ("to_milliseconds(INTERVAL '1' MINUTE)", "60000"),
        ("to_milliseconds(parse_duration('1.5 d'))", "129600000"),
        ("now() + parse_duration('1h') > now()", "true"),
        ("human_readable_seconds(96)", "1 minute, 36 seconds"),
    ])
    .await;
    expect_errors(&[
        ("parse_duration('soon')", "INVALID_FUNCTION_ARGUMENT"),
        ("from_unixtime(CAST('1e300' AS double))", "INVALID_FUNCTION_ARGUMENT"),
    ])
    .await;
}

#[tokio::test]
async fn columns_may_hold_null_and_patterns_of_their_own() {
    let sql = "SELECT date_format(from_iso8601_timestamp(x), y) FROM (VALUES
        ('2026-01-01T00:02:11Z', '%Y'), (NULL, '%Y'), ('2026-02-01', NULL), ('2026-03-01', '%m')) t(x, y)";
    assert_eq!(column(sql).await.unwrap(), ["2026", "NULL", "NULL", "03"]);
    let sql = "SELECT date_add(x, y, date_parse(z, '%Y-%m-%d')) FROM (VALUES
        ('day', 1, '2026-01-01'), ('month', 1, '2026-01-31'), (NULL, 1, '2026-01-01')) t(x, y, z)";
    assert_eq!(column(sql).await.unwrap(), ["2026-01-02 00:00:00.000", "2026-02-28 00:00:00.000", "NULL"]);
    let sql =
        "SELECT date_diff('day', date(x), date('2026-01-03')) FROM (VALUES ('2026-01-01'), (NULL)) t(x)";
    assert_eq!(column(sql).await.unwrap(), ["2", "NULL"]);
}
