mod parquet;

use super::super::arrays::tests::{Answers, check, fails};

#[tokio::test]
async fn lambdas_go_over_elements() {
    check(&[
        ("filter(ARRAY[1,2,3,4], x -> x % 2 = 0)", "[2, 4]"),
        ("filter(ARRAY[5,NULL,7], x -> x > 5)", "[7]"),
        ("filter(ARRAY[1,2], x -> NULL)", "[]"),
        ("filter(ARRAY[1,NULL], x -> true)", "[1, NULL]"),
        ("filter(make_array(), x -> x > 0)", "[]"),
        ("transform(ARRAY['a','b'], x -> upper(x))", "[A, B]"),
        ("transform(ARRAY[1,NULL], x -> CASE WHEN x IS NULL THEN 0 ELSE x END + 1)", "[2, 1]"),
        ("transform(ARRAY[1,2], x -> 'k')", "[k, k]"),
        (
            "transform(ARRAY[ARRAY[1,2],ARRAY[3]], x -> transform(x, y -> y * cardinality(x)))",
            "[[2, 4], [3]]",
        ),
        ("transform(ARRAY[ARRAY[1,2],ARRAY[3]], x -> any_match(x, y -> y = 3))", "[false, true]"),
        ("any_match(ARRAY[1,2], x -> x = 2)", "true"),
        ("any_match(ARRAY[1,NULL], x -> x = 2)", "NULL"),
        ("any_match(ARRAY[2,NULL], x -> x = 2)", "true"),
        ("any_match(make_array(), x -> true)", "false"),
        ("all_match(ARRAY[1,2], x -> x > 0)", "true"),
        ("all_match(ARRAY[1,NULL], x -> x > 0)", "NULL"),
        ("all_match(ARRAY[-1,NULL], x -> x > 0)", "false"),
        ("all_match(make_array(), x -> false)", "true"),
        ("none_match(ARRAY[1,2], x -> x > 5)", "true"),
        ("none_match(ARRAY[1,NULL], x -> x > 5)", "NULL"),
        ("none_match(ARRAY[9,NULL], x -> x > 5)", "false"),
        ("none_match(make_array(), x -> true)", "true"),
        ("any_match(NULL, x -> true)", "NULL"),
        (
            "zip_with(ARRAY[1,3,5], ARRAY['a','b','c'], (x, y) -> concat(y, CAST(x AS varchar)))",
            "[a1, b3, c5]",
        ),
        ("zip_with(ARRAY[1,2], ARRAY[3], (x, y) -> x + y)", "[4, NULL]"),
    ])
    .await;
    fails(&[
        ("filter(ARRAY[1], x -> 'a')", "FUNCTION_NOT_FOUND"),
        ("filter('x', x -> true)", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar"),
        ("filter(ARRAY[1])", "FUNCTION_NOT_FOUND"),
    ])
    .await;
}

#[tokio::test]
async fn arrays_are_folded_into_one_value() {
    check(&[
        ("reduce(ARRAY[1,2,3], 0, (s, x) -> s + x, s -> s)", "6"),
        ("reduce(make_array(), 0, (s, x) -> s + 1, s -> s)", "0"),
        ("reduce(ARRAY[5,20,NULL,50], 0, (s, x) -> s + x, s -> s)", "NULL"),
        (
            "reduce(ARRAY[5,20,NULL,50], 0, (s, x) -> CASE WHEN x IS NULL THEN s ELSE s + x END, s -> s * 2)",
            "150",
        ),
        ("reduce(ARRAY[CAST(1.5 AS double), CAST(2 AS double)], 0, (s, x) -> s + x, s -> s)", "3.5"),
        ("reduce(ARRAY['a','b'], '', (s, x) -> concat(s, x), s -> length(s))", "2"),
        ("reduce(ARRAY[1.5, 2.25], 0, (s, x) -> s + x, s -> s)", "3.75"),
        ("reduce(NULL, 0, (s, x) -> s, s -> s)", "NULL"),
    ])
    .await;
    let answers = Answers::new()
        .table("t", "SELECT * FROM (VALUES (1, ARRAY[1,2,3]), (2, NULL), (3, make_array()), (4, ARRAY[10])) AS t(n, x)")
        .await;
    let sql = "SELECT n, reduce(x, n, (s, e) -> s + e * n, s -> s + n) FROM t ORDER BY n";
    assert_eq!(answers.rows(sql).await, ["1 8", "2 NULL", "3 6", "4 48"]);
}

#[tokio::test]
async fn arrays_are_sorted_by_value_or_by_lambda() {
    let by_length =
        "(a, b) -> CASE WHEN length(a) < length(b) THEN -1 WHEN length(a) > length(b) THEN 1 ELSE 0 END";
    let falling = "(a, b) -> CASE WHEN a IS NULL THEN 1 WHEN b IS NULL THEN -1 WHEN a < b THEN 1 WHEN a = b THEN 0 ELSE -1 END";
    check(&[
        ("array_sort(ARRAY['b',NULL,'a'])", "[a, b, NULL]"),
        ("array_sort(ARRAY[3,1,2])", "[1, 2, 3]"),
        ("array_sort(make_array())", "[]"),
        ("array_sort(NULL)", "NULL"),
        (&format!("array_sort(ARRAY['ccc','a','bb','b','aa','c'], {by_length})"), "[a, b, c, bb, aa, ccc]"),
        (&format!("array_sort(ARRAY[3,2,5,NULL,1,2,4], {falling})"), "[5, 4, 3, 2, 2, 1, NULL]"),
        (&format!("array_sort(ARRAY[1], {falling})"), "[1]"),
    ])
    .await;
    fails(&[("array_sort(ARRAY[1,2], (a, b) -> NULL)", "Lambda comparator must return either -1, 0, or 1")])
        .await;
    let answers = Answers::new()
        .table("t", "SELECT n, sequence(1, n) AS x FROM (VALUES (40), (1), (17), (33)) AS t(n)")
        .await;
    let sql = format!("SELECT n, array_sort(x, {falling}) = reverse(x) FROM t ORDER BY n");
    assert_eq!(answers.rows(&sql).await, ["1 true", "17 true", "33 true", "40 true"]);
}

#[tokio::test]
async fn lambdas_go_over_entries() {
    let map = "\"$map\"(ARRAY['a','b'], ARRAY[1,2])";
    check(&[
        (&format!("map_filter({map}, (k, v) -> v > 1)"), "{b: 2}"),
        (&format!("map_filter({map}, (k, v) -> NULL)"), "{}"),
        (&format!("transform_values({map}, (k, v) -> concat(k, CAST(v + 1 AS varchar)))"), "{a: a2, b: b3}"),
        (&format!("transform_keys({map}, (k, v) -> upper(k))"), "{A: 1, B: 2}"),
        (
            &format!("map_zip_with({map}, \"$map\"(ARRAY['b','c'], ARRAY[10,20]), (k, x, y) -> concat(k, CAST(CASE WHEN x IS NULL THEN 0 ELSE x END + CASE WHEN y IS NULL THEN 0 ELSE y END AS varchar)))"),
            "{a: a1, b: b12, c: c20}",
        ),
        ("transform_values(\"$map\"(), (k, v) -> 1)", "{}"),
    ])
    .await;
    fails(&[
        (&format!("transform_keys({map}, (k, v) -> 'x')"), "Duplicate keys (x) are not allowed"),
        (&format!("transform_keys({map}, (k, v) -> CAST(NULL AS varchar))"), "map key cannot be null"),
    ])
    .await;
}

#[tokio::test]
async fn try_forgives_the_rows_that_fail() {
    check(&[
        ("try(1 / 0)", "NULL"),
        ("try(7 / 0) IS NULL", "true"),
        ("try(8 / 2)", "4"),
        ("try(\"$subscript\"(ARRAY[1], 2))", "NULL"),
        ("transform(ARRAY[1,0,2], x -> try(10 / x))", "[10, NULL, 5]"),
        ("try(transform(ARRAY[1,0,2], x -> 10 / x))", "NULL"),
    ])
    .await;
    let answers = Answers::new()
        .table("t", "SELECT n, sequence(1, n) AS x, 'all' AS g FROM (VALUES (1), (2), (3), (4), (5), (6), (7)) AS t(n)")
        .await;
    let rows = answers.rows("SELECT n, try(12 / (n - 3)), try(\"$subscript\"(x, 4)) FROM t ORDER BY n").await;
    assert_eq!(rows, ["1 -6 NULL", "2 -12 NULL", "3 NULL NULL", "4 12 4", "5 6 4", "6 4 4", "7 3 4"]);
    // Twice the same: it must not be computed once for both, outside.
    let sql = "SELECT n FROM t WHERE try(\"$subscript\"(x, 4)) = 4 AND try(\"$subscript\"(x, 4)) > n - 2 ORDER BY n";
    assert_eq!(answers.rows(sql).await, ["4", "5"]);
    assert_eq!(
        answers.rows("SELECT g, try(sum(n) / count(n)), try(1 / (count(n) - 7)) FROM t GROUP BY g").await,
        ["all 4 NULL"]
    );
    let error = answers.run("SELECT try(nosuch) FROM t").await.unwrap_err().to_string();
    assert!(error.contains("nosuch"), "{error}");
}

#[tokio::test]
async fn lambdas_see_the_columns_around_them() {
    let answers = Answers::new()
        .table(
            "t",
            "SELECT * FROM (VALUES (1, 'a', ARRAY[named_struct('Arn', 'x1', 'n', 1), named_struct('Arn', 'y1', 'n', 5)]), \
             (2, 'b', ARRAY[named_struct('Arn', 'x2', 'n', 2)]), (3, 'c', NULL)) AS t(id, name, rs)",
        )
        .await;
    let sql = "SELECT id, transform(rs, r -> concat(name, \"$field\"(r, 'arn'))), \
               filter(rs, r -> \"$field\"(r, 'N') > id) FROM t ORDER BY id";
    assert_eq!(answers.rows(sql).await, ["1 [ax1, ay1] [{Arn: y1, n: 5}]", "2 [bx2] []", "3 NULL NULL"]);
    // Conditions are pushed down and columns cut away: the lambda still reads the right ones.
    let sql = "SELECT u.name FROM (SELECT name, upper(name) AS big, rs, id + 0 AS k FROM t) u \
               JOIN (VALUES ('a'), ('b')) AS v(w) ON u.name = v.w \
               WHERE any_match(u.rs, r -> \"$field\"(r, 'n') = u.k AND \"$field\"(r, 'arn') = concat('x', CAST(u.k AS varchar))) \
               ORDER BY 1";
    assert_eq!(answers.rows(sql).await, ["a", "b"]);
    let sql = "SELECT k, count(*) FROM (SELECT transform(rs, r -> \"$field\"(r, 'n') + id) AS k FROM t) GROUP BY k ORDER BY k";
    assert_eq!(answers.rows(sql).await, ["[2, 6] 1", "[4] 1", "NULL 1"]);
    let sql = "SELECT transform(ARRAY[1,2], x -> transform(ARRAY[10,20], y -> x * y + id)) FROM t ORDER BY id LIMIT 1";
    assert_eq!(answers.rows(sql).await, ["[[11, 21], [21, 41]]"]);
}
