use super::super::arrays::tests::{check, fails};

#[tokio::test]
async fn maps_are_made_and_read() {
    check(&[
        ("\"$map\"(ARRAY['a','b'], ARRAY[1,2])", "{a: 1, b: 2}"),
        ("\"$map\"()", "{}"),
        ("cardinality(\"$map\"())", "0"),
        ("\"$map\"(NULL, ARRAY[1])", "NULL"),
        ("cardinality(\"$map\"(ARRAY['a','b'], ARRAY[1,2]))", "2"),
        ("element_at(\"$map\"(ARRAY['a'], ARRAY[1]), 'x')", "NULL"),
        ("element_at(\"$map\"(ARRAY['a','b'], ARRAY[1,2]), 'b')", "2"),
        ("element_at(\"$map\"(ARRAY[1,2], ARRAY['x',NULL]), 1)", "x"),
        ("\"$subscript\"(\"$map\"(ARRAY['a','b'], ARRAY[1,2]), 'b')", "2"),
        ("\"$subscript\"(\"$map\"(ARRAY['a','b'], ARRAY[1,NULL]), 'b')", "NULL"),
        ("map_keys(\"$map\"(ARRAY['a','b'], ARRAY[1,2]))", "[a, b]"),
        ("map_values(\"$map\"(ARRAY['a','b'], ARRAY[1,NULL]))", "[1, NULL]"),
        ("map_entries(\"$map\"(ARRAY['a'], ARRAY[1]))", "[{field0: a, field1: 1}]"),
        ("map_from_entries(ARRAY[\"$row\"('a', 1), \"$row\"('b', 2)])", "{a: 1, b: 2}"),
        (
            "multimap_from_entries(ARRAY[\"$row\"('a', 1), \"$row\"('b', 2), \"$row\"('a', NULL)])",
            "{a: [1, NULL], b: [2]}",
        ),
        (
            "map_concat(\"$map\"(ARRAY['a','b'], ARRAY[1,2]), \"$map\"(ARRAY['a','c'], ARRAY[9,3]))",
            "{a: 9, b: 2, c: 3}",
        ),
        ("map_concat(\"$map\"(), \"$map\"(ARRAY['a'], ARRAY[1]))", "{a: 1}"),
        ("map_concat(\"$map\"(ARRAY['a'], ARRAY[1]), NULL)", "NULL"),
    ])
    .await;
    fails(&[
        (
            "\"$map\"(ARRAY['a','a'], ARRAY[1,2])",
            "INVALID_FUNCTION_ARGUMENT: Duplicate map keys (a) are not allowed",
        ),
        ("\"$map\"(ARRAY['a',NULL], ARRAY[1,2])", "INVALID_FUNCTION_ARGUMENT: map key cannot be null"),
        ("\"$map\"(ARRAY['a'], ARRAY[1,2])", "Key and value arrays must be the same length"),
        (
            "\"$subscript\"(\"$map\"(ARRAY['a'], ARRAY[1]), 'nope')",
            "INVALID_FUNCTION_ARGUMENT: Key not present in map: nope",
        ),
        ("map_from_entries(ARRAY[\"$row\"('a', 1), \"$row\"('a', 2)])", "Duplicate keys (a) are not allowed"),
        ("map_from_entries(ARRAY[\"$row\"('a', 1), NULL])", "map entry cannot be null"),
        (
            "map_keys(ARRAY[1])",
            "FUNCTION_NOT_FOUND: Unexpected parameters (array(bigint)) for function map_keys.",
        ),
    ])
    .await;
}
