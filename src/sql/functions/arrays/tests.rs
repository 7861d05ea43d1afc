use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::datasource::MemTable;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, LambdaFunction, LambdaSyntax, OneOrManyWithParens,
    visit_expressions_mut,
};

/// Answers with the functions of these files, computed when the query is planned or when it runs.
pub(in super::super) struct Answers {
    context: SessionContext,
}

impl Answers {
    pub(in super::super) fn new() -> Self {
        Self::of(SessionStateBuilder::new_with_default_features())
    }

    /// Nothing is computed before the query runs.
    fn late() -> Self {
        Self::of(SessionStateBuilder::new_with_default_features().with_optimizer_rules(Vec::new()))
    }

    fn of(builder: SessionStateBuilder) -> Self {
        let config = SessionConfig::new()
            .with_target_partitions(3)
            .with_batch_size(3)
            .set_str("datafusion.sql_parser.dialect", "duckdb")
            .set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
        let mut state: SessionState = builder.with_config(config).build();
        super::super::register(&mut state).unwrap();
        Self { context: SessionContext::new_with_state(state) }
    }

    /// Adds a table of several batches in three partitions, of what a query gives.
    pub(in super::super) async fn table(self, name: &str, sql: &str) -> Self {
        let batch = self.run(sql).await.unwrap();
        let partitions = (0..3)
            .map(|partition| {
                (0..batch.num_rows())
                    .filter(|row| row % 3 == partition)
                    .map(|row| batch.slice(row, 1))
                    .collect()
            })
            .collect();
        let table = MemTable::try_new(batch.schema(), partitions).unwrap();
        self.context.register_table(name, Arc::new(table)).unwrap();
        self
    }

    pub(in super::super) async fn run(&self, sql: &str) -> Result<RecordBatch> {
        let state = self.context.state();
        let mut statement = state.sql_to_statement(sql, &datafusion::config::Dialect::DuckDB)?;
        if let Statement::Statement(statement) = &mut statement {
            let _ = visit_expressions_mut(statement, |expression: &mut Expr| {
                attempt(expression);
                ControlFlow::<()>::Continue(())
            });
        }
        let plan = state.statement_to_plan(statement).await?;
        let frame = self.context.execute_logical_plan(plan).await?;
        let schema = Arc::clone(frame.schema().inner());
        let batches = frame.collect().await?;
        let schema = batches.first().map_or(schema, RecordBatch::schema);
        Ok(arrow::compute::concat_batches(&schema, &batches)?)
    }

