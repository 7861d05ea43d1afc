use arrow::datatypes::DataType;

use super::super::arrays::tests::Answers;

async fn answers() -> Answers {
    Answers::new()
        .table(
            "t",
            "SELECT * FROM (VALUES \
             (1, 'a', 10, 'x', true), (2, 'a', 30, 'y', false), (3, 'a', 20, NULL, NULL), (4, 'b', NULL, 'z', true), \
             (5, 'b', 7, 'x', true), (6, 'c', NULL, NULL, NULL)) AS t(id, g, n, s, b)",
        )
        .await
}

#[tokio::test]
async fn aggregates_answer_for_all_and_for_groups() {
    let answers = answers().await;
    for (aggregate, all, groups) in [
        ("count_if(b)", "3", ["1", "2", "0"]),
        ("count_if(n > 8)", "3", ["3", "0", "0"]),
        ("count_if(b) FILTER (WHERE n IS NOT NULL)", "2", ["1", "1", "0"]),
        ("max_by(s, n)", "y", ["y", "x", "NULL"]),
        ("min_by(s, n)", "x", ["x", "x", "NULL"]),
        ("max_by(s, n, 2)", "[y, NULL]", ["[y, NULL]", "[x]", "NULL"]),
        ("min_by(id, n, 2)", "[5, 1]", ["[1, 3]", "[5]", "NULL"]),
        ("\"$max_n\"(n, 2)", "[30, 20]", ["[30, 20]", "[7]", "NULL"]),
        ("\"$min_n\"(n, 2)", "[7, 10]", ["[10, 20]", "[7]", "NULL"]),
        ("every(b)", "false", ["false", "true", "NULL"]),
        ("bool_or(b)", "true", ["true", "true", "NULL"]),
        ("array_agg(s ORDER BY id)", "[x, y, NULL, z, x, NULL]", ["[x, y, NULL]", "[z, x]", "[NULL]"]),
        ("array_agg(DISTINCT s ORDER BY s)", "[x, y, z, NULL]", ["[x, y, NULL]", "[x, z]", "[NULL]"]),
        (
            "array_agg(s ORDER BY id) FILTER (WHERE s IS NOT NULL)",
            "[x, y, z, x]",
            ["[x, y]", "[z, x]", "NULL"],
        ),
        ("listagg(s, ';' ORDER BY id)", "x;y;z;x", ["x;y", "z;x", "NULL"]),
        ("listagg(DISTINCT s, ';' ORDER BY s)", "x;y;z", ["x;y", "x;z", "NULL"]),
        ("listagg(s ORDER BY id DESC)", "xzyx", ["yx", "xz", "NULL"]),
        ("element_at(histogram(s), 'x')", "2", ["1", "1", "NULL"]),
        ("element_at(map_agg(s, id), 'y')", "2", ["2", "NULL", "NULL"]),
        ("cardinality(map_agg(s, id))", "3", ["2", "2", "NULL"]),
        ("array_sort(element_at(multimap_agg(s, id), 'x'))", "[1, 5]", ["[1]", "[5]", "NULL"]),
        ("map_union(\"$map\"(ARRAY[g], ARRAY[1]))", "{a: 1, b: 1, c: 1}", ["{a: 1}", "{b: 1}", "{c: 1}"]),
        ("approx_percentile(n, 0.5)", "20", ["20", "7", "NULL"]),
        ("approx_percentile(n, ARRAY[0.0, 1.0])", "[7, 30]", ["[10, 30]", "[7, 7]", "NULL"]),
        ("approx_percentile(n, id, 0.5)", "10", ["22", "7", "NULL"]),
        ("approx_distinct(s)", "3", ["2", "2", "0"]),
        ("approx_distinct(s, 0.01)", "3", ["2", "2", "0"]),
        ("approx_most_frequent(2, s, 10)", "{x: 2, y: 1}", ["{x: 1, y: 1}", "{z: 1, x: 1}", "NULL"]),
        ("sum(n)", "67", ["60", "7", "NULL"]),
        ("sum(n) FILTER (WHERE b)", "17", ["10", "7", "NULL"]),
        ("sum(DISTINCT n + 0 * id)", "67", ["60", "7", "NULL"]),
        ("sum(CAST(n AS decimal(10,1)))", "67.0", ["60.0", "7.0", "NULL"]),
        ("avg(n)", "16.75", ["20.0", "7.0", "NULL"]),
        ("avg(CAST(n AS decimal(10,1)))", "16.8", ["20.0", "7.0", "NULL"]),
        ("bitwise_or_agg(n)", "31", ["30", "7", "NULL"]),
        ("variance(n)", "108.91666666666667", ["100.0", "NULL", "NULL"]),
    ] {
        let ordered = aggregate.contains("approx_most");
        if !ordered {
            assert_eq!(answers.rows(&format!("SELECT {aggregate} FROM t")).await, [all], "{aggregate}");
        }
        let rows = answers.rows(&format!("SELECT g, {aggregate} FROM t GROUP BY g ORDER BY g")).await;
        let expected = ["a", "b", "c"].iter().zip(groups).map(|(g, answer)| format!("{g} {answer}"));
        if !ordered {
            assert_eq!(rows, expected.collect::<Vec<_>>(), "{aggregate}");
        }
    }
    let arbitrary = answers
        .rows("SELECT g, arbitrary(s) IN ('x', 'y', 'z'), any_value(n) > 0 FROM t GROUP BY g ORDER BY g")
        .await;
    assert_eq!(arbitrary, ["a true true", "b true true", "c NULL NULL"]);
    let top = answers.rows("SELECT cardinality(approx_most_frequent(2, s, 10)), element_at(approx_most_frequent(2, s, 10), 'x') FROM t").await;
    assert_eq!(top, ["2 2"]);
}

