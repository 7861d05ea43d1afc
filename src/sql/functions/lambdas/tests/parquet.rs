use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::super::super::arrays::function::map_of;
use super::super::super::arrays::tests::Answers;
use super::super::super::maps::maps;

/// Three rows as the lake's files have them: lists named as Delta names them, texts in dictionaries.
fn events() -> RecordBatch {
    let texts = |values: [Option<&str>; 3]| -> ArrayRef { Arc::new(StringArray::from(values.to_vec())) };
    let fields = Fields::from(vec![
        Field::new("arn", DataType::Utf8, true),
        Field::new("accountId", DataType::Utf8, true),
    ]);
    let arns = StringArray::from(vec!["eu-west-1", "b", "c", "us-east-1"]);
    let accounts = StringArray::from(vec![Some("1"), None, Some("1"), Some("3")]);
    let rows = StructArray::new(fields.clone(), vec![Arc::new(arns), Arc::new(accounts)], None);
    let element = Arc::new(Field::new("element", DataType::Struct(fields), true));
    let nulls = NullBuffer::from(vec![true, false, true]);
    let resources =
        ListArray::new(element, OffsetBuffer::from_lengths([3, 0, 1]), Arc::new(rows), Some(nulls.clone()));
    let regions: DictionaryArray<Int32Type> =
        ["eu-west-1", "eu-west-1", "us-east-1"].into_iter().map(Some).collect();
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["user", "policy", "user"]));
    let values: ArrayRef = Arc::new(StringArray::from(vec![Some("alice"), None, Some("bob")]));
    let parameters = maps(keys, values, &[2, 0, 1], Some(nulls), &map_of(DataType::Utf8, DataType::Utf8));
    RecordBatch::try_from_iter(vec![
        ("unused1", texts([Some("x"); 3])),
        ("eventname", texts([Some("Get-Object-eu"), Some("Put-Object"), Some("Get-x-us")])),
        ("unused2", texts([None; 3])),
        ("resources", Arc::new(resources) as ArrayRef),
        ("parameters", parameters.unwrap()),
        ("unused3", texts([None; 3])),
        ("number", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ("region", Arc::new(regions)),
        ("word", texts([Some("Object"), Some("Nope"), Some("us")])),
    ])
    .unwrap()
}

async fn lake() -> (TempDir, Answers) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events.parquet");
    let batch = events();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let answers = Answers::new();
    let sql = format!("CREATE EXTERNAL TABLE lake STORED AS PARQUET LOCATION '{}'", path.display());
    answers.run(&sql).await.unwrap();
    (folder, answers)
}

#[tokio::test]
async fn conditions_with_lambdas_are_evaluated_while_files_are_read() {
    let (_folder, answers) = lake().await;
    for pushed in [false, true] {
        let set = format!("SET datafusion.execution.parquet.pushdown_filters = {pushed}");
        answers.run(&set).await.unwrap();
        for (condition, expected) in [
            ("any_match(string_to_array(eventname, '-'), p -> p = word)", vec!["1", "3"]),
            ("any_match(string_to_array(eventname, '-'), p -> concat(p, region) = 'xus-east-1')", vec!["3"]),
            ("any_match(resources, r -> \"$field\"(r, 'ARN') = region)", vec!["1", "3"]),
            (
                "any_match(resources, r -> \"$field\"(r, 'accountid') = CAST(number AS varchar)) AND number < 3",
                vec!["1"],
            ),
            (
                "cardinality(filter(resources, r -> \"$field\"(r, 'accountid') IS NOT NULL)) = number + 1",
                vec!["1"],
            ),
            ("element_at(parameters, 'user') = 'bob'", vec!["3"]),
            ("cardinality(map_filter(parameters, (k, v) -> v IS NULL OR k = word)) = 1", vec!["1"]),
            ("any_match(ARRAY['a', word], w -> strpos(eventname, w) > 0 AND w = word)", vec!["1", "3"]),
            ("try(10 / (number - 2)) > 0", vec!["3"]),
        ] {
            let sql = format!("SELECT number FROM lake WHERE {condition} ORDER BY number");
            assert_eq!(answers.rows(&sql).await, expected, "{condition}, pushed down: {pushed}");
            let sql = format!(
                "SELECT n FROM (SELECT number + 0 AS n, number, eventname, resources, region, parameters, word, 7 AS x FROM lake) t \
                 WHERE {condition} ORDER BY n"
            );
            assert_eq!(answers.rows(&sql).await, expected, "{condition}, of a query, pushed down: {pushed}");
        }
    }
}