    /// The rows of the answer, values beside each other.
    pub(in super::super) async fn rows(&self, sql: &str) -> Vec<String> {
        let batch = self.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let columns: Vec<_> = batch.columns().iter().map(texts).collect();
        (0..batch.num_rows())
            .map(|row| columns.iter().map(|column| column[row].as_str()).collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// The type of an expression.
    pub(in super::super) async fn data_type(&self, expression: &str) -> DataType {
        self.run(&format!("SELECT {expression}")).await.unwrap().column(0).data_type().clone()
    }
}

/// `try(x)` as the statement's tree has it: with a lambda without parameters.
fn attempt(expression: &mut Expr) {
    let Expr::Function(function) = expression else { return };
    let FunctionArguments::List(list) = &mut function.args else { return };
    if !function.name.to_string().eq_ignore_ascii_case("try") {
        return;
    }
    if let [FunctionArg::Unnamed(FunctionArgExpr::Expr(body))] = list.args.as_mut_slice()
        && !matches!(body, Expr::Lambda(_))
    {
        *body = Expr::Lambda(LambdaFunction {
            params: OneOrManyWithParens::Many(Vec::new()),
            body: Box::new(body.clone()),
            syntax: LambdaSyntax::Arrow,
        });
    }
}

fn texts(column: &ArrayRef) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let formatter = ArrayFormatter::try_new(column, &options).unwrap();
    (0..column.len()).map(|row| formatter.value(row).to_string()).collect()
}

/// Each expression gives its answer, whether it is computed early, late, or over columns.
pub(in super::super) async fn check(cases: &[(&str, &str)]) {
    let (early, late) = (Answers::new(), Answers::late());
    for (expression, expected) in cases {
        let sql = format!("SELECT {expression}");
        assert_eq!(early.rows(&sql).await, [*expected], "{expression}");
        assert_eq!(late.rows(&sql).await, [*expected], "{expression}, when it runs");
        let sql = format!("SELECT {expression} FROM (VALUES (1), (2), (3), (4)) AS t(n)");
        assert_eq!(late.rows(&sql).await, [*expected; 4], "{expression}, of each row");
    }
}

/// Each expression fails with a message that has this in it.
pub(in super::super) async fn fails(cases: &[(&str, &str)]) {
    let late = Answers::late();
    for (expression, expected) in cases {
        match late.run(&format!("SELECT {expression}")).await {
            Ok(batch) => panic!("{expression} gives {:?}", texts(batch.column(0))),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{expression}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn elements_are_found_from_either_end() {
    check(&[
        ("element_at(ARRAY['a','b','c'], 1)", "a"),
        ("element_at(ARRAY['a','b','c'], -2)", "b"),
        ("element_at(ARRAY['a','b','c'], 4)", "NULL"),
        ("element_at(ARRAY['a','b','c'], -4)", "NULL"),
        ("element_at(ARRAY['a','b'], CAST(NULL AS bigint))", "NULL"),
        ("element_at(ARRAY['a',NULL], 2)", "NULL"),
        ("element_at(make_array(), 1)", "NULL"),
        ("\"$subscript\"(ARRAY[7,8,9], 3)", "9"),
        ("\"$subscript\"(\"$row\"(7,'x'), 2)", "x"),
        ("\"$field\"(\"$row\"(7,'x'), 'FIELD1')", "x"),
        ("cardinality(ARRAY[1,NULL,3])", "3"),
        ("cardinality(make_array())", "0"),
        ("cardinality(NULL)", "NULL"),
    ])
    .await;
    fails(&[
        ("element_at(ARRAY[1], 0)", "INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1"),
        ("\"$subscript\"(ARRAY[1], 0)", "INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1"),
        ("\"$subscript\"(ARRAY[1], -1)", "INVALID_FUNCTION_ARGUMENT: Array subscript is negative: -1"),
        (
            "\"$subscript\"(ARRAY[1,2], 3)",
            "Array subscript must be less than or equal to array length: 3 > 2",
        ),
        ("\"$field\"(\"$row\"(7), 'nope')", "COLUMN_NOT_FOUND: Column 'nope'"),
        ("cardinality('x')", "FUNCTION_NOT_FOUND: Unexpected parameters (varchar) for function cardinality."),
        ("element_at(ARRAY[1], 'x')", "FUNCTION_NOT_FOUND: Unexpected parameters (array(bigint), varchar)"),
    ])
    .await;
    assert_eq!(Answers::new().data_type("cardinality(ARRAY[1])").await, DataType::Int64);
}

#[tokio::test]
async fn arrays_are_sets_that_keep_the_order() {
    check(&[
        ("array_distinct(ARRAY['b','a','b',NULL,NULL])", "[b, a, NULL]"),
        ("array_distinct(ARRAY[ARRAY[1],ARRAY[1],ARRAY[2]])", "[[1], [2]]"),
        ("array_union(ARRAY['a'], ARRAY['a','c',NULL])", "[a, c, NULL]"),
        ("array_union(ARRAY[1], ARRAY[CAST(1 AS int), 2])", "[1, 2]"),
        ("array_intersect(ARRAY['a','b','b',NULL], ARRAY[NULL,'b','z'])", "[b, NULL]"),
        ("array_intersect(ARRAY['a','b'], ARRAY['b','c','a'])", "[b, a]"),
        ("array_except(ARRAY['a','a','b',NULL], ARRAY['b'])", "[a, NULL]"),
        ("array_except(ARRAY['a'], make_array())", "[a]"),
        ("array_remove(ARRAY['a',NULL,'b','a'], 'a')", "[NULL, b]"),
        ("array_remove(ARRAY['a'], NULL)", "NULL"),
        ("array_position(ARRAY['a','b'], 'b')", "2"),
        ("array_position(ARRAY['a',NULL], 'z')", "0"),
        ("array_position(ARRAY['a',NULL], NULL)", "NULL"),
        ("arrays_overlap(ARRAY[1,2], ARRAY[2,3])", "true"),
        ("arrays_overlap(ARRAY[1,2], ARRAY[3])", "false"),
        ("arrays_overlap(ARRAY[1,NULL], ARRAY[3])", "NULL"),
        ("arrays_overlap(ARRAY[1,NULL], ARRAY[NULL,1])", "true"),
        ("arrays_overlap(ARRAY[NULL,NULL], make_array())", "false"),
        ("contains_sequence(ARRAY[1,2,3,4], ARRAY[2,3])", "true"),
        ("contains_sequence(ARRAY[1,2,3,4], ARRAY[2,4])", "false"),
        ("contains_sequence(ARRAY[1], make_array())", "true"),
        ("array_max(ARRAY['a','c','b'])", "c"),
        ("array_min(ARRAY[3,1,2])", "1"),
        ("array_max(ARRAY[3,NULL])", "NULL"),
        ("array_max(make_array())", "NULL"),
        ("array_histogram(ARRAY['a','b','a',NULL])", "{a: 2, b: 1}"),
    ])
    .await;
    fails(&[(
        "array_position(ARRAY[1], 'x')",
        "FUNCTION_NOT_FOUND: Unexpected parameters (array(bigint), varchar)",
    )])
    .await;
}

#[tokio::test]
async fn arrays_are_cut_turned_and_joined() {
    check(&[
        ("slice(ARRAY['a','b','c','d'], 2, 2)", "[b, c]"),
        ("slice(ARRAY[1,2,3], -2, 5)", "[2, 3]"),
        ("slice(ARRAY[1,2,3], -4, 2)", "[]"),
        ("slice(ARRAY[1,2,3], 4, 2)", "[]"),
        ("slice(ARRAY[1,2,3], 1, 0)", "[]"),
        ("trim_array(ARRAY[1,2,3,4], 1)", "[1, 2, 3]"),
        ("reverse(ARRAY['a','b',NULL])", "[NULL, b, a]"),
        ("reverse('añb')", "bña"),
        ("reverse(CAST(NULL AS varchar))", "NULL"),
        ("flatten(ARRAY[ARRAY['a'],NULL,ARRAY['b','c',NULL]])", "[a, b, c, NULL]"),
        ("repeat('x', 3)", "[x, x, x]"),
        ("repeat(NULL, 2)", "[NULL, NULL]"),
        ("repeat(7, 0)", "[]"),
        ("repeat(7, NULL)", "NULL"),
        ("combinations(ARRAY['foo','bar','boo'], 2)", "[[foo, bar], [foo, boo], [bar, boo]]"),
        ("combinations(ARRAY[1,2,3,4], 3)", "[[1, 2, 3], [1, 2, 4], [1, 3, 4], [2, 3, 4]]"),
        ("combinations(ARRAY[1,2], 3)", "[]"),
        ("combinations(ARRAY[1,2], 0)", "[[]]"),
        ("ngrams(ARRAY['foo','bar','baz','foo'], 2)", "[[foo, bar], [bar, baz], [baz, foo]]"),
        ("ngrams(ARRAY['foo','bar'], 3)", "[[foo, bar]]"),
        ("cardinality(shuffle(ARRAY[1,2,3]))", "3"),
        ("array_join(ARRAY[1,NULL,3], ',')", "1,3"),
        ("array_join(ARRAY[1,NULL,3], ',', '~')", "1,~,3"),
        ("array_join(ARRAY['','a'], '-')", "-a"),
        ("array_join(ARRAY[NULL], ',')", ""),
        ("array_join(ARRAY[true,false], '/')", "true/false"),
        (
            "array_join(ARRAY[\"$cast\"('2026-01-01 00:00:01', 'timestamp(3)')], '/')",
            "2026-01-01 00:00:01.000",
        ),
        ("array_join(\"$cast\"(json_parse('[\"a\",1]'), 'array(json)'), '/')", "a/1"),
        ("array_join(ARRAY['a'], NULL)", "NULL"),
        (
            "zip(ARRAY[1,2], ARRAY['1b',NULL,'3b'])",
            "[{field0: 1, field1: 1b}, {field0: 2, field1: NULL}, {field0: NULL, field1: 3b}]",
        ),
        ("sequence(1, 9, 4)", "[1, 5, 9]"),
        ("sequence(3, 1)", "[3, 2, 1]"),
        ("sequence(5, 5)", "[5]"),
        ("sequence(DATE '2026-01-30', DATE '2026-02-01')", "[2026-01-30, 2026-01-31, 2026-02-01]"),
        (
            "sequence(DATE '2026-01-31', DATE '2026-04-01', INTERVAL '1' MONTH)",
            "[2026-01-31, 2026-02-28, 2026-03-31]",
        ),
        (
            "sequence(TIMESTAMP '2026-01-01 23:00:00', TIMESTAMP '2026-01-02 01:30:00', INTERVAL '1' HOUR)",
            "[2026-01-01T23:00:00, 2026-01-02T00:00:00, 2026-01-02T01:00:00]",
        ),
    ])
    .await;
    fails(&[
        ("slice(ARRAY[1], 0, 1)", "SQL array indices start at 1"),
        ("slice(ARRAY[1], 1, -1)", "length must be greater than or equal to 0"),
        ("trim_array(ARRAY[1], 2)", "size must not exceed array cardinality 1: 2"),
        ("trim_array(ARRAY[1], -1)", "size must not be negative: -1"),
        ("repeat(1, -1)", "count argument of repeat function must be greater than or equal to 0"),
        ("repeat(1, 1000000000)", "count argument of repeat function must be less than or equal to 10000"),
        ("combinations(ARRAY[1], 6)", "combination size must not exceed 5: 6"),
        ("combinations(repeat(1, 200), 5)", "combinations exceed max size"),
        ("ngrams(ARRAY[1], 0)", "N must be positive"),
        ("sequence(1, 10001)", "must not have more than 10000 entries"),
        ("sequence(1, 2, 0)", "step must not be zero"),
        ("sequence(1, 2, -1)", "sequence stop value should be greater than or equal to start value"),
        ("sequence(9223372036854775800, 9223372036854775807, -9223372036854775808)", "sequence stop value"),
    ])
    .await;
    check(&[("sequence(9223372036854775806, 9223372036854775807, 3)", "[9223372036854775806]")]).await;
}

#[tokio::test]
async fn columns_that_were_cut_are_read_where_they_are() {
    let all = Answers::new()
        .run(
            "SELECT * FROM (VALUES (1, ARRAY['a','b'], 1), (2, NULL, 1), (3, ARRAY['c',NULL,'c'], -1), (4, make_array(), 2)) \
             AS t(id, x, n)",
        )
        .await
        .unwrap();
    // Rows of another query stand before and behind.
    let table = |batch: RecordBatch| {
        let answers = Answers::late();
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        answers.context.register_table("t", Arc::new(table)).unwrap();
        answers
    };
    let twice: Vec<ArrayRef> =
        all.columns().iter().map(|column| concat(&[column.as_ref(), column.as_ref()]).unwrap()).collect();
    let cut = RecordBatch::try_new(all.schema(), twice).unwrap().slice(2, 4);
    let sql = "SELECT id, element_at(x, n), cardinality(x), array_join(x, ',', '-'), array_distinct(x), \
               array_position(x, 'b'), reverse(x), array_union(x, ARRAY['z']), array_sort(x), \
               transform(x, e -> id), filter(x, e -> e = 'c' OR id = 1), any_match(x, e -> e > 'b') FROM t ORDER BY id";
    let expected = [
        "1 a 2 a,b [a, b] 2 [b, a] [a, b, z] [a, b] [1, 1] [a, b] false",
        "2 NULL NULL NULL NULL NULL NULL NULL NULL NULL NULL NULL",
        "3 c 3 c,-,c [c, NULL] 0 [c, NULL, c] [c, NULL, z] [c, c, NULL] [3, 3, 3] [c, c] true",
        "4 NULL 0  [] 0 [] [z] [] [] [] false",
    ];
    assert_eq!(table(all).rows(sql).await, expected);
    assert_eq!(table(cut).rows(sql).await, expected);
}