#[tokio::test]
async fn aggregates_without_rows_are_null_and_counts_are_zero() {
    let answers = answers().await;
    let sql = "SELECT count_if(b), max_by(s, n), arbitrary(s), array_agg(s), listagg(s, ','), histogram(s), map_agg(s, n), \
               approx_percentile(n, 0.5), approx_distinct(s), \"$max_n\"(n, 2), geometric_mean(n), avg(n) FROM t WHERE id > 99";
    assert_eq!(answers.rows(sql).await, ["0 NULL NULL NULL NULL NULL NULL NULL 0 NULL NULL NULL"]);
}

#[tokio::test]
async fn distinct_arguments_count_once_and_order_chooses() {
    let answers = answers().await;
    let sql = "SELECT g, cardinality(multimap_agg(DISTINCT g, s)), element_at(multimap_agg(DISTINCT b, g), true), \
               element_at(histogram(DISTINCT s), 'x'), count_if(DISTINCT b), approx_percentile(DISTINCT n, 0.5), \
               max_by(s, n ORDER BY id), listagg(DISTINCT g, ',') FROM t GROUP BY g ORDER BY g";
    assert_eq!(
        answers.rows(sql).await,
        ["a 1 [a] 1 1 20 y a", "b 1 [b] 1 1 7 x b", "c 1 NULL NULL 0 NULL NULL c"]
    );
    let sql = "SELECT arbitrary(s ORDER BY id DESC), element_at(map_agg(g, id ORDER BY id DESC), 'a'), \
               element_at(multimap_agg(g, id ORDER BY id DESC), 'a') FROM (SELECT * FROM t ORDER BY id LIMIT 9)";
    assert_eq!(answers.rows(sql).await, ["x 3 [3, 2, 1]"]);
}

#[tokio::test]
async fn everything_that_compares_has_a_largest() {
    let answers = answers().await;
    let sql = "SELECT max(\"$cast\"(concat('10.0.0.', CAST(id AS varchar)), 'ipaddress')) = \"$cast\"('10.0.0.6', 'ipaddress'), \
               max(b), min(ARRAY[id]), max(\"$row\"(g, id)), max(g), \
               max_by(id, \"$cast\"(concat('10.0.0.', CAST(7 - id AS varchar)), 'ipaddress')) FROM t";
    assert_eq!(answers.rows(sql).await, ["true true [1] {field0: c, field1: 6} c 1"]);
}