#[tokio::test]
async fn columns_of_files_go_through_all_functions() {
    let (_folder, answers) = lake().await;
    let sql = "SELECT number, element_at(resources, -1), array_join(map_keys(parameters), ','), array_join(ARRAY[region, word], '+'), \
               array_distinct(ARRAY[region, region]), array_sort(array_union(map_values(parameters), ARRAY[region])), \
               transform(resources, r -> concat(\"$field\"(r, 'arn'), region)) FROM lake ORDER BY number";
    assert_eq!(
        answers.rows(sql).await,
        [
            "1 {arn: c, accountId: 1} user,policy eu-west-1+Object [eu-west-1] [alice, eu-west-1, NULL] \
             [eu-west-1eu-west-1, beu-west-1, ceu-west-1]",
            "2 NULL NULL eu-west-1+Nope [eu-west-1] NULL NULL",
            "3 {arn: us-east-1, accountId: 3} user us-east-1+us [us-east-1] [bob, us-east-1] [us-east-1us-east-1]",
        ]
    );
    let sql = "SELECT region, max_by(word, number), arbitrary(region), histogram(region), array_agg(word ORDER BY number), \
               map_agg(region, word), listagg(region, ',' ORDER BY number), max_by(resources, number), count(DISTINCT region) \
               FROM lake GROUP BY region ORDER BY region";
    assert_eq!(
        answers.rows(sql).await,
        [
            "eu-west-1 Nope eu-west-1 {eu-west-1: 2} [Object, Nope] {eu-west-1: Object} eu-west-1,eu-west-1 NULL 1",
            "us-east-1 us us-east-1 {us-east-1: 1} [us] {us-east-1: us} us-east-1 [{arn: us-east-1, accountId: 3}] 1",
        ]
    );
}

#[tokio::test]
async fn lambdas_keep_their_columns_wherever_the_plan_moves_them() {
    let (_folder, answers) = lake().await;
    let words = "string_to_array(a.eventname, '-')";
    for (sql, expected) in [
        (
            "SELECT transform(string_to_array(eventname, '-'), p -> concat(p, word)) FROM lake WHERE number = 2",
            vec!["[PutNope, ObjectNope]"],
        ),
        (
            &format!(
                "SELECT a.number FROM lake a JOIN lake b ON element_at(filter({words}, p -> p = a.word), 1) = b.word ORDER BY 1"
            ),
            vec!["1", "3"],
        ),
        (
            &format!(
                "SELECT a.number FROM lake a LEFT JOIN lake b ON a.number = b.number AND any_match({words}, p -> p = b.word) WHERE b.number IS NULL"
            ),
            vec!["2"],
        ),
        (
            "SELECT x FROM (SELECT number, transform(ARRAY[number, 10], n -> n * number) AS x FROM lake ORDER BY cardinality(filter(ARRAY[word], w -> w = region)), number DESC LIMIT 2) t WHERE any_match(x, v -> v = number * 10) ORDER BY number",
            vec!["[4, 20]", "[9, 30]"],
        ),
        (
            "SELECT transform(ARRAY[region], r -> concat(r, word)), count(*) FROM lake GROUP BY 1 HAVING any_match(transform(ARRAY[region], r -> concat(r, word)), x -> x LIKE '%us%') ORDER BY 1",
            vec!["[us-east-1us] 1"],
        ),
        (
            "SELECT number, sum(number) OVER (PARTITION BY element_at(filter(ARRAY['a', region], r -> r <> concat(word, 'x')), 2)) FROM lake ORDER BY 1",
            vec!["1 3", "2 3", "3 3"],
        ),
        (
            "SELECT k FROM (SELECT reduce(ARRAY[1, 2], number, (s, x) -> s + x * number, s -> s) AS k FROM lake UNION ALL SELECT number FROM lake) t WHERE k > 3 ORDER BY k",
            vec!["4", "8", "12"],
        ),
        (
            "SELECT unnest(transform(ARRAY[1, 2], x -> x * number)) AS u FROM lake WHERE number > 2 ORDER BY u",
            vec!["3", "6"],
        ),
    ] {
        assert_eq!(answers.rows(sql).await, expected, "{sql}");
    }
}