#[tokio::test]
async fn aggregates_work_over_windows() {
    let answers = answers().await;
    let sliding = "OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)";
    let sql = format!(
        "SELECT id, count_if(b) {sliding}, max_by(s, n) {sliding}, map_agg(g, id) {sliding}, \
         approx_percentile(n, 0.5) {sliding}, arbitrary(s) OVER (PARTITION BY g), avg(n) {sliding} FROM t ORDER BY id"
    );
    assert_eq!(
        answers.rows(&sql).await,
        [
            "1 1 x {a: 1} 10 x 10.0",
            "2 1 y {a: 1} 30 x 20.0",
            "3 0 y {a: 2} 30 x 25.0",
            "4 1 NULL {a: 3, b: 4} 20 z 20.0",
            "5 2 x {b: 4} 7 z 7.0",
            "6 1 x {b: 5, c: 6} 7 NULL 7.0"
        ]
    );
    let sql = "SELECT row_number() OVER w, rank() OVER w, dense_rank() OVER w, ntile(2) OVER w, lag(n) OVER w, \
               lead(n, 2, 0) OVER w, first_value(s) IGNORE NULLS OVER (ORDER BY id DESC) \
               FROM t WINDOW w AS (ORDER BY g) ORDER BY 1";
    let batch = answers.run(sql).await.unwrap();
    for column in &batch.columns()[..4] {
        assert_eq!(column.data_type(), &DataType::Int64);
    }
    let rows = answers.rows("SELECT id, row_number() OVER (ORDER BY id), rank() OVER (ORDER BY g), dense_rank() OVER (ORDER BY g) FROM t ORDER BY id").await;
    assert_eq!(rows, ["1 1 1 1", "2 2 1 1", "3 3 1 1", "4 4 4 2", "5 5 4 2", "6 6 6 3"]);
}

#[tokio::test]
async fn moments_are_those_of_the_books() {
    let answers = Answers::new().table("t", "SELECT * FROM (VALUES (1), (2), (3), (4), (10)) AS t(n)").await;
    let sql = "SELECT round(skewness(n), 9), round(kurtosis(n), 9), round(geometric_mean(n), 9), round(entropy(n), 9) FROM t";
    assert_eq!(answers.rows(sql).await, ["1.138419958 3.152 2.992555739 1.923219672"]);
}

#[tokio::test]
async fn a_sum_beyond_bigint_is_an_error() {
    let answers = Answers::new()
        .table(
            "t",
            "SELECT * FROM (VALUES (1, 'a', 9223372036854775807), (2, 'a', 1), (3, 'a', -1), (4, 'b', 2)) AS t(id, g, n)",
        )
        .await;
    assert_eq!(answers.rows("SELECT sum(n) FROM t WHERE g = 'a'").await, ["9223372036854775807"]);
    for sql in [
        "SELECT sum(n) FROM t WHERE id <> 3",
        "SELECT sum(DISTINCT n) FROM t WHERE id <> 3",
        "SELECT g, sum(n) FROM t WHERE id <> 3 GROUP BY g",
        "SELECT sum(n) OVER (ORDER BY id) FROM t",
        "SELECT sum(n) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t",
    ] {
        let error = answers.run(sql).await.unwrap_err().to_string();
        assert!(error.contains("NUMERIC_VALUE_OUT_OF_RANGE"), "{sql}: {error}");
    }
    let sliding = "SELECT sum(n) OVER (ORDER BY id DESC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM t WHERE id > 1 ORDER BY id";
    assert_eq!(answers.rows(sliding).await, ["0", "1", "2"]);
    for (sum, expected) in [
        ("sum(n)", "bigint"),
        ("sum(CAST(n AS decimal(20,2)))", "decimal(38,2)"),
        ("sum(CAST(n AS double))", "double"),
    ] {
        assert_eq!(
            answers.rows(&format!("SELECT typeof({sum}) FROM t WHERE id > 1")).await,
            [expected],
            "{sum}"
        );
    }
}
